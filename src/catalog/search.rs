//! The query of a list of products.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::rules;
use crate::error::{Error, Result};
use crate::http::json;
use crate::http::page::{self, cursor_of, read_cursor};
use crate::http::storable;

const PARAMETERS: [&str; 11] = [
    "category",
    "q",
    "min_price_cents",
    "max_price_cents",
    "in_stock",
    "featured",
    "sort",
    "limit",
    "offset",
    "cursor",
    "include_inactive",
];

/// Filters, order and page of a list of products. Parameters that are not named here are ignored.
#[derive(Debug, Clone, Default, Deserialize, Serialize, garde::Validate, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Id or slug of a category: it and its descendants.
    #[garde(inner(length(chars, max = 200), custom(rules::one_line)))]
    #[param(max_length = 200)]
    pub category: Option<String>,
    /// Words to search for; accents, plurals, spaces before units and small typing errors do not matter. Every sign that is not a
    /// letter or digit parts words; none is an operator.
    #[garde(inner(length(chars, max = 200), custom(rules::one_line)))]
    #[param(max_length = 200)]
    pub q: Option<String>,
    /// Only products of which a variant costs this much or more, in centavos.
    #[garde(range(min = 0, max = 100_000_000_000))]
    #[param(minimum = 0, maximum = 100000000000i64)]
    pub min_price_cents: Option<i64>,
    /// Only products of which a variant costs this much or less, in centavos.
    #[garde(range(min = 0, max = 100_000_000_000))]
    #[param(minimum = 0, maximum = 100000000000i64)]
    pub max_price_cents: Option<i64>,
    /// Only products of which any variant is (or none is) in stock.
    #[garde(skip)]
    pub in_stock: Option<bool>,
    /// `true`: only products that the shop shows first; `false`: only all others.
    #[garde(skip)]
    pub featured: Option<bool>,
    /// The order. Left out: `newest`, or `relevance` where `q` is given.
    #[garde(skip)]
    #[param(inline)]
    pub sort: Option<Sort>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    pub offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(bytes, max = 2000)))]
    #[param(max_length = 2000)]
    pub cursor: Option<String>,
    /// Administrators only: inactive products too.
    #[garde(skip)]
    pub include_inactive: Option<bool>,
}

impl ListQuery {
    /// Whether a query string, whatever else stands in it, asks for products that are not sold.
    pub fn asks_for_all(query: &str) -> bool {
        form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "include_inactive" && value.trim() == "true")
    }

    /// Reads a query string; also whether it held parameters that mean nothing here. A blank `q` or `category` is none.
    pub fn read(query: &str) -> Result<(Self, bool)> {
        let mut known = form_urlencoded::Serializer::new(String::new());
        let mut foreign = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "q" | "category" if value.trim().is_empty() => {}
                name if PARAMETERS.contains(&name) => {
                    known.append_pair(name, value.trim());
                }
                _ => foreign = true,
            }
        }
        Ok((json::parse_query(&known.finish())?, foreign))
    }
}

/// The order of a list of products: `newest`, `price` (the cheapest first), `-price` (the dearest first), `name`, or
/// `relevance` (the best match of `q` first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProductSort)]
pub enum Sort {
    #[serde(rename = "newest")]
    Newest,
    #[serde(rename = "price")]
    Price,
    #[serde(rename = "-price")]
    PriceDown,
    #[serde(rename = "name")]
    Name,
    #[serde(rename = "relevance")]
    Relevance,
}

impl Sort {
    pub fn descends(self) -> bool {
        matches!(self, Self::Newest | Self::PriceDown | Self::Relevance)
    }
}

/// `q` as the database reads it.
#[derive(Debug, Default)]
pub struct Asked {
    /// All words with their synonyms; the last one may be incomplete.
    pub wanted: String,
    /// The whole of it as a title.
    pub title: String,
    /// Names that begin with the same word.
    pub first: String,
    /// The words that are not guessed at. May be empty.
    pub short: String,
}

/// Reads `q` into [`Asked`].
pub const READ: &str = "
    SELECT search_query($1, coalesce((SELECT value -> 'synonyms' FROM settings WHERE name = 'search'), '[]'))::text AS wanted,
           search_title($1) AS title, search_first($1) AS first, search_short($1) AS short";

