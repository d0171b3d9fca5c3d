//! The SQL of the cart. Every change is one statement that locks the cart's row first, so that parallel changes lose nothing,
//! and a checkout that holds the row sees a change either whole or not at all.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use tokio_postgres::Row;
use vitrine_kit::Money;

use super::{MAX_LINES, MAX_QUANTITY, Owner};
use crate::coupons::Coupon;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{CartId, CouponId, ProductId, VariantId};

/// A line with the present state of its variant and product.
#[derive(Debug, Clone)]
pub struct Line {
    pub variant: VariantId,
    pub product: ProductId,
    pub sku: String,
    pub slug: String,
    pub name: String,
    pub variant_name: String,
    pub image_url: Option<String>,
    pub quantity: i32,
    /// The price when it was added.
    pub seen_price: Money,
    /// The price that the buyer was last shown.
    pub shown_price: Money,
    pub price: Money,
    pub stock: i32,
    /// Neither the product nor the variant was taken off sale.
    pub sold: bool,
}

impl Line {
    fn from_row(row: &Row) -> Self {
        Self {
            variant: row.get("variant_id"),
            product: row.get("product_id"),
            sku: row.get("sku"),
            slug: row.get("slug"),
            name: row.get("name"),
            variant_name: row.get("variant_name"),
            image_url: row.get("image_url"),
            quantity: row.get("quantity"),
            seen_price: row.get("seen_price_cents"),
            shown_price: row.get("shown_price_cents"),
            price: row.get("price_cents"),
            stock: row.get("stock"),
            sold: row.get("sold"),
        }
    }
}

/// A product, its variant, and the quantity.
pub type Sold = (ProductId, VariantId, i32);

/// A cart with the present state of all that is in it.
#[derive(Debug, Default)]
pub struct Read {
    /// Oldest first.
    pub lines: Vec<Line>,
    /// With its uses by this person.
    pub coupon: Option<(Coupon, i64)>,
    /// What the coupon took off when the cart was last shown.
    pub shown_discount: Money,
}

/// One round trip: the two queries are pipelined.
pub async fn read_cart(db: &impl GenericClient, owner: &Owner) -> Result<Read> {
    const LINES: &str = "
        SELECT c.shown_discount_cents, i.variant_id, i.quantity, i.seen_price_cents, i.shown_price_cents, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock,
               p.name, p.slug, p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL AS sold,
               (SELECT g.url FROM product_images g WHERE g.product_id = p.id ORDER BY g.position LIMIT 1) AS image_url
          FROM carts c JOIN cart_items i ON i.cart_id = c.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
         WHERE c.owner = $1
         ORDER BY i.added_at, i.variant_id";
    const COUPON: &str = "
        SELECT k.id, k.code, k.kind, k.value, k.min_subtotal_cents, k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses,
               k.max_uses_per_customer, k.uses, k.active, coupon_uses_of(k.id, ARRAY[u.tax_id_hash], u.id, u.email, NULL) AS person_uses
          FROM carts c JOIN coupons k ON k.id = c.coupon_id LEFT JOIN users u ON u.id = c.user_id
         WHERE c.owner = $1";
    let owner = owner.key();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&owner];
    let (lines, coupon) = tokio::try_join!(db::query(db, LINES, &params), db::query_opt(db, COUPON, &params))?;
    let coupon = coupon.map(|row| (Coupon::from_row(&row), row.get("person_uses")));
    let shown_discount = lines.first().map(|row| row.get("shown_discount_cents")).unwrap_or_default();
    Ok(Read { lines: lines.iter().map(Line::from_row).collect(), coupon, shown_discount })
}

/// Prices of lines that differ from those that were last shown.
pub fn changed_prices(lines: &[Line]) -> Vec<(VariantId, Money)> {
    lines.iter().filter(|line| line.shown_price != line.price).map(|line| (line.variant, line.price)).collect()
}

/// Remembers the prices and the discount that the buyer is shown now.
pub async fn remember_shown(
    db: &impl GenericClient,
    owner: &Owner,
    prices: Vec<(VariantId, Money)>,
    discount: Money,
) -> Result<()> {
    // The cart's row first, as every change.
    const SHOWN: &str = "
        WITH cart AS (UPDATE carts SET shown_discount_cents = $4 WHERE owner = $1 RETURNING id)
        UPDATE cart_items i SET shown_price_cents = l.price
          FROM cart, unnest($2::uuid[], $3::bigint[]) AS l (variant, price)
         WHERE i.cart_id = cart.id AND i.variant_id = l.variant";
    let (variants, prices): (Vec<VariantId>, Vec<Money>) = prices.into_iter().unzip();
    db::execute(db, SHOWN, &[&owner.key(), &variants, &prices, &discount]).await?;
    Ok(())
}

