//! Checkout: the cart becomes an order, whole or not at all, in two round trips to the database.
//!
//! The first one opens the transaction, takes the key and the cart's lock, and reads everything. The second one writes
//! everything and commits. Fewer is not possible without pricing inside the database: what is written depends on what was
//! read. Whatever can still refuse in the second (stock, a coupon's limits) raises, so that the COMMIT behind it rolls back.

use std::net::IpAddr;

use deadpool_postgres::Object;
use futures_util::future::{try_join, try_join3, try_join5};
use futures_util::try_join;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use vitrine_kit::Money;

use super::draft::{Draft, LineColumns};
use super::life;
use super::limits::{self, Unpaid};
use super::pipeline::Pipeline;
use super::place::PlaceOrder;
use super::store;
use super::view::{OrderLine, OrderView};
use crate::app::App;
use crate::cart::Owner;
use crate::cause::{self, Actor};
use crate::coupons;
use crate::error::{Error, Result};
use crate::http::idempotency::{self, Claim, Kept};
use crate::ids::{AddressId, LineId, OrderId, VariantId};
use crate::jobs::{self, Job};
use crate::lang::Lang;

type Param<'a> = &'a (dyn ToSql + Sync);

/// What an unpaid order waits beyond its charge, so that a PIX of the last second still finds its stock.
pub const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// What came of it.
#[derive(Debug)]
pub enum Placed {
    New(Box<NewOrder>),
    /// The same key was used before: what was kept of its first answer. [`first_answer`] makes it whole.
    Replay(Kept),
}

#[derive(Debug)]
pub struct NewOrder {
    pub order: OrderView,
    /// The answer.
    pub body: serde_json::Value,
    /// A variant is sold out now: cached answers are wrong.
    pub sold_out: bool,
}

const NOW: &str = "SELECT now()";
/// The lock that two tabs of one buyer queue at. What the cart holds is read by the next statement, which sees
/// what the one before us did to it. A twin that did not get its key (see [`idempotency::TAKE`]) does not queue.
const LOCK_CART: &str = "
    SELECT id, coupon_id FROM carts
     WHERE (user_id = $1 OR token_hash = $2) AND current_setting('vitrine.key_is_free', true) IS DISTINCT FROM 'false' FOR UPDATE";
const LINES: &str = "
    SELECT i.variant_id, i.quantity, v.product_id, v.sku, v.name AS variant_name, v.price_cents, v.stock, p.name,
           (SELECT url FROM product_images m WHERE m.product_id = p.id ORDER BY position LIMIT 1) AS image_url,
           v.deleted_at IS NULL AND p.deleted_at IS NULL AND p.active AS for_sale
      FROM carts c JOIN cart_items i ON i.cart_id = c.id JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
     WHERE c.user_id = $1 OR c.token_hash = $2 ORDER BY i.variant_id";
const BUYER: &str = "
    SELECT u.name, u.email, u.phone, u.locale, u.tax_id_sealed, u.tax_id_key, a.recipient, a.cep, a.street, a.number, a.complement, a.district, a.city,
           a.state, a.ibge_city, a.phone AS address_phone
      FROM users u LEFT JOIN addresses a ON a.user_id = u.id AND a.id = $2 WHERE u.id = $1";
/// The coupon that was sent, else the cart's.
const COUPON: &str = "
    SELECT k.* FROM coupons k
     WHERE k.code = $3 OR ($3::text IS NULL AND k.id = (SELECT coupon_id FROM carts WHERE user_id = $1 OR token_hash = $2))";

const SETTINGS: &str = "SELECT name, value FROM settings WHERE name IN ('payment_methods', 'order_limits')";

const INSERT_ORDER: &str = "
    INSERT INTO orders (id, number, user_id, customer_name, customer_email, customer_phone, tax_id_sealed, tax_id_key, tax_id_hash,
        payment_method, subtotal_cents, coupon_discount_cents, method_discount_cents, discount_cents, shipping_cents, shipping_quoted_cents, total_cents,
        coupon_id, coupon_code, coupon_held, shipping_address, shipping_provider, carrier, service, service_code, delivery_days,
        freight_estimate, freight_quote, notes, expires_at, status, payment_status, paid_at, locale, sms_opt_in, units, placed_from)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $28, $12::bigint + $28::bigint, $13, $14, $15, $16, $17, $16::uuid IS NOT NULL, $18, $19, $20, $21, $22, $23,
        $24, $25, $26, $27, $29, $30, CASE WHEN $30 = 'paid' THEN now() END, $31, $32, $33, $34)";
