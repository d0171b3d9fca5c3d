//! As much of a mail's own format as it takes to show one: headers, the two parts, and how they are packed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A mail, unpacked.
#[derive(Debug, Default)]
pub(crate) struct Letter {
    /// Names in lower case; of doubled ones the last.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
}

/// Parts inside parts inside parts: nobody means that.
const DEPTH_MAX: usize = 5;

impl Letter {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mail = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let mut letter = Self::default();
        let (headers, body) = split(&mail);
        letter.add(&headers, body, 0);
        letter.headers = headers.into_iter().map(|(name, value)| (name, decode_words(&value))).collect();
        letter
    }

    fn add(&mut self, headers: &BTreeMap<String, String>, body: &str, depth: usize) {
        let header = |name: &str| headers.get(name).map_or("", String::as_str);
        let kind = header("content-type");
        if let Some(boundary) = boundary(kind).filter(|_| depth < DEPTH_MAX) {
            let fence = format!("--{boundary}");
            let parts = body.split(fence.as_str()).skip(1).take_while(|part| !part.starts_with("--"));
            for part in parts {
                let (headers, body) = split(part.strip_prefix('\n').unwrap_or(part));
                self.add(&headers, body.strip_suffix('\n').unwrap_or(body), depth + 1);
            }
            return;
        }
        let place = if kind.to_ascii_lowercase().starts_with("text/html") { &mut self.html } else { &mut self.text };
        place.get_or_insert_with(|| unpack(header("content-transfer-encoding"), body));
    }
}

/// Headers, unfolded, and what follows the empty line.
fn split(mail: &str) -> (BTreeMap<String, String>, &str) {
    let (head, body) = mail.split_once("\n\n").unwrap_or((mail, ""));
    let mut headers = BTreeMap::new();
    let mut last = String::new();
    for line in head.lines() {
        if line.starts_with([' ', '\t']) {
            headers.entry(last.clone()).and_modify(|value: &mut String| {
                value.push(' ');
                value.push_str(line.trim_start());
            });
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            headers.insert(last.clone(), value.trim().to_owned());
        }
    }
    (headers, body)
}

fn boundary(kind: &str) -> Option<&str> {
    let is_multipart = kind.to_ascii_lowercase().starts_with("multipart/");
    let (_, rest) = kind.split_once("boundary=").filter(|_| is_multipart)?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split(';').next()?.trim(),
    };
    (!value.is_empty()).then_some(value)
}

fn unpack(encoding: &str, body: &str) -> String {
    let bytes = match encoding.to_ascii_lowercase().as_str() {
        "base64" => {
            let packed: String = body.split_whitespace().collect();
            STANDARD.decode(packed).unwrap_or_default()
        }
        "quoted-printable" => unquote(body, false),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
}

/// `=C3=A1`; a `=` at the end of a line joins it to the next. In headers `_` is a space.
fn unquote(text: &str, is_header: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'=' if bytes.get(at) == Some(&b'\n') => at += 1,
            b'=' => match bytes.get(at..at + 2).and_then(|pair| hex::decode(pair).ok()) {
                Some(decoded) => {
                    out.extend(decoded);
                    at += 2;
                }
                None => out.push(b'='),
            },
            b'_' if is_header => out.push(b' '),
            byte => out.push(byte),
        }
    }
    out
}

/// `=?utf-8?b?…?=` and `=?utf-8?q?…?=`, wherever they stand. Spaces between two of them are none.
fn decode_words(text: &str) -> String {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text;
    let mut after_word = false;
    while let Some((before, tail)) = rest.split_once("=?") {
        let mut parts = tail.splitn(4, '?');
        let (Some(_charset), Some(how), Some(packed), Some(end)) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            break;
        };
        let Some(next) = end.strip_prefix('=') else { break };
        if !(after_word && before.trim().is_empty()) {
            out.extend(before.as_bytes());
        }
        match how {
            "b" | "B" => out.extend(STANDARD.decode(packed).unwrap_or_default()),
            _ => out.extend(unquote(packed, true)),
        }
        (rest, after_word) = (next, true);
    }
    out.extend(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: =?utf-8?b?TG9qYSBkYSBBbmEgJiBDaWEu?= <oi@loja.test>\r\nSubject: =?utf-8?q?Confirma=C3=A7?=\r\n =?utf-8?b?w6Nv?= do pedido\r\n\
        Message-ID: <order_paid.1@loja.test>\r\nContent-Type: multipart/alternative;\r\n boundary=\"fence\"\r\n\r\n--fence\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nOl=C3=A1, Bia=\r\n!\r\n--fence\r\n\
        Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+T2zD\r\noTwvcD4=\r\n--fence--\r\n";

    #[test]
    fn a_mail_with_two_parts_is_unpacked() {
        let letter = Letter::read(MAIL.as_bytes());
        assert_eq!(letter.headers["from"], "Loja da Ana & Cia. <oi@loja.test>");
        assert_eq!(letter.headers["subject"], "Confirmação do pedido");
        assert_eq!(letter.headers["message-id"], "<order_paid.1@loja.test>");
        assert_eq!((letter.text.as_deref(), letter.html.as_deref()), (Some("Olá, Bia!"), Some("<p>Olá</p>")));
    }

    #[test]
    fn a_plain_mail_is_its_text_and_nonsense_is_no_panic() {
        assert_eq!(Letter::read(b"Subject: Oi\n\n1 + 1 = 2").text.as_deref(), Some("1 + 1 = 2"));
        for mangled in ["", "\n", ":", "Content-Type: multipart/mixed; boundary=", "Subject: =?utf-8?b?", "=?=?=?=?", " x"] {
            Letter::read(mangled.as_bytes());
            decode_words(mangled);
        }
    }
}
