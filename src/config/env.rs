//! Reads variables one by one and collects the mistakes instead of stopping at the first.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{Span, SpanRelativeTo};
use secrecy::SecretString;

use super::{Limit, Mode};

/// Parts of well-known example secrets, which `serve` refuses.
const WELL_KNOWN: [&str; 8] = ["changeme", "secret", "your-secret", "development", "dev-", "example", "sk_test_dev", "whsec_dev"];
/// A part of every default key of the sandbox.
const SANDBOX_ONLY: &str = "development-only";

/// Reads variables and collects mistakes.
pub(super) struct Env<'a> {
    var: &'a dyn Fn(&str) -> Option<String>,
    pub(super) mode: Mode,
    pub(super) mistakes: Vec<String>,
}

impl<'a> Env<'a> {
    pub(super) fn new(mode: Mode, var: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { var, mode, mistakes: Vec::new() }
    }

    pub(super) fn mistake(&mut self, name: &str, what: &str) {
        self.mistakes.push(format!("{name} {what}"));
    }

    pub(super) fn optional(&self, name: &str) -> Option<String> {
        (self.var)(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    pub(super) fn list(&self, name: &str, default: &str) -> Vec<String> {
        self.text(name, default)
            .split(',')
            .map(|part| part.trim().trim_end_matches('/').to_owned())
            .filter(|p| !p.is_empty())
            .collect()
    }

    pub(super) fn number(&mut self, name: &str, default: u64, min: u64, max: u64) -> u64 {
        match self.optional(name).map(|text| text.parse::<u64>()) {
            None => default,
            Some(Ok(n)) if (min..=max).contains(&n) => n,
            Some(_) => {
                self.mistake(name, &format!("must be a whole number from {min} to {max}"));
                default
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.optional(name).as_deref() {
            None => default,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(_) => {
                self.mistake(name, "must be true or false");
                default
            }
        }
    }

    pub(super) fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let given = self.text(name, choices[0].0);
        match choices.iter().find(|(word, _)| *word == given) {
            Some((_, value)) => *value,
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                self.mistake(name, &format!("must be one of {}", words.join(", ")));
                choices[0].1
            }
        }
    }

    pub(super) fn duration(&mut self, name: &str, default: &str) -> Duration {
        let text = self.text(name, default);
        parse_duration(&text).unwrap_or_else(|| {
            self.mistake(name, "must be a time such as 500ms, 30s, 15m, 24h or 7d");
            Duration::from_secs(1)
        })
    }

    pub(super) fn limit(&mut self, name: &str, default: &str) -> Option<Limit> {
        let text = self.text(name, default);
        if text == "0" {
            return None;
        }
        let parsed = text.split_once('/').and_then(|(burst, per)| {
            Some(Limit { burst: burst.trim().parse().ok().filter(|n| *n > 0)?, per: parse_duration(per.trim())? })
        });
        if parsed.is_none() {
            self.mistake(name, "must be a count per time such as 5/20s, or 0 for no limit");
        }
        parsed
    }

    pub(super) fn url(&mut self, name: &str, default: &str) -> String {
        let text = self.text(name, default).trim_end_matches('/').to_owned();
        if !text.starts_with("http://") && !text.starts_with("https://") {
            self.mistake(name, "must be an address that starts with https:// or http://");
        }
        text
    }

    pub(super) fn required_url(&mut self, name: &str) -> String {
        if self.optional(name).is_none() {
            self.mistake(name, "is required");
            return String::new();
        }
        self.url(name, "")
    }

    pub(super) fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.mistake(name, "is required");
            String::new()
        })
    }

    /// A PEM text, or the path of a file that holds one.
    pub(super) fn pem(&mut self, name: &str) -> Option<String> {
        let given = self.optional(name)?;
        let text = if given.starts_with("-----BEGIN") {
            given.replace("\\n", "\n")
        } else {
            std::fs::read_to_string(&given).unwrap_or_default()
        };
        if !text.contains("-----BEGIN") {
            self.mistake(
                name,
                "must be a PEM text, or the path of a readable PEM file (for a .p12: openssl pkcs12 -in x.p12 -out x.pem -nodes)",
            );
            return None;
        }
        Some(text)
    }

    pub(super) fn database_url(&mut self) -> SecretString {
        let url = self.text("DATABASE_URL", "");
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            self.mistake("DATABASE_URL", "is required: postgres://user:password@host:5432/database");
        }
        SecretString::from(url)
    }

    pub(super) fn secret(&mut self, name: &str, min_bytes: usize) -> SecretString {
        let value = self.text(name, "");
        if value.is_empty() {
            self.mistake(name, "is required");
        } else if self.mode == Mode::Serve {
            let lower = value.to_lowercase();
            if WELL_KNOWN.iter().any(|known| lower.starts_with(known)) || lower.contains(SANDBOX_ONLY) {
                self.mistake(name, "is a default that everybody knows: make one with `openssl rand -base64 48`");
            } else if value.len() < min_bytes {
                self.mistake(name, &format!("must have at least {min_bytes} bytes"));
            }
        }
        SecretString::from(value)
    }

    /// `1:BASE64,2:BASE64`, each of 32 bytes that are not all the same.
    pub(super) fn data_keys(&mut self) -> Vec<(i16, SecretString)> {
        let mut keys = Vec::new();
        let given = self.list("DATA_KEYS", "");
        if given.is_empty() {
            self.mistake("DATA_KEYS", "is required: make it with `echo 1:$(openssl rand -base64 32)`, and keep it safe");
        }
        for part in given {
            let key = part.split_once(':').and_then(|(id, key)| {
                let id = id.parse::<i16>().ok().filter(|id| *id > 0)?;
                STANDARD.decode(key).ok().filter(|bytes| bytes.len() == 32 && bytes.iter().any(|byte| *byte != bytes[0]))?;
                Some((id, SecretString::from(key.to_owned())))
            });
            match key {
                Some((id, _)) if keys.iter().any(|(other, _)| *other == id) => self.mistake("DATA_KEYS", "has an id twice"),
                Some(key) => keys.push(key),
                None => self.mistake("DATA_KEYS", "must be id:key pairs, the id from 1 and the key 32 random bytes in base64"),
            }
        }
        keys
    }
}

/// `500ms`, `20s`, `1h30m`, `24h`, `7d`; a day has 24 hours. Not zero, and nothing whose length depends on the calendar.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(time).ok().filter(|time| !time.is_zero())
}
