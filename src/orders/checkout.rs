//! Checkout: the cart becomes an order, completely or not at all, in two round trips to the database.
//!
//! The first one opens the transaction, takes the key and the cart's lock, and reads everything. The second one writes
//! everything and commits. Fewer is not possible without pricing inside the database: what is written depends on what was
//! read. What can still fail in the second (stock, a coupon's limits) raises an error, so that the COMMIT after it rolls back.

use deadpool_postgres::Object;
use futures_util::{join, try_join};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use vitrine_kit::Money;

use super::draft::Draft;
use super::limits;
use super::lines::LineColumns;
use super::pipeline::Pipeline;
use super::place::{Asked, PlaceOrder};
use super::read::read;
use super::store;
use super::view::{OrderLine, OrderView};
use crate::alerts::{self, Alert, Key, Occurrence};
use crate::app::App;
use crate::cart::{Cart, Owner};
use crate::cause::{self, Actor};
use crate::db::{self, insert, insert_all};
use crate::error::{Error, Result};
use crate::http::idempotency::{Claim, Kept};
use crate::ids::OrderId;
use crate::jobs::{self, Job};
use crate::payments::charge::first::FirstCharge;
use crate::sale::life;

type Param<'a> = &'a (dyn ToSql + Sync);

/// The result of a checkout.
#[derive(Debug)]
pub enum Placed {
    New(Box<NewOrder>),
    /// The same key was used before. This is the kept part of the first answer; [`first_answer`] completes it.
    Replay(Kept),
}

#[derive(Debug)]
pub struct NewOrder {
    pub order: OrderView,
    /// With which a guest opens the order.
    pub access_token: Option<String>,
    /// A variant is sold out now, so cached answers are out of date.
    pub sold_out: bool,
    /// The charge that was written with it, to be asked for now.
    pub first_charge: Option<FirstCharge>,
}

/// Written with the order and its lines: history, jobs, the kept answer, the emptied cart. No job of a new order can be queued
/// already, so this needs no conflict clause, as [`jobs::PUSH`] does.
const WRITE_REST: &str = "
    WITH told AS (
        INSERT INTO order_history (order_id, subject, from_state, to_state, reason, actor, cause)
        VALUES ($1::uuid, 'order', NULL, $2::text, 'placed', $4::text, $5::text),
               ($1, 'payment_status', NULL, $3::text, 'placed', $4, $5)),
    pushed AS (
        INSERT INTO jobs (id, kind, payload, dedupe, run_at, max_attempts, cause)
        SELECT ($6::uuid[])[n], ($7::text[])[n], ($8::jsonb[])[n], ($9::text[])[n], coalesce(($10::timestamptz[])[n], now()),
               ($11::int[])[n], $5
          FROM unnest($6::uuid[]) WITH ORDINALITY AS j (id, n)),
    kept AS (
        INSERT INTO idempotency_keys (scope, key, fingerprint, status, body)
        SELECT $12::text, $13::text, $14::bytea, 201::smallint, $15::bytea WHERE $12::text IS NOT NULL
        ON CONFLICT (scope, key) DO UPDATE
           SET fingerprint = EXCLUDED.fingerprint, status = EXCLUDED.status, body = EXCLUDED.body, lease_until = NULL, created_at = now()
         WHERE idempotency_keys.created_at <= now() - interval '24 hours' OR idempotency_keys.status IS NULL)
    DELETE FROM cart_items WHERE cart_id = $16";
const DROP_CARTS_COUPON: &str = "UPDATE carts SET coupon_id = NULL, shown_discount_cents = 0 WHERE id = $1";
const CHECK_UNPAID: &str = "SELECT check_unpaid($1, $2, $3, $4, $5, $6)";
const SPEND_COUPON: &str = "SELECT spend_coupon($1, $2, $3, $4, $5, $6)";
/// Takes the stock. The lines are sorted by variant id, as [`LINES`] reads them.
const TAKE_STOCK: &str = "SELECT take_stock($1, $2, $3, 1::smallint, $4, $5)";

/// Places the order. A refusal leaves no rows.
pub async fn place(app: &App, asked: &Asked<'_>, new: &PlaceOrder) -> Result<Placed> {
    let mut tx = Pipeline::open(app.db().await?);
    let outcome = place_in(&mut tx, app, asked, new).await;
    if !matches!(outcome, Ok(Placed::New(_))) {
        tx.roll_back().await;
    }
    match outcome {
        Err(Error::PriceChanged { why, .. }) => {
            let cart = Cart::read(&app.db().await?, asked.owner).await?;
            let cart = serde_json::to_value(cart).map_err(|e| Error::Internal(e.to_string()))?;
            Err(Error::PriceChanged { why, cart: Some(Box::new(cart)) })
        }
        outcome => outcome,
    }
}

