//! Products as the database has them. A page takes the same few statements whatever its size.

use std::collections::BTreeMap;

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use super::search::{Ask, Asked, Key, ListQuery, Place, READ, Sort, Words};
use super::search_sql::{Args, matches, page_sql};
use super::{Image, Product, Variant, categories, rules};
use crate::currency::Currency;
use crate::db::{self, Connection, sql};
use crate::error::{Error, Result};
use crate::http::page::List;
use crate::ids::{CategoryId, ProductId};
use crate::tax::TaxData;

/// Totals up to here are exact; above it the planner's estimate is given. The OpenAPI document says so.
const COUNTED_MAX: i64 = 10_000;
/// The same bound for a search, where counting a match costs more.
const COUNTED_MATCHES_MAX: i64 = 1_000;

/// What [`product`] reads.
const COLUMNS: &str = "
    p.id, p.slug, p.name, p.description, p.category_id, p.featured, p.active, p.weight_grams, p.height_cm, p.width_cm,
    p.length_cm, p.ncm, p.cfop, p.origin, p.tax, p.attributes, p.created_at, p.updated_at, v.variants, i.images";
const JOINS: &str = "
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
                   'id', v.id, 'sku', v.sku, 'name', v.name, 'options', v.options, 'price_cents', v.price_cents,
                   'compare_at_cents', v.compare_at_cents, 'stock', v.stock, 'in_stock', v.stock > 0)
                   ORDER BY v.is_default DESC, v.position, v.id), '[]') AS variants
          FROM variants v WHERE v.product_id = p.id AND v.deleted_at IS NULL) v
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object('url', i.url, 'alt', i.alt) ORDER BY i.position), '[]') AS images
          FROM product_images i WHERE i.product_id = p.id) i";

fn product(row: &Row) -> Product {
    let Json(variants): Json<Vec<Variant>> = row.get("variants");
    let Json(images): Json<Vec<Image>> = row.get("images");
    let Json(attributes): Json<BTreeMap<String, String>> = row.get("attributes");
    let first = variants.first(); // always there while the product is not deleted
    Product {
        id: row.get("id"),
        sku: first.map(|v| v.sku.clone()).unwrap_or_default(),
        slug: row.get("slug"),
        name: row.get("name"),
        description: row.get("description"),
        price_cents: first.map_or(0, |v| v.price_cents),
        compare_at_cents: first.and_then(|v| v.compare_at_cents),
        currency: Currency::Brl,
        stock: first.map_or(0, |v| v.stock),
        in_stock: variants.iter().any(|v| v.in_stock),
        featured: row.get("featured"),
        active: row.get("active"),
        category_id: row.get("category_id"),
        images,
        weight_grams: row.get("weight_grams"),
        height_cm: row.get("height_cm"),
        width_cm: row.get("width_cm"),
        length_cm: row.get("length_cm"),
        ncm: row.get("ncm"),
        cfop: row.get("cfop"),
        origin: row.get("origin"),
        tax: TaxData::kept(row.get("tax")),
        attributes,
        variants,
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}

/// A product by id or slug. Inactive ones only where that is asked for; deleted ones never.
pub async fn find(db: &impl GenericClient, name: &str, include_inactive: bool) -> Result<Option<Product>> {
    let (id, slug) = match name.parse::<Uuid>() {
        Ok(id) => (Some(ProductId(id)), None),
        Err(_) if rules::is_slug(name) => (None, Some(name)),
        Err(_) => return Ok(None),
    };
    const BY_ID: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM products p ",
        JOINS,
        " WHERE p.id = $1 AND $2::text IS NULL AND p.deleted_at IS NULL AND (p.active OR $3)"
    );
    const BY_SLUG: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM products p ",
        JOINS,
        " WHERE p.slug = $2 AND $1::uuid IS NULL AND p.deleted_at IS NULL AND (p.active OR $3)"
    );
    let sql = if id.is_some() { BY_ID } else { BY_SLUG };
    Ok(db::query_opt(db, sql, &[&id, &slug, &include_inactive]).await?.as_ref().map(product))
}

/// The same, or 404.
pub async fn get(db: &impl GenericClient, name: &str, include_inactive: bool) -> Result<Product> {
    find(db, name, include_inactive).await?.ok_or(Error::NotFound("The product"))
}

/// Products in id order after `after`, inactive ones too: for the export.
pub async fn list_behind(db: &impl GenericClient, after: Uuid, limit: i64) -> Result<Vec<Product>> {
    const LIST: &str = sql!(
        "SELECT ",
        COLUMNS,
        " FROM (SELECT id FROM products WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2) page
           JOIN products p USING (id) ",
        JOINS,
        " ORDER BY p.id"
    );
    Ok(db::query(db, LIST, &[&after, &limit]).await?.iter().map(product).collect())
}

/// The products of these slugs, inactive ones too. For the import.
pub async fn list_by_slugs(db: &impl GenericClient, slugs: &[&str]) -> Result<Vec<Product>> {
    const LIST: &str =
        sql!("SELECT ", COLUMNS, " FROM products p ", JOINS, " WHERE p.slug = ANY($1) AND p.deleted_at IS NULL ORDER BY p.id");
    Ok(db::query(db, LIST, &[&slugs]).await?.iter().map(product).collect())
}

/// A page of products. If the text search finds nothing, the words are matched by similarity.
pub async fn list(db: &Connection, ask: &Ask) -> Result<List<Product>> {
    let categories = match &ask.query.category {
        Some(name) => Some(categories::branch(db, name).await?),
        None => None,
    };
    if ask.category_must_exist && categories.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::NotFound("The category"));
    }
    let asked = match &ask.query.q {
        Some(q) => Some(read(db, q).await?),
        None => None,
    };
    let words = ask.words(asked.as_ref());
    let page = list_by(db, ask, categories.clone(), words).await?;
    match words {
        Words::Text(asked) if page.total == 0 && ask.after.is_none() => list_by(db, ask, categories, Words::Similar(asked)).await,
        _ => Ok(page),
    }
}