const INSERT_LINES: &str = "
    INSERT INTO order_lines (id, order_id, position, product_id, variant_id, sku, name, variant_name, image_url, quantity, unit_price_cents,
        line_total_cents, discount_cents)
    SELECT l.id, $1, (l.n)::smallint, l.product, l.variant, l.sku, l.name, l.variant_name, l.image, l.quantity, l.price, l.price * l.quantity, l.discount
      FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[], $10::bigint[], $11::bigint[])
      WITH ORDINALITY AS l (id, product, variant, sku, name, variant_name, image, quantity, price, discount, n)";
const INSERT_HISTORY: &str = "
    INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
    VALUES ($1, 'order', NULL, $4, 'placed', $2, $3), ($1, 'payment_status', NULL, $5, 'placed', $2, $3)";
const EMPTY_CART: &str = "
    WITH emptied AS (DELETE FROM cart_items WHERE cart_id = $1) UPDATE carts SET coupon_id = NULL, updated_at = now() WHERE id = $1";
const CHECK_UNPAID: &str = "SELECT check_unpaid($1, $2, $3, $4, $5, $6, $7, $8)";
const SPEND_COUPON: &str = "SELECT spend_coupon($1, $2, $3, $4, $5)";
const TAKE_STOCK: &str = "SELECT take_stock($1, $2, $3, 1::smallint, $4, $5)";

/// Who asks for an order, and how.
#[derive(Debug)]
pub struct Asked<'a> {
    pub owner: &'a Owner,
    pub actor: Actor,
    /// The language of a guest who names none.
    pub spoken: Lang,
    pub address: IpAddr,
    pub key: Option<&'a Claim>,
}

/// Places the order. Nothing is left behind by a refusal.
pub async fn place(app: &App, asked: &Asked<'_>, new: &PlaceOrder) -> Result<Placed> {
    let mut tx = Pipeline::open(app.db().await?);
    let outcome = place_in(&mut tx, app, asked, new).await;
    if !matches!(outcome, Ok(Placed::New(_))) {
        tx.roll_back().await;
    }
    outcome
}

async fn place_in(tx: &mut Pipeline, app: &App, asked: &Asked<'_>, new: &PlaceOrder) -> Result<Placed> {
    let Asked { owner, actor, key, .. } = *asked;
    let read = read(tx, owner, new, key).await?;
    if let (Some(claim), Some((taken, first))) = (key, &read.key)
        && let Some(first) = claim.judge(taken, first.as_ref())?
    {
        return Ok(Placed::Replay(first));
    }
    let draft = Draft::price(app, asked, new, &read)?;
    let order = draft.view(app, &read);
    let mut body = serde_json::to_value(&order).map_err(|e| Error::Internal(e.to_string()))?;
    let sold_out = write(tx, &draft, &order, &kept_of(&body), key, actor).await?;
    add_token(app, owner, order.id, &mut body);
    Ok(Placed::New(Box::new(NewOrder { order, body, sold_out })))
}

/// A guest's answer opens the order.
fn add_token(app: &App, owner: &Owner, order: OrderId, answer: &mut serde_json::Value) {
    if matches!(owner, Owner::Guest(_)) {
        answer["access_token"] = app.keys.order_token(order).into();
    }
}

/// What is kept of an answer under its key: all that may read otherwise later. Of lines only their discounts do.
fn kept_of(answer: &serde_json::Value) -> serde_json::Value {
    let mut kept = answer.clone();
    if let Some(lines) = kept["items"].as_array_mut() {
        lines.iter_mut().for_each(|line| *line = line["discount_cents"].take());
    }
    kept
}