async fn place_in(tx: &mut Pipeline, app: &App, asked: &Asked<'_>, new: &PlaceOrder) -> Result<Placed> {
    let Asked { owner, actor, key, .. } = *asked;
    let read = read(tx, owner, new, key, app.providers.fiscal.is_some()).await?;
    if let (Some(claim), Some((taken, first))) = (key, &read.key)
        && let Some(first) = claim.first_answer_of(taken, first.as_ref())?
    {
        return Ok(Placed::Replay(first));
    }
    let draft = Draft::price(app, asked, new, &read)?;
    let order = draft.view(app);
    let body = serde_json::to_value(&order).map_err(|e| Error::Internal(e.to_string()))?;
    let sold_out = write(tx, app, &draft, &order, &kept_of(&body), key, actor).await?;
    let access_token = access_token(app, owner, order.id);
    Ok(Placed::New(Box::new(NewOrder { order, access_token, sold_out, first_charge: draft.first_charge })))
}

/// The token with which a guest opens the order. A repeat of the call is answered the same one.
fn access_token(app: &App, owner: &Owner, order: OrderId) -> Option<String> {
    matches!(owner, Owner::Guest(_)).then(|| app.keys.order_token(order, order.made_at()))
}

/// The part of an answer that is kept under its key: everything that could read differently later. Of lines that is only the
/// discount.
fn kept_of(answer: &serde_json::Value) -> serde_json::Value {
    let mut kept = answer.clone();
    if let Some(lines) = kept["items"].as_array_mut() {
        lines.iter_mut().for_each(|line| *line = line["discount_cents"].take());
    }
    kept
}

/// The first answer again: the kept part, the lines as they were sold, and the token, which is not stored.
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
    if let Some(token) = access_token(app, owner, order) {
        answer["access_token"] = token.into();
    }
    Ok(answer)
}

