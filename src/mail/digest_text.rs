//! The text of the digest.

use jiff::Timestamp;
use serde::Serialize;

use crate::alerts::{Severity, Told};

/// A digest: new alerts first, then those that occurred again since the last mail.
#[derive(Debug, Default, Serialize)]
pub struct Digest {
    pub new: Vec<Entry>,
    pub repeats: Vec<Entry>,
    /// How many alerts are left for the next mail.
    pub left: i64,
}

#[derive(Debug, Serialize)]
pub struct Entry {
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    pub key: String,
    pub subject: String,
    pub text: String,
    pub orders: Vec<String>,
    pub count: i64,
    /// How many of them since the last mail about it.
    pub since_told: i64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
}

impl Digest {
    pub fn of(told: &[Told], left: i64) -> Self {
        let (new, repeats): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|alert| alert.is_new());
        let entries = |alerts: Vec<&Told>| alerts.into_iter().map(Entry::of).collect();
        Self { new: entries(new), repeats: entries(repeats), left }
    }

    /// The mail's subject, in Portuguese. For several alerts, that of the most severe one.
    pub fn title(&self) -> String {
        let critical = self.new.iter().filter(|entry| entry.severity == Severity::Critical.as_str()).count();
        let all = self.new.len() + usize::try_from(self.left).unwrap_or(0);
        match self.new.as_slice() {
            [] => "Resumo de alertas".to_owned(),
            [entry] if self.left == 0 => entry.title(),
            [first, ..] if critical > 0 => format!("{all} alertas, {critical} crítico(s): {}", first.title()),
            [first, ..] => format!("{all} alertas: {}", first.title()),
        }
    }
}

impl Entry {
    fn of(alert: &Told) -> Self {
        Self {
            severity: alert.severity.as_str(),
            key: alert.key.clone(),
            subject: alert.subject.clone(),
            text: alert.text.clone(),
            orders: alert.orders.clone(),
            count: alert.count,
            since_told: alert.count.saturating_sub(alert.told_count),
            first_at: alert.first_at,
            last_at: alert.last_at,
        }
    }

    /// The alert's subject with its order, if it has one, and how often it occurred.
    fn title(&self) -> String {
        let order = if let [order] = self.orders.as_slice() { format!(" – pedido {order}") } else { String::new() };
        let times = if self.count > 1 { format!(" ({} vezes)", self.count) } else { String::new() };
        format!("{}{order}{times}", self.subject)
    }
}
