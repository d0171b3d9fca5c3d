//! The languages of messages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Portuguese is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum Lang {
    #[default]
    #[serde(rename = "pt-BR")]
    Pt,
    #[serde(rename = "en")]
    En,
}

impl Lang {
    pub const ALL: [Self; 2] = [Self::Pt, Self::En];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pt => "pt-BR",
            Self::En => "en",
        }
    }

    /// Reads what the database holds.
    pub fn of(text: &str) -> Self {
        if text == "en" { Self::En } else { Self::Pt }
    }

    /// The language of ours with the highest weight in an `Accept-Language`; if equal, the first.
    pub fn accepted(header: &str) -> Self {
        let mut best = (Self::Pt, 0);
        for part in header.split(',').take(20) {
            let mut words = part.split(';').map(str::trim);
            let tag = words.next().unwrap_or_default().to_ascii_lowercase();
            let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let weight = (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u32; // weights have at most three decimals
            let lang = match tag.split('-').next().unwrap_or_default() {
                "pt" => Self::Pt,
                "en" => Self::En,
                _ => continue,
            };
            if weight > best.1 {
                best = (lang, weight);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_likes_english_better_is_written_to_in_english() {
        for (header, lang) in [
            ("", Lang::Pt),
            ("pt-BR,pt;q=0.9,en;q=0.8", Lang::Pt),
            ("en-US,en;q=0.9", Lang::En),
            ("en;q=0.3, pt;q=0.4", Lang::Pt),
            ("de-DE,de;q=0.9,en;q=0.5", Lang::En),
            ("ja", Lang::Pt),
            ("en;q=0", Lang::Pt),
            ("en;q=soon,*", Lang::Pt),
        ] {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }
}