/// The lines that are still sold, and the coupon if it can be used on them.
pub async fn list_sold(db: &impl GenericClient, owner: &Owner) -> Result<(Vec<Sold>, Option<Coupon>)> {
    let Read { lines, coupon, .. } = read_cart(db, owner).await?;
    let sold: Vec<&Line> = lines.iter().filter(|line| line.sold).collect();
    let prices = sold.iter().map(|line| line.price.times(line.quantity.unsigned_abs()));
    let subtotal = prices.collect::<Option<Vec<_>>>().and_then(Money::sum).unwrap_or_default();
    let holds = |(coupon, uses): &(Coupon, i64)| coupon.refusal_to(*uses, subtotal, Timestamp::now()).is_none();
    let coupon = coupon.filter(holds).map(|(coupon, _)| coupon);
    Ok((sold.iter().map(|line| (line.product, line.variant, line.quantity)).collect(), coupon))
}

/// An item to add.
#[derive(Debug)]
pub struct Addition {
    pub product: ProductId,
    /// `None`: the product's default variant.
    pub variant: Option<VariantId>,
    pub quantity: i32,
}

/// Adds an item. Creates the cart where there is none, for a guest under `fresh_hash`. Returns whether it was created.
pub async fn add_item(db: &impl GenericClient, owner: Option<&Owner>, fresh_hash: Option<&[u8]>, new: &Addition) -> Result<bool> {
    // The limit of 100 lines is checked against the statement's snapshot: parallel requests may exceed it by their own number.
    const ADD: &str = "
        WITH target AS (
            SELECT v.id, v.sku, v.stock, v.price_cents
              FROM variants v JOIN products p ON p.id = v.product_id
             WHERE p.id = $1 AND p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL
               AND (v.id = $2 OR ($2::uuid IS NULL AND v.is_default))),
        known AS (
            UPDATE carts SET updated_at = now() WHERE owner = $4 RETURNING id),
        made AS (
            INSERT INTO carts (id, user_id, owner)
            SELECT $5, $3, $6 FROM target WHERE stock >= $7 AND NOT EXISTS (SELECT FROM known)
            ON CONFLICT (owner) DO UPDATE SET updated_at = now() RETURNING id),
        held AS (
            SELECT count(*) AS lines, count(*) FILTER (WHERE i.variant_id = (SELECT id FROM target)) > 0 AS has_it
              FROM cart_items i JOIN known ON i.cart_id = known.id),
        line AS (
            INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents)
            SELECT cart.id, target.id, $7, target.price_cents, target.price_cents
              FROM (SELECT id FROM known UNION ALL SELECT id FROM made) AS cart, target, held
             WHERE target.stock >= $7 AND (held.lines < $8 OR held.has_it)
            ON CONFLICT (cart_id, variant_id) DO UPDATE
               SET quantity = cart_items.quantity + EXCLUDED.quantity, seen_price_cents = EXCLUDED.seen_price_cents,
                   shown_price_cents = EXCLUDED.shown_price_cents
             WHERE cart_items.quantity + EXCLUDED.quantity <= (SELECT least(stock, $9) FROM target)
            RETURNING quantity)
        SELECT target.sku, target.stock, held.lines >= $8 AND NOT held.has_it AS full_up,
               EXISTS (SELECT FROM line) AS added, EXISTS (SELECT FROM made) AS made
          FROM target, held";
    let (user, key) = (owner.and_then(Owner::user), owner.map(Owner::key));
    // A guest's unknown token makes no cart: the new one has a token of our making.
    let new_key = if user.is_some() { key } else { fresh_hash };
    let id = CartId::new();
    let row = db::query_opt(
        db,
        ADD,
        &[&new.product, &new.variant, &user, &key, &id, &new_key, &new.quantity, &MAX_LINES, &MAX_QUANTITY],
    )
    .await?;
    let row = row.ok_or(Error::NotFound("The product"))?;
    if row.get("added") {
        return Ok(row.get("made"));
    }
    if row.get("full_up") {
        return Err(Error::Conflict(format!("A cart holds at most {MAX_LINES} different items")));
    }
    Err(short_of_stock(&row))
}

fn short_of_stock(row: &Row) -> Error {
    let stock: i32 = row.get("stock");
    if stock >= MAX_QUANTITY {
        return Error::Conflict(format!("A cart holds at most {MAX_QUANTITY} pieces of one item"));
    }
    Error::OutOfStock { sku: row.get("sku"), available: stock }
}

/// The line that a request means: `id` is a variant's or a product's; `variant` chooses among several lines of a product.
#[derive(Debug)]
pub struct Which {
    pub id: uuid::Uuid,
    pub variant: Option<VariantId>,
}

