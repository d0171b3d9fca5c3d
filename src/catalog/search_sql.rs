//! The SQL of a list of products: its filters, its ranks and its page.

use jiff::Timestamp;
use tokio_postgres::types::{ToSql, Type};

use super::search::{Ask, Key, Sort, Words};
use crate::ids::CategoryId;

/// How many matches of a search are ranked. Any other order reaches the rest.
const RANKED_MAX: i64 = 1_000;

/// A statement's text and its arguments. Sent unnamed: filters come in thousands of shapes, too many to keep prepared,
/// and the planner sees the values.
#[derive(Default)]
pub struct Args(Vec<(Box<dyn ToSql + Sync + Send>, Type)>);

impl Args {
    /// Adds an argument; its placeholder.
    fn add(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.0.push((Box::new(value), kind));
        format!("${}", self.0.len())
    }

    pub fn list(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.0.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone())).collect()
    }
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} arguments", self.0.len())
    }
}

/// What a row must meet, and its rank.
pub struct Matches {
    pub condition: String,
    rank: String,
    /// What the rows meet that are ranked before all others are looked at.
    first: Option<String>,
}

pub fn matches(ask: &Ask, categories: Option<Vec<CategoryId>>, words: Words<'_>, args: &mut Args) -> Matches {
    let query = &ask.query;
    let mut sql = String::from("p.deleted_at IS NULL");
    if query.include_inactive != Some(true) {
        sql += " AND p.active";
    }
    if let Some(ids) = categories {
        sql += &format!(" AND p.category_id = ANY({})", args.add(ids, Type::UUID_ARRAY));
    }
    // One variant must have such a price, and be in stock where that is asked for.
    let (min, max) = (query.min_price_cents, query.max_price_cents);
    if min.is_some() || max.is_some() {
        sql += " AND EXISTS (SELECT FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL";
        for (compare, cents) in [(">=", min), ("<=", max)] {
            if let Some(cents) = cents {
                sql += &format!(" AND v.price_cents {compare} {}", args.add(cents, Type::INT8));
            }
        }
        sql += if query.in_stock == Some(true) { " AND v.stock > 0)" } else { ")" };
    }
    if let Some(in_stock) = query.in_stock {
        let not = if in_stock { "" } else { "NOT " };
        sql += &format!(
            " AND {not}EXISTS (SELECT FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL AND v.stock > 0)"
        );
    }
    match query.featured {
        Some(true) => sql += " AND p.featured",
        Some(false) => sql += " AND NOT p.featured",
        None => {}
    }
    let q = query.q.clone().unwrap_or_default();
    match words {
        Words::None => Matches { condition: sql, rank: "0::real".to_owned(), first: None },
        Words::Text(asked) => {
            let wanted = format!("{}::tsquery", args.add(asked.wanted.clone(), Type::TEXT));
            let title = format!("p.search @@ {}::tsquery", args.add(asked.title.clone(), Type::TEXT));
            let q = args.add(q, Type::TEXT);
            let begins = format!("p.search @@ {}::tsquery", args.add(asked.first.clone(), Type::TEXT));
            // Its own title finds a product first. Then what begins with the same word comes before what only belongs to it
            // ("café", "moedor de café"), and a name of which the query is the greater part before a longer one.
            let rank = format!(
                "(ts_rank(p.search, {wanted}) + 0.1::real * least(1, length({q})::real / length(p.name))
                  + CASE WHEN {begins} THEN 0.3::real ELSE 0::real END + CASE WHEN {title} THEN 10::real ELSE 0::real END)::real"
            );
            Matches { condition: format!("{sql} AND p.search @@ {wanted}"), rank, first: Some(title) }
        }
        Words::Similar(asked) => {
            let q = args.add(q, Type::TEXT);
            let first = args.add(asked.first.clone(), Type::TEXT);
            let mut alike = format!("plain(p.name) %> plain({q})");
            if !asked.short.is_empty() {
                alike += &format!(" AND p.search @@ {}::tsquery", args.add(asked.short.clone(), Type::TEXT));
            }
            sql += &format!(" AND ({alike} OR p.search @@ {first}::tsquery)");
            // A match at the name's beginning ranks higher: "café" finds coffee before "moedor de café".
            let rank = format!(
                "(word_similarity(plain({q}), plain(p.name)) + 0.2::real * similarity(plain({q}), split_part(plain(p.name), ' ', 1)))"
            );
            Matches { condition: sql, rank, first: None }
        }
    }
}

/// The statement that finds a page's ids in order, one more than asked for. Its columns are `id` and `key`.
pub fn page_sql(ask: &Ask, matches: &Matches, args: &mut Args) -> String {
    let Matches { condition, rank, first } = matches;
    let (key, compare, order) = match ask.sort {
        Sort::Newest => ("p.created_at", "<", "DESC"),
        Sort::Price => ("p.price_cents", ">", "ASC"),
        Sort::PriceDown => ("p.price_cents", "<", "DESC"),
        Sort::Name => ("plain(p.name)", ">", "ASC"),
        Sort::Relevance => ("p.key", "<", "DESC"),
    };
    let behind = ask.after.as_ref().map(|place| {
        let key_arg = match (&place.key, ask.sort) {
            (Key::Text(text), _) => args.add(text.clone(), Type::TEXT),
            (Key::Number(micros), Sort::Newest) => {
                args.add(Timestamp::from_microsecond(*micros).unwrap_or_default(), Type::TIMESTAMPTZ)
            }
            (Key::Number(bits), Sort::Relevance) => args.add(f32::from_bits(*bits as u32), Type::FLOAT4),
            (Key::Number(cents), _) => args.add(*cents, Type::INT8),
        };
        format!("({key}, p.id) {compare} ({key_arg}, {})", args.add(place.id, Type::UUID))
    });
    let (limit, offset) = (ask.limit + 1, ask.offset);
    let end = format!("ORDER BY {key} {order}, p.id {order} LIMIT {limit} OFFSET {offset}");
    if ask.sort == Sort::Relevance {
        let behind = behind.map(|b| format!("WHERE {b}")).unwrap_or_default();
        let ranked = format!("SELECT p.id, {rank} AS key FROM products p WHERE {condition}");
        let before = first.as_ref().map(|first| format!("({ranked} AND {first} LIMIT {RANKED_MAX}) UNION ")).unwrap_or_default();
        return format!(
            "WITH found AS MATERIALIZED ({before} ({ranked} LIMIT {RANKED_MAX}))
             SELECT p.id, p.key FROM found p {behind} {end}"
        );
    }
    let behind = behind.map(|b| format!("AND {b}")).unwrap_or_default();
    format!("SELECT p.id, {key} AS key FROM products p WHERE {condition} {behind} {end}")
}