async fn read(db: &Connection, q: &str) -> Result<Asked> {
    let row = db::query_one(db, READ, &[&q]).await?;
    Ok(Asked { wanted: row.get("wanted"), title: row.get("title"), first: row.get("first"), short: row.get("short") })
}

async fn list_by(db: &Connection, ask: &Ask, categories: Option<Vec<CategoryId>>, words: Words<'_>) -> Result<List<Product>> {
    let (sql, args) = list_sql(ask, categories.clone(), words);
    let args = args.list();
    // Pipelined: the second statement does not wait for the first one's answer.
    let (rows, total) = tokio::try_join!(async { Ok(db.query_typed(&sql, &args).await?) }, total(db, ask, categories, words))?;
    let wanted = ask.limit as usize;
    let next_cursor = (rows.len() > wanted).then(|| place(&rows[wanted - 1], ask.sort, words).cursor());
    let items = rows.iter().take(wanted).map(product).collect();
    Ok(List { items, total, limit: ask.limit, offset: ask.offset, next_cursor })
}

fn list_sql(ask: &Ask, categories: Option<Vec<CategoryId>>, words: Words<'_>) -> (String, Args) {
    let mut args = Args::default();
    let matches = matches(ask, categories, words, &mut args);
    let page = page_sql(ask, &matches, &mut args);
    let order = if ask.sort.descends() { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS}, page.key FROM ({page}) page JOIN products p USING (id) {JOINS} ORDER BY page.key {order}, p.id {order}"
    );
    (sql, args)
}

fn count_sql(ask: &Ask, categories: Option<Vec<CategoryId>>, words: Words<'_>) -> (String, Args) {
    let mut args = Args::default();
    let condition = matches(ask, categories, words, &mut args).condition;
    let most = counted_max(words);
    (format!("SELECT count(*) FROM (SELECT FROM products p WHERE {condition} LIMIT {most} + 1) counted"), args)
}

fn counted_max(words: Words<'_>) -> i64 {
    if matches!(words, Words::None) { COUNTED_MAX } else { COUNTED_MATCHES_MAX }
}

/// The statements of [`list`], with the types of their parameters: each filter alone, in every order, with and without a
/// place to go on from. For the test that prepares every statement.
pub fn list_statements() -> Result<Vec<(String, Vec<Type>)>> {
    const FILTERS: [&str; 10] = [
        "",
        "include_inactive=true",
        "category=x",
        "min_price_cents=1",
        "max_price_cents=9",
        "in_stock=true",
        "in_stock=false",
        "featured=true",
        "featured=false",
        "q=uma+caneca",
    ];
    const SORTS: [Sort; 5] = [Sort::Newest, Sort::Price, Sort::PriceDown, Sort::Name, Sort::Relevance];
    let mut statements = Vec::new();
    for (filter, sort) in FILTERS.into_iter().flat_map(|filter| SORTS.map(|sort| (filter, sort))) {
        let mut ask = Ask::of(ListQuery { sort: Some(sort), ..ListQuery::read(filter)?.0 })?;
        let key = if ask.sort == Sort::Name { Key::Text("a".into()) } else { Key::Number(1) };
        let place = Place { sort: ask.sort, similar: false, key, id: Uuid::nil() };
        let asked = Asked { short: "'40'".into(), ..Asked::default() };
        let words: &[Words<'_>] =
            if ask.query.q.is_some() { &[Words::Text(&asked), Words::Similar(&asked)] } else { &[Words::None] };
        let categories = || ask_categories(filter);
        for words in words {
            statements.push(count_sql(&ask, categories(), *words));
            for after in [None, Some(place.clone())] {
                ask.after = after;
                statements.push(list_sql(&ask, categories(), *words));
            }
        }
    }
    Ok(statements.into_iter().map(|(sql, args)| (sql, args.list().into_iter().map(|(_, kind)| kind).collect())).collect())
}

fn ask_categories(filter: &str) -> Option<Vec<CategoryId>> {
    filter.starts_with("category").then(Vec::new)
}

fn place(row: &Row, sort: Sort, words: Words<'_>) -> Place {
    let key = match sort {
        Sort::Newest => Key::Number(row.get::<_, Timestamp>("key").as_microsecond()),
        Sort::Price | Sort::PriceDown => Key::Number(row.get("key")),
        Sort::Name => Key::Text(row.get("key")),
        Sort::Relevance => Key::Number(i64::from(row.get::<_, f32>("key").to_bits())),
    };
    Place { sort, similar: matches!(words, Words::Similar(_)), key, id: row.get("id") }
}

/// How many there are in all: exact up to a bound, an estimate above.
async fn total(db: &Connection, ask: &Ask, categories: Option<Vec<CategoryId>>, words: Words<'_>) -> Result<i64> {
    let (count, args) = count_sql(ask, categories.clone(), words);
    let counted: i64 = db.query_typed_one(&count, &args.list()).await?.get(0);
    if counted <= counted_max(words) {
        return Ok(counted);
    }
    let mut args = Args::default();
    let condition = matches(ask, categories, words, &mut args).condition;
    let args = args.list();
    let explained = db.query_typed_one(&format!("EXPLAIN (FORMAT JSON) SELECT FROM products p WHERE {condition}"), &args).await?;
    let plan: serde_json::Value = explained.get(0);
    Ok(plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or(0).max(counted))
}
