//! The languages of messages.

use actix_web::http::header::{AcceptLanguage, Quality};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The language of messages: `pt-BR`, which is the default, or `en`.
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

    /// The language of ours with the highest weight; if equal, the first.
    pub fn accepted(header: &AcceptLanguage) -> Self {
        let mut best = (Self::Pt, Quality::ZERO);
        for wish in header.iter() {
            let tag = wish.item.item().map(|tag| tag.primary_language().to_ascii_lowercase());
            let lang = match tag.as_deref() {
                Some("pt") => Self::Pt,
                Some("en") => Self::En,
                _ => continue,
            };
            if wish.quality > best.1 {
                best = (lang, wish.quality);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::Header;
    use actix_web::test::TestRequest;

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
            ("EN", Lang::En),
            ("en_US,pt;q=0.1", Lang::Pt),
        ] {
            let req = TestRequest::default().insert_header(("accept-language", header)).to_http_request();
            let header_read = AcceptLanguage::parse(&req).expect("what cannot be read is left out");
            assert_eq!(Lang::accepted(&header_read), lang, "{header}");
        }
    }
}