/// The first answer again, of what was kept of it, the lines as they were sold, and the token, which is kept nowhere.
pub async fn first_answer(app: &App, owner: &Owner, kept: &Kept) -> Result<serde_json::Value> {
    let broken = || Error::Internal("a kept order does not fit its lines".into());
    let mut answer = kept.body()?;
    let order: OrderId = answer["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(broken)?;
    let rows = store::list_lines(&app.db().await?, &[order]).await?;
    let discounts: Vec<Money> = serde_json::from_value(answer["items"].take()).map_err(|_| broken())?;
    if rows.len() != discounts.len() {
        return Err(broken());
    }
    let line = |(row, discount_cents)| OrderLine { discount_cents, ..OrderLine::from_row(row) };
    let items: Vec<OrderLine> = rows.iter().zip(discounts).map(line).collect();
    answer["items"] = serde_json::to_value(items).map_err(|e| Error::Internal(e.to_string()))?;
    add_token(app, owner, order, &mut answer);
    Ok(answer)
}

/// What the first round trip found.
pub(super) struct Read {
    pub(super) now: Timestamp,
    /// The key's lock, then its first answer.
    pub(super) key: Option<(Row, Option<Row>)>,
    pub(super) cart: Option<Row>,
    pub(super) lines: Vec<Row>,
    pub(super) buyer: Option<Row>,
    pub(super) coupon: Option<Row>,
    /// The settings that a checkout goes by.
    settings: Vec<Row>,
}

impl Read {
    pub(super) fn setting(&self, name: &str) -> Option<serde_json::Value> {
        self.settings.iter().find(|row| row.get::<_, &str>("name") == name).map(|row| row.get("value"))
    }
}

async fn read(tx: &mut Pipeline, owner: &Owner, new: &PlaceOrder, key: Option<&Claim>) -> Result<Read> {
    let client = tx.client()?;
    let (user, token) = owner.scope();
    let address: Option<AddressId> = new.address_id;
    let code = new.coupon.as_deref().map(coupons::normalise).transpose()?;
    // Prepared beforehand (cached after the first time), so that what follows leaves in one go and in this order.
    let (now, (take, look), lock, lines, buyer) = try_join5(
        client.prepare_cached(NOW),
        try_join(client.prepare_cached(idempotency::TAKE), client.prepare_cached(idempotency::LOOK)),
        client.prepare_cached(LOCK_CART),
        client.prepare_cached(LINES),
        client.prepare_cached(BUYER),
    )
    .await?;
    let (coupon, settings) = (client.prepare_cached(COUPON).await?, client.prepare_cached(SETTINGS).await?);
    let begin = client.batch_execute("BEGIN");
    let asked_key = async {
        match key {
            Some(claim) => {
                let of: [Param<'_>; 2] = [&claim.scope, &claim.key];
                try_join(client.query_one(&take, &of), client.query_opt(&look, &of)).await.map(Some)
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
    let (_, now, key, (cart, lines, buyer), (coupon, settings)) = try_join5(
        begin,
        client.query_one(&now, &[]),
        asked_key,
        try_join3(client.query_opt(&lock, &[&user, &token]), client.query(&lines, &[&user, &token]), asked_buyer),
        try_join(client.query_opt(&coupon, &[&user, &token, &code]), client.query(&settings, &[])),
    )
    .await?;
    Ok(Read { now: now.get(0), key, cart, lines, buyer, coupon, settings })
}

/// The second round trip: everything is written, the hot rows last, and committed behind it.
async fn write(
    tx: &mut Pipeline,
    draft: &Draft,
    order: &OrderView,
    body: &serde_json::Value,
    key: Option<&Claim>,
    actor: Actor,
) -> Result<bool> {
    let (actor, cause) = (actor.to_string(), cause::current());
    let mut next = vec![(Job::MailOrderPlaced { order: draft.id }, None)];
    match draft.is_free() {
        true => next.extend(life::after_payment(draft.id)),
        false => next.extend([
            (Job::ExpireOrder { order: draft.id }, Some(draft.expires_at)),
            (Job::MailExpiryReminder { order: draft.id }, Some(draft.remind_at)),
        ]),
    }
    let batch = jobs::Batch::of(&next);
    let answer = serde_json::to_vec(body).map_err(|e| Error::Internal(e.to_string()))?;
    let ids: Vec<LineId> = draft.lines.iter().map(|l| l.id).collect();
    let variants: Vec<VariantId> = draft.lines.iter().map(|l| l.variant_id).collect();
    let quantities: Vec<i32> = draft.lines.iter().map(|l| l.quantity).collect();
    let statements = Statements::prepare(tx.client()?).await?;
    let client = tx.client()?;
    let email = order.customer_email.as_deref();
    let phone = draft.contact.phone.as_ref().map(|p| p.as_str());
    let (coupon_id, coupon_code) = draft.coupon.as_ref().map(|(id, code)| (*id, code.as_str())).unzip();
    let (quote, quoted, days) = (draft.quote.record(draft.free), draft.quote.price, draft.quote.days as i32);
    let lines = LineColumns::of(&draft.lines);
    let unpaid = Unpaid::of(draft);
    let check = async {
        match &unpaid {
            Some(u) => {
                let most: [Param<'_>; 8] = [
                    &draft.id,
                    &u.lock,
                    &u.documents,
                    &email.filter(|_| u.by_email),
                    &u.address,
                    &draft.units,
                    &u.orders,
                    &u.units,
                ];
                client.execute(&statements.unpaid, &most).await.map(|_| ())
            }
            None => Ok(()),
        }
    };
    let spend = async {
        match coupon_id {
            Some(coupon) => client
                .execute(&statements.coupon, &[&coupon, &draft.persons, &draft.sealed.key, &draft.user, &draft.id])
                .await
                .map(|_| ()),
            None => Ok(()),
        }
    };
    let remember = async {
        match key {
            Some(k) => {
                client.execute(&statements.remember, &[&k.scope, &k.key, &k.fingerprint, &201_i16, &answer]).await.map(|_| ())
            }
            None => Ok(()),
        }
    };
    let locale = draft.lang.as_str();
    let order_row: [Param<'_>; 34] = [
        &draft.id,
        &draft.number,
        &draft.user,
        &draft.contact.name,
        &email,
        &phone,
        &draft.sealed.sealed,
        &draft.sealed.key,
        &draft.sealed.hash,
        &draft.method,
        &draft.subtotal,
        &draft.coupon_discount,
        &draft.shipping,
        &quoted,
        &draft.total,
        &coupon_id,
        &coupon_code,
        &order.shipping_address,
        &draft.quote.provider,
        &draft.quote.carrier,
        &draft.quote.service,
        &draft.quote.service_code,
        &days,
        &draft.quote.estimate,
        &quote,
        &draft.notes,
        &draft.expires_at,
        &draft.method_discount,
        &order.status,
        &order.payment_status,
        &locale,
        &draft.sms_opt_in,
        &draft.units,
        &draft.placed_from,
    ];
    let line_rows: [Param<'_>; 11] = [
        &draft.id,
        &ids,
        &lines.products,
        &variants,
        &lines.skus,
        &lines.names,
        &lines.variant_names,
        &lines.images,
        &quantities,
        &lines.prices,
        &lines.discounts,
    ];
    let job_rows: [Param<'_>; 7] =
        [&batch.ids, &batch.kinds, &batch.payloads, &batch.dedupes, &batch.times, &batch.attempts, &batch.cause];
    let history: [Param<'_>; 5] = [&draft.id, &actor, &cause, &order.status, &order.payment_status];
    let cart: [Param<'_>; 1] = [&draft.cart];
    let taken: [Param<'_>; 5] = [&variants, &quantities, &ids, &actor, &cause];
    let written = try_join!(
        client.execute(&statements.order, &order_row),
        client.execute(&statements.lines, &line_rows),
        client.execute(&statements.history, &history),
        client.execute(&statements.push, &job_rows),
        client.execute(&statements.empty, &cart),
        remember,
        check,
        spend,
        client.query_one(&statements.take, &taken),
        client.batch_execute("COMMIT"),
    );
    // Any failure before the COMMIT made it a rollback; try_join! is only Ok when there was none.
    match written {
        Ok((_, _, _, _, _, _, _, _, sold_out, ())) => {
            tx.is_over();
            Ok(sold_out.get(0))
        }
        Err(error) => Err(refusal(error, &draft.lines)),
    }
}

/// Why the database said no, in the shop's words.
fn refusal(error: tokio_postgres::Error, lines: &[OrderLine]) -> Error {
    let Some(raised) = error.as_db_error() else { return error.into() };
    match raised.code().code() {
        "VT001" => {
            let (id, left) = raised.detail().and_then(|d| d.split_once(' ')).unwrap_or_default();
            let line = lines.iter().find(|l| l.variant_id.to_string() == id);
            Error::OutOfStock { sku: line.map(|l| l.sku.clone()).unwrap_or_default(), available: left.parse().unwrap_or(0) }
        }
        "VT005" => Error::TooManyUnpaid { whose: limits::whose(raised.detail().unwrap_or_default()) },
        "VT006" => Error::TooManyHeld { whose: limits::whose(raised.detail().unwrap_or_default()) },
        "VT002" => Error::Coupon("The coupon has been used up"),
        "VT003" => Error::Coupon("You have used this coupon already"),
        "VT004" => {
            tracing::error!("another server has a key in DATA_KEYS that this one lacks: give it to this one and restart it");
            Error::Busy { what: "The shop's keys are being changed: try again soon", retry_after_s: 30 }
        }
        _ => error.into(),
    }
}

/// What the second round trip runs; prepared once per connection.
struct Statements {
    order: Statement,
    lines: Statement,
    history: Statement,
    push: Statement,
    empty: Statement,
    remember: Statement,
    unpaid: Statement,
    coupon: Statement,
    take: Statement,
}

impl Statements {
    async fn prepare(client: &Object) -> Result<Self> {
        let (order, lines, history, push, empty, remember, unpaid, coupon, take) = try_join!(
            client.prepare_cached(INSERT_ORDER),
            client.prepare_cached(INSERT_LINES),
            client.prepare_cached(INSERT_HISTORY),
            client.prepare_cached(jobs::PUSH),
            client.prepare_cached(EMPTY_CART),
            client.prepare_cached(idempotency::REMEMBER),
            client.prepare_cached(CHECK_UNPAID),
            client.prepare_cached(SPEND_COUPON),
            client.prepare_cached(TAKE_STOCK),
        )?;
        Ok(Self { order, lines, history, push, empty, remember, unpaid, coupon, take })
    }
}
