//! The first round trip of a checkout: the cart, its lines, the settings, the buyer and the coupon, read together.

use futures_util::{join, try_join};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::pipeline::Pipeline;
use super::place::PlaceOrder;
use crate::cart::Owner;
use crate::coupons;
use crate::db::{self, sql};
use crate::error::Result;
use crate::http::idempotency::{self, Claim};
use crate::ids::{AddressId, CouponId};
use crate::invoices::facts::{CATEGORY_WORDS, WARE_COLUMNS};

type Param<'a> = &'a (dyn ToSql + Sync);

/// The rows of the first round trip.
pub(super) struct Read {
    /// The key's lock, then its first answer.
    pub(super) key: Option<(Row, Option<Row>)>,
    /// The cart, the time and the settings.
    pub(super) cart: Option<Row>,
    /// Each with the cart's coupon.
    pub(super) lines: Vec<Row>,
    pub(super) buyer: Option<Row>,
    /// The coupon of the code that was sent.
    pub(super) coupon: Option<Row>,
}

impl Read {
    /// The coupon that was sent, else the cart's.
    pub(super) fn coupon(&self, new: &PlaceOrder) -> Option<&Row> {
        match new.coupon {
            Some(_) => self.coupon.as_ref(),
            None => self.carts_coupon(),
        }
    }

    /// Whether the goods are priced as the cart shows them: by its own coupon, or by none. Another coupon that was sent replaces that.
    pub(super) fn is_as_shown(&self, new: &PlaceOrder) -> bool {
        let id = |row: &Row| row.get::<_, Option<CouponId>>("id");
        new.coupon.is_none() || self.coupon(new).and_then(id) == self.carts_coupon().and_then(id)
    }

    pub(super) fn carts_coupon(&self) -> Option<&Row> {
        self.lines.first().filter(|row| row.get::<_, Option<CouponId>>("id").is_some())
    }
}

/// Locks the cart, so that two tabs of one buyer check out one after the other. The next statement reads the cart's lines and
/// sees what the other tab committed. A request that did not get its key (see [`idempotency::TAKE`]) takes no lock. It also reads
/// the time and the settings.
const LOCK_CART: &str = sql!(CART_COLUMNS, CART_LOCK);
/// The same, with the settings of invoices. Not one statement with a parameter: PostgreSQL would plan it each time.
const LOCK_CART_WITH_TAX: &str = sql!(
    CART_COLUMNS,
    ", (SELECT jsonb_object_agg(name, value) FROM settings WHERE name IN ('invoices', 'company', 'taxes')) AS invoices",
    CART_LOCK
);
const CART_COLUMNS: &str = "
    SELECT id, shown_discount_cents, now() AS now, (SELECT value FROM settings WHERE name = 'payment_methods') AS payment_methods,
           (SELECT value FROM settings WHERE name = 'order_limits') AS order_limits";
const CART_LOCK: &str = "
      FROM carts WHERE owner = $1 AND current_setting('vitrine.key_is_free', true) IS DISTINCT FROM 'false' FOR UPDATE";
/// What is read of each line, with the cart's coupon; its columns are NULL if there is none.
const LINE_COLUMNS: &str = "
    SELECT i.variant_id, i.quantity, i.shown_price_cents, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock, p.name,
           (SELECT url FROM product_images m WHERE m.product_id = p.id ORDER BY position LIMIT 1) AS image_url,
           v.deleted_at IS NULL AND p.deleted_at IS NULL AND p.active AS for_sale, k.id, k.code, k.kind, k.value, k.min_subtotal_cents,
           k.max_discount_cents, k.starts_at, k.ends_at, k.max_uses, k.max_uses_per_customer, k.uses, k.active";
const LINES: &str = sql!(
    LINE_COLUMNS,
    "
      FROM carts c JOIN cart_items i ON i.cart_id = c.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
           LEFT JOIN coupons k ON k.id = c.coupon_id
     WHERE c.owner = $1 ORDER BY i.variant_id"
);
/// The same, with what an invoice says of the goods: for a shop that issues invoices.
const LINES_WITH_TAX: &str = sql!(
    LINE_COLUMNS,
    ", ",
    WARE_COLUMNS,
    "
      FROM carts b JOIN cart_items i ON i.cart_id = b.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
           LEFT JOIN coupons k ON k.id = b.coupon_id ",
    CATEGORY_WORDS,
    " WHERE b.owner = $1 ORDER BY i.variant_id"
);
const BUYER: &str = "
    SELECT u.name, u.email, u.phone, u.locale, u.tax_id_sealed, u.tax_id_key, a.recipient, a.cep, a.street, a.number, a.complement, a.district, a.city,
           a.state, a.ibge_city, a.phone AS address_phone
      FROM users u LEFT JOIN addresses a ON a.user_id = u.id AND a.id = $2 WHERE u.id = $1";
const COUPON: &str = "
    SELECT id, code, kind, value, min_subtotal_cents, max_discount_cents, starts_at, ends_at, max_uses, max_uses_per_customer, uses, active
      FROM coupons WHERE code = $1";

/// The first round trip. `with_tax`: the shop issues invoices, so what they need is read too.
pub(super) async fn read(
    tx: &mut Pipeline,
    owner: &Owner,
    new: &PlaceOrder,
    key: Option<&Claim>,
    with_tax: bool,
) -> Result<Read> {
    let client = tx.client()?;
    let (owner, user) = (owner.key(), owner.user());
    let address: Option<AddressId> = new.address_id;
    let code = new.coupon.as_deref().map(coupons::normalise).transpose()?;
    // Prepared first (and cached), so that the statements below are sent together and in this order.
    let (take, look, lock, lines, buyer, coupon) = try_join!(
        db::prepare(client, idempotency::TAKE),
        db::prepare(client, idempotency::LOOK),
        db::prepare(client, if with_tax { LOCK_CART_WITH_TAX } else { LOCK_CART }),
        db::prepare(client, if with_tax { LINES_WITH_TAX } else { LINES }),
        db::prepare(client, BUYER),
        db::prepare(client, COUPON),
    )?;
    let asked_key = async {
        match key {
            Some(claim) => {
                let of: [Param<'_>; 2] = [&claim.scope, &claim.key];
                let (taken, first) = join!(client.query_one(&take, &of), client.query_opt(&look, &of));
                Ok::<_, tokio_postgres::Error>(Some((taken?, first?)))
            }
            None => Ok(None),
        }
    };
    let asked_buyer = async {
        match user {
            Some(user) => client.query_opt(&buyer, &[&user, &address]).await,
            None => Ok(None),
        }
    };
    let asked_coupon = async {
        match &code {
            Some(code) => client.query_opt(&coupon, &[code]).await,
            None => Ok(None),
        }
    };
    let of_cart: [Param<'_>; 1] = [&owner];
    // Wait for all: after one statement fails, the others fail because of it, so the first error is the cause.
    let (begun, key, cart, lines, buyer, coupon) = join!(
        client.batch_execute("BEGIN"),
        asked_key,
        client.query_opt(&lock, &of_cart),
        client.query(&lines, &of_cart),
        asked_buyer,
        asked_coupon,
    );
    begun?;
    Ok(Read { key: key?, cart: cart?, lines: lines?, buyer: buyer?, coupon: coupon? })
}