/// How the words of `q` are matched.
#[derive(Debug, Clone, Copy)]
pub enum Words<'a> {
    None,
    /// Portuguese full text; the last word may be incomplete.
    Text(&'a Asked),
    /// By similar names, or by the first word alone: used where the text search found nothing, so that the words are
    /// probably misspelled, or one of them is not to be had.
    Similar(&'a Asked),
}

/// A checked query.
#[derive(Debug)]
pub struct Ask {
    pub query: ListQuery,
    pub sort: Sort,
    pub limit: i64,
    pub offset: i64,
    pub after: Option<Place>,
    /// A category that does not exist is an error, not an empty list.
    pub category_must_exist: bool,
}

impl Ask {
    pub fn of(mut query: ListQuery) -> Result<Self> {
        let (limit, offset) = page::bounds(query.limit, query.offset)?;
        if let (Some(min), Some(max)) = (query.min_price_cents, query.max_price_cents)
            && min > max
        {
            return Err(Error::field("min_price_cents", "must not be above max_price_cents"));
        }
        let sort = match (query.sort, &query.q) {
            (None, Some(_)) => Sort::Relevance,
            (None | Some(Sort::Relevance), None) => Sort::Newest, // without `q` nothing is more relevant
            (Some(sort), _) => sort,
        };
        let after = query.cursor.as_deref().map(|cursor| Place::read(cursor, sort, query.q.is_some())).transpose()?;
        let offset = if after.is_some() { 0 } else { offset };
        (query.sort, query.limit, query.offset) = (Some(sort), Some(limit), Some(offset));
        Ok(Self { query, sort, limit, offset, after, category_must_exist: false })
    }

    /// The one spelling of this query; the cache's key.
    pub fn canonical(&self, path: &str) -> String {
        format!("{path}?{}", serde_urlencoded::to_string(&self.query).unwrap_or_default())
    }

    /// `asked` is `q`, read.
    pub fn words<'a>(&self, asked: Option<&'a Asked>) -> Words<'a> {
        match (asked, &self.after) {
            (None, _) => Words::None,
            (Some(asked), Some(place)) if place.similar => Words::Similar(asked),
            (Some(asked), _) => Words::Text(asked),
        }
    }
}

/// The sort key of a page's last row. The next page begins behind it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    #[serde(rename = "s")]
    pub sort: Sort,
    #[serde(rename = "w")]
    pub similar: bool,
    #[serde(rename = "k")]
    pub key: Key,
    #[serde(rename = "i")]
    pub id: Uuid,
}

/// Microseconds, centavos or the bits of a rank; or a name without accents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    Number(i64),
    Text(String),
}

impl Place {
    fn read(cursor: &str, sort: Sort, searches: bool) -> Result<Self> {
        let place: Self = read_cursor(cursor)?;
        let fits = match (&place.key, place.sort) {
            (Key::Text(text), Sort::Name) => !text.contains('\0'),
            (Key::Number(micros), Sort::Newest) => Timestamp::from_microsecond(*micros).is_ok_and(storable::is_time),
            (Key::Number(_), Sort::Price | Sort::PriceDown | Sort::Relevance) => true,
            _ => false,
        };
        if place.sort != sort || !fits || (place.similar && !searches) {
            return Err(Error::field("cursor", "is not one that this list gave out"));
        }
        Ok(place)
    }

    pub fn cursor(&self) -> String {
        cursor_of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Result<Ask> {
        Ask::of(ListQuery::read(query)?.0)
    }

    fn invalid(query: &str) -> String {
        match ask(query) {
            Err(Error::Invalid(errors)) => errors[0].field.clone(),
            other => panic!("{query}: {other:?}"),
        }
    }

    #[test]
    fn every_spelling_of_a_question_has_one_canonical_form() {
        let canonical = |query| ask(query).expect("valid").canonical("/p");
        assert_eq!(canonical("q=caf%C3%A9&limit=20"), canonical("offset=0&q=café&_=123&utm_source=x"));
        assert_eq!(canonical(""), canonical("q=&category=+&sort=newest"));
        assert_ne!(canonical("sort=price"), canonical("sort=-price"));
    }

    #[test]
    fn only_parameters_that_mean_nothing_are_foreign() {
        assert!(!ListQuery::read("sort=price&limit=3").expect("valid").1);
        assert!(ListQuery::read("sort=price&page=3").expect("valid").1);
    }

    #[test]
    fn an_invalid_filter_is_named() {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("offset=-1", "offset"),
            ("offset=100001", "offset"),
            ("sort=random", "sort"),
            ("min_price_cents=-1", "min_price_cents"),
            ("min_price_cents=10.5", "min_price_cents"),
            ("min_price_cents=2&max_price_cents=1", "min_price_cents"),
            ("in_stock=perhaps", "in_stock"),
            ("q=%00", "q"),
            ("cursor=nonsense", "cursor"),
        ] {
            assert_eq!(invalid(query), field, "{query}");
        }
        assert_eq!(invalid(&format!("q={}", "a".repeat(201))), "q");
    }

    #[test]
    fn a_cursor_serves_only_the_list_that_gave_it_out() {
        let place = Place { sort: Sort::Price, similar: false, key: Key::Number(5), id: Uuid::nil() };
        let cursor = place.cursor();
        assert!(ask(&format!("sort=price&cursor={cursor}")).is_ok());
        assert_eq!(invalid(&format!("sort=name&cursor={cursor}")), "cursor");
        let forged = Place { sort: Sort::Name, similar: false, key: Key::Text("a\0".into()), id: Uuid::nil() };
        assert_eq!(invalid(&format!("sort=name&cursor={}", forged.cursor())), "cursor");
    }
}
