//! E-mail addresses.

use std::fmt;

/// An address that can be written to: lower-case, plain ASCII, safe in a header. Whether mail arrives there is not checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct InvalidEmail;

/// What may stand before the `@` beside letters and digits (RFC 5322's atoms, and the dot between them).
const LOCAL: &[u8] = b".!#$%&'*+-/=?^_`{|}~";

impl Email {
    /// Trims and lowers the case.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let address = text.trim().to_ascii_lowercase();
        let (local, domain) = address.split_once('@').ok_or(InvalidEmail)?;
        let sound = address.len() <= 254 && is_local(local) && is_domain(domain);
        if sound { Ok(Self(address)) } else { Err(InvalidEmail) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `a***@example.com`: for lists and logs.
    pub fn masked(&self) -> String {
        let domain = self.0.split_once('@').map_or("", |(_, domain)| domain);
        format!("{}***@{domain}", &self.0[..1])
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email({})", self.masked())
    }
}

fn is_local(local: &str) -> bool {
    local.len() <= 64
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || LOCAL.contains(&b))
        && local.split('.').all(|atom| !atom.is_empty())
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.contains('.') && domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_are_lowered_and_trimmed() {
        for (text, clean) in [
            (" Ana@Example.COM ", "ana@example.com"),
            ("ana.silva+loja@sub.exemplo.com.br", "ana.silva+loja@sub.exemplo.com.br"),
            ("o'neil@x-y.io", "o'neil@x-y.io"),
        ] {
            assert_eq!(Email::parse(text).expect(text).as_str(), clean);
        }
    }

    #[test]
    fn bad_addresses_are_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", ["a".repeat(60).as_str(); 5].join("."));
        for text in [
            "",
            "@",
            "ana",
            "ana@",
            "@example.com",
            "ana@example",
            "a@b@c.com",
            "a b@c.com",
            "a@c .com",
            "a@c..com",
            "a@-c.com",
            "a@c-.com",
            ".a@c.com",
            "a.@c.com",
            "a..b@c.com",
            "a\r\nBcc: x@c.com",
            "\"a\"@c.com",
            "a<b@c.com",
            "á@c.com",
            "a@ç.com",
            "a@c.com.",
            &long_local,
            &long,
        ] {
            assert_eq!(Email::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn debug_hides_who_it_is() {
        assert_eq!(format!("{:?}", Email::parse("ana@example.com")), "Ok(Email(a***@example.com))");
    }
}
