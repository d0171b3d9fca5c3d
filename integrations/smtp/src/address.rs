//! The mail server's URL.

use std::net::IpAddr;

use lettre::transport::smtp::authentication::Credentials;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

const SUBMISSION_PORT: u16 = 587;
const SUBMISSIONS_PORT: u16 = 465;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Without TLS: only to this machine, or without a password.
    Plain,
    /// STARTTLS is required, not optional: an attacker on the path could remove the server's offer.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    pub credentials: Option<Credentials>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({}:{}, {:?})", self.host, self.port, self.security)
    }
}

impl Server {
    /// The error says what is wrong without quoting the URL, which contains the password.
    pub fn parse(url: &SecretString) -> Result<Self, String> {
        let url = Url::parse(url.expose_secret()).map_err(|e| format!("the address is not a URL: {e}"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("the address must be smtp(s)://[user:password@]host[:port][?tls=required|none]".to_owned());
        }
        let is_local = is_this_machine(&host);
        let wish = wish(&url)?;
        let (security, port) = match (url.scheme(), wish) {
            ("smtps", None | Some(true)) => (Security::Tls, SUBMISSIONS_PORT),
            ("smtps", Some(false)) => return Err("smtps:// cannot be had with tls=none".to_owned()),
            ("smtp", Some(true)) => (Security::StartTls, SUBMISSION_PORT),
            ("smtp", Some(false)) => (Security::Plain, SUBMISSION_PORT),
            ("smtp", None) if is_local => (Security::Plain, SUBMISSION_PORT),
            ("smtp", None) => (Security::StartTls, SUBMISSION_PORT),
            _ => return Err("the address must begin with smtp:// or smtps://".to_owned()),
        };
        let credentials = credentials(&url)?;
        if security == Security::Plain && credentials.is_some() && !is_local {
            return Err("tls=none would send the password in the clear".to_owned());
        }
        Ok(Self { host, port: url.port().unwrap_or(port), security, credentials })
    }
}

/// `?tls=required` or `?tls=none`; anything else is refused.
fn wish(url: &Url) -> Result<Option<bool>, String> {
    let mut wish = None;
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("tls", "required") => wish = Some(true),
            ("tls", "none") => wish = Some(false),
            _ => return Err("of parameters the address takes tls=required or tls=none".to_owned()),
        }
    }
    Ok(wish)
}

fn credentials(url: &Url) -> Result<Option<Credentials>, String> {
    let decode = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().map_err(|_| "user and password must be UTF-8".to_owned())?;
        Ok::<_, String>(text.into_owned())
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err("the address has a user or a password, but not both".to_owned()),
        (user, Some(password)) => Ok(Some(Credentials::new(decode(user)?, decode(password)?))),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Server, String> {
        Server::parse(&url.into())
    }

    #[test]
    fn a_password_never_travels_in_the_clear() {
        for (url, host, port, security, has_password) in [
            ("smtp://mail.shop.com.br", "mail.shop.com.br", 587, Security::StartTls, false),
            ("smtp://ana:s%40cret@mail.shop.com.br:2525", "mail.shop.com.br", 2525, Security::StartTls, true),
            ("smtp://ana:x@mail.shop.com.br?tls=required", "mail.shop.com.br", 587, Security::StartTls, true),
            ("smtps://ana:x@mail.shop.com.br", "mail.shop.com.br", 465, Security::Tls, true),
            ("smtp://relay.internal:25?tls=none", "relay.internal", 25, Security::Plain, false),
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, Security::Plain, false),
            ("smtp://ana:x@[::1]:1025", "::1", 1025, Security::Plain, true),
            ("smtp://ana:x@localhost?tls=required", "localhost", 587, Security::StartTls, true),
        ] {
            let server = parse(url).expect(url);
            let seen = (server.host.as_str(), server.port, server.security, server.credentials.is_some());
            assert_eq!(seen, (host, port, security, has_password), "{url}");
        }
        let clear = parse("smtp://ana:x@mail.shop.com.br?tls=none").expect_err("a password in the clear");
        assert_eq!(clear, "tls=none would send the password in the clear");
    }

    #[test]
    fn what_cannot_be_an_address_is_refused_without_quoting_it() {
        for url in [
            "",
            "mail.shop.com.br",
            "http://ana:hemlig@mail.shop.com.br",
            "smtp://",
            "smtp://ana@mail.shop.com.br",
            "smtp://:hemlig@mail.shop.com.br",
            "smtp://ana:hemlig@mail.shop.com.br/inbox",
            "smtp://ana:hemlig@mail.shop.com.br?tls=opportunistic",
            "smtp://ana:hemlig@mail.shop.com.br?starttls=1",
            "smtps://ana:hemlig@mail.shop.com.br?tls=none",
            "smtp://ana:hem%FFlig@mail.shop.com.br",
        ] {
            let why = parse(url).expect_err(url);
            assert!(!why.contains("hemlig") && !why.contains("ana"), "{why}");
        }
    }

    #[test]
    fn debug_hides_the_password() {
        let server = parse("smtps://ana:hemlig@mail.shop.com.br").expect("good");
        assert_eq!(format!("{server:?}"), "Server(mail.shop.com.br:465, Tls)");
    }
}