/// The second round trip: writes everything, contended rows last, and commits.
async fn write(
    tx: &mut Pipeline,
    app: &App,
    draft: &Draft,
    order: &OrderView,
    body: &serde_json::Value,
    key: Option<&Claim>,
    actor: Actor,
) -> Result<bool> {
    let (actor, cause) = (actor.to_string(), cause::current());
    let mut next = vec![(Job::MailOrderPlaced { order: draft.id }, None)];
    match draft.is_free() {
        true => next.extend(life::jobs_after_payment(draft.id)),
        false => next.extend([
            (Job::ExpireOrder { order: draft.id }, Some(draft.expires_at)),
            (Job::MailExpiryReminder { order: draft.id }, Some(draft.remind_at)),
        ]),
    }
    next.extend(draft.first_charge.iter().map(FirstCharge::check));
    let batch = jobs::Batch::of(&next);
    let answer = serde_json::to_vec(body).map_err(|e| Error::Internal(e.to_string()))?;
    let lines = LineColumns::of(draft.id, &draft.lines);
    let client = tx.client()?;
    let (coupon_id, coupon_code) = draft.coupon.as_ref().map(|(id, code)| (*id, code.as_str())).unzip();
    let order_row = insert!("orders" {
        id: draft.id,
        number: draft.number,
        user_id: draft.user,
        customer_name: draft.contact.name,
        customer_email: order.customer_email,
        customer_phone: draft.contact.phone.as_ref().map(|p| p.as_str()),
        locale: draft.lang.as_str(),
        sms_opt_in: draft.sms_opt_in,
        privacy_version: draft.privacy_version,
        tax_id_sealed: draft.sealed.sealed,
        tax_id_key: draft.sealed.key,
        tax_id_hash: draft.sealed.hash,
        state_registration: order.state_registration,
        status: order.status,
        payment_status: order.payment_status,
        payment_method: draft.method,
        subtotal_cents: draft.subtotal,
        coupon_discount_cents: draft.coupon_discount,
        method_discount_cents: draft.method_discount,
        discount_cents: order.discount_cents,
        shipping_cents: draft.shipping,
        shipping_quoted_cents: draft.quote.price,
        total_cents: draft.total,
        coupon_id: coupon_id,
        coupon_code: coupon_code,
        coupon_held: coupon_id.is_some(),
        shipping_address: order.shipping_address,
        shipping_provider: draft.quote.provider,
        carrier: draft.quote.carrier,
        service: draft.quote.service,
        service_code: draft.quote.service_code,
        delivery_days: order.delivery_days,
        freight_estimate: draft.quote.estimate,
        freight_quote: draft.quote.record(draft.free),
        notes: draft.notes,
        expires_at: draft.expires_at,
        paid_at: order.paid_at,
        units: draft.units,
        placed_from: draft.placed_from,
    });
    let line_rows = insert_all!("order_lines" {
        id uuid: lines.ids,
        order_id uuid: lines.orders,
        position smallint: lines.positions,
        product_id uuid: lines.products,
        variant_id uuid: lines.variants,
        sku text: lines.skus,
        name text: lines.names,
        variant_name text: lines.variant_names,
        image_url text: lines.images,
        quantity int: lines.quantities,
        unit_price_cents bigint: lines.prices,
        line_total_cents bigint: lines.totals,
        discount_cents bigint: lines.discounts,
    });
    let alert = unready_alert(app, draft);
    let statements =
        Statements::prepare(client, order_row.sql, line_rows.sql, alert.is_some(), draft.first_charge.is_some()).await?;
    let unpaid = draft.unpaid();
    let check = async {
        let Some(u) = &unpaid else { return Ok(()) };
        let email = Some(&order.customer_email).filter(|_| u.by_email);
        let most: [Param<'_>; 6] = [&u.lock, &u.documents, &email, &u.address, &u.orders, &u.units];
        client.execute(&statements.unpaid, &most).await.map(|_| ())
    };
    let tell = async {
        match (&statements.alert, &alert) {
            (Some(statement), Some(alert)) => client.execute(statement, &alert.values()).await.map(|_| ()),
            _ => Ok(()),
        }
    };
    let charge = async {
        match (&statements.charge, &draft.first_charge) {
            (Some(statement), Some(first)) => first.write(client, statement, &actor, &cause).await,
            _ => Ok(()),
        }
    };
    let spend = async {
        match coupon_id {
            Some(coupon) => client
                .execute(
                    &statements.coupon,
                    &[&coupon, &draft.persons, &draft.sealed.key, &draft.user, &order.customer_email, &draft.id],
                )
                .await
                .map(|_| ()),
            None => Ok(()),
        }
    };
    let drop_coupon = async {
        match draft.cart_has_coupon {
            true => client.execute(&statements.drop_coupon, &[&draft.cart]).await.map(|_| ()),
            false => Ok(()),
        }
    };
    let (scope, name, fingerprint) = (key.map(|k| &k.scope), key.map(|k| &k.key), key.map(|k| &k.fingerprint));
    #[rustfmt::skip]
    let rest: [Param<'_>; 16] = [
        &draft.id, &order.status, &order.payment_status, &actor, &cause,
        &batch.ids, &batch.kinds, &batch.payloads, &batch.dedupes, &batch.times, &batch.attempts,
        &scope, &name, &fingerprint, &answer,
        &draft.cart,
    ];
    let taken: [Param<'_>; 5] = [&lines.variants, &lines.quantities, &lines.ids, &actor, &cause];
    // As above: the cause is the error of the first statement that failed.
    let (order, lines, rest, charge, drop_coupon, tell, check, spend, sold_out, end) = join!(
        client.execute(&statements.order, &order_row.values),
        client.execute(&statements.lines, &line_rows.values),
        client.execute(&statements.rest, &rest),
        charge,
        drop_coupon,
        tell,
        check,
        spend,
        client.query_one(&statements.take, &taken),
        client.batch_execute("COMMIT"),
    );
    let written = [order, lines, rest]
        .into_iter()
        .map(|of| of.map(|_| ()))
        .chain([charge, drop_coupon, tell, check, spend])
        .collect::<Result<(), _>>()
        .and(sold_out)
        .and_then(|sold_out| end.map(|()| sold_out));
    // Any failure before the COMMIT made it a rollback.
    match written {
        Ok(sold_out) => {
            tx.is_over();
            alert.iter().for_each(Occurrence::log);
            Ok(sold_out.get(0))
        }
        Err(error) => Err(refusal(error, &draft.lines)),
    }
}

/// What the operator is told of a product that was sold and could not be invoiced now.
fn unready_alert(app: &App, draft: &Draft) -> Option<Occurrence> {
    let (fiscal, line) = app.providers.fiscal.as_ref().zip(draft.unready.as_ref())?;
    let text = format!(
        "{} ({}) foi vendido e ainda não pode ser faturado: {}. A nota e o envio esperam; /api/admin/invoices/readiness diz o que falta.",
        line.name, line.sku, line.why
    );
    Some(Occurrence::of(&Alert::new(Key::SoldUnready { provider: fiscal.name() }, text).about(draft.id)))
}

/// The shop's error for an error that a statement raised.
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
    rest: Statement,
    drop_coupon: Statement,
    unpaid: Statement,
    coupon: Statement,
    take: Statement,
    alert: Option<Statement>,
    charge: Option<Statement>,
}

impl Statements {
    async fn prepare(client: &Object, order: &str, lines: &str, with_alert: bool, with_charge: bool) -> Result<Self> {
        let alert = if with_alert { Some(db::prepare(client, alerts::RAISE).await?) } else { None };
        let charge = if with_charge { Some(FirstCharge::prepare(client).await?) } else { None };
        let (order, lines, rest, drop_coupon, unpaid, coupon, take) = try_join!(
            db::prepare(client, order),
            db::prepare(client, lines),
            db::prepare(client, WRITE_REST),
            db::prepare(client, DROP_CARTS_COUPON),
            db::prepare(client, CHECK_UNPAID),
            db::prepare(client, SPEND_COUPON),
            db::prepare(client, TAKE_STOCK),
        )?;
        Ok(Self { order, lines, rest, drop_coupon, unpaid, coupon, take, alert, charge })
    }
}