/// Sets a line's quantity.
pub async fn set_quantity(db: &impl GenericClient, owner: &Owner, which: &Which, quantity: i32) -> Result<()> {
    const SET: &str = "
        WITH cart AS (
            UPDATE carts SET updated_at = now() WHERE owner = $1 RETURNING id),
        lines AS (
            SELECT i.cart_id, i.variant_id, v.sku, v.stock, v.price_cents,
                   p.active AND p.deleted_at IS NULL AND v.deleted_at IS NULL AS sold, count(*) OVER () AS lines
              FROM cart JOIN cart_items i ON i.cart_id = cart.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
             WHERE (v.id = $2 OR p.id = $2) AND (v.id = $3 OR $3::uuid IS NULL)),
        changed AS (
            UPDATE cart_items i SET quantity = $4, seen_price_cents = l.price_cents, shown_price_cents = l.price_cents
              FROM lines l
             WHERE i.cart_id = l.cart_id AND i.variant_id = l.variant_id AND l.lines = 1 AND l.sold AND l.stock >= $4
            RETURNING i.variant_id)
        SELECT sku, stock, sold, lines, EXISTS (SELECT FROM changed) AS changed FROM lines LIMIT 1";
    let row = db::query_opt(db, SET, &[&owner.key(), &which.id, &which.variant, &quantity]).await?;
    let row = row.ok_or(Error::NotFound("The item"))?;
    if row.get("changed") {
        return Ok(());
    }
    if row.get::<_, i64>("lines") > 1 {
        return Err(several_lines());
    }
    if !row.get::<_, bool>("sold") {
        return Err(Error::Conflict("This item is no longer sold: remove it from the cart".into()));
    }
    if row.get::<_, i32>("stock") >= quantity {
        return Err(Error::NotFound("The item")); // a checkout emptied the cart at this moment
    }
    Err(short_of_stock(&row))
}

/// Removes a line.
pub async fn remove_item(db: &impl GenericClient, owner: &Owner, which: &Which) -> Result<()> {
    const REMOVE: &str = "
        WITH cart AS (
            UPDATE carts SET updated_at = now() WHERE owner = $1 RETURNING id),
        lines AS (
            SELECT i.cart_id, i.variant_id, count(*) OVER () AS lines
              FROM cart JOIN cart_items i ON i.cart_id = cart.id JOIN variants v ON v.id = i.variant_id
             WHERE (v.id = $2 OR v.product_id = $2) AND (v.id = $3 OR $3::uuid IS NULL)),
        removed AS (
            DELETE FROM cart_items i USING lines l WHERE i.cart_id = l.cart_id AND i.variant_id = l.variant_id AND l.lines = 1)
        SELECT lines FROM lines LIMIT 1";
    let row = db::query_opt(db, REMOVE, &[&owner.key(), &which.id, &which.variant]).await?;
    match row.map(|row| row.get::<_, i64>("lines")) {
        None => Err(Error::NotFound("The item")),
        Some(1) => Ok(()),
        Some(_) => Err(several_lines()),
    }
}

fn several_lines() -> Error {
    Error::Conflict("The cart has several variants of this product: name the variant, or add ?variant_id=".into())
}

/// Removes all lines and the coupon.
pub async fn empty_cart(db: &impl GenericClient, owner: &Owner) -> Result<()> {
    const EMPTY: &str = "
        WITH cart AS (
            UPDATE carts SET coupon_id = NULL, shown_discount_cents = 0, updated_at = now() WHERE owner = $1 RETURNING id)
        DELETE FROM cart_items i USING cart WHERE i.cart_id = cart.id";
    db::execute(db, EMPTY, &[&owner.key()]).await?;
    Ok(())
}

/// The coupon of that code, with how often the cart's owner used it: by the account, its e-mail, or its CPF or CNPJ once that is known.
pub async fn find_coupon(db: &impl GenericClient, owner: &Owner, code: &str) -> Result<Option<(Coupon, i64)>> {
    const FIND: &str = "
        SELECT k.id, k.code, k.kind, k.value, k.min_subtotal_cents, k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses,
               k.max_uses_per_customer, k.uses, k.active, coupon_uses_of(k.id, ARRAY[u.tax_id_hash], u.id, u.email, NULL) AS person_uses
          FROM coupons k LEFT JOIN users u ON u.id = $2 WHERE k.code = $1";
    let row = db::query_opt(db, FIND, &[&code, &owner.user()]).await?;
    Ok(row.map(|row| (Coupon::from_row(&row), row.get("person_uses"))))
}

/// Sets or removes the cart's coupon. `false`: there is no cart.
pub async fn set_coupon(db: &impl GenericClient, owner: &Owner, coupon: Option<CouponId>) -> Result<bool> {
    const SET: &str = "UPDATE carts SET coupon_id = $2, updated_at = now() WHERE owner = $1";
    Ok(db::execute(db, SET, &[&owner.key(), &coupon]).await? == 1)
}
