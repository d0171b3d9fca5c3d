//! Export (LGPD, article 18, II and V): everything that the shop knows of a person, as JSON.

use deadpool_postgres::{GenericClient, Object, Transaction};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use vitrine_kit::TaxId;

use crate::app::App;
use crate::db;
use crate::error::{Error, Result};
use crate::ids::{OrderId, UserId};
use crate::seal::Keys;
use crate::users::tax_id_of;

/// All that the shop knows of a person. Fields are named as in the rest of the API; amounts are centavos, times are UTC. More
/// fields may be added.
#[derive(Debug, Serialize, ToSchema)]
pub struct Export {
    /// When it was made.
    pub exported_at: Timestamp,
    /// Name, e-mail, phone, and the CPF or CNPJ: in full where the password was sent, else masked.
    #[schema(value_type = BTreeMap<String, Value>)]
    pub profile: Value,
    /// Saved addresses.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub addresses: Value,
    /// When the person signed in, and how each session ended.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub sessions: Value,
    /// Carts with their lines.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub carts: Value,
    /// Orders with lines, payments, refunds, disputes, parcels, fiscal documents and the whole history.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub orders: Value,
    /// Messages that were sent to the person.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub messages: Value,
    /// How often the person used which coupon.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub coupons: Value,
    /// What the person agreed to and took back, with the version of the text and the time.
    #[schema(value_type = Vec<BTreeMap<String, Value>>)]
    pub consents: Value,
}

const ADDRESSES: &str = "
    SELECT coalesce(jsonb_agg(to_jsonb(a) - 'user_id' ORDER BY a.created_at), '[]') AS data FROM addresses a WHERE a.user_id = $1";

const SESSIONS: &str = "
    SELECT coalesce(jsonb_agg(to_jsonb(s) - 'user_id' || jsonb_build_object('refreshed_at',
               (SELECT max(t.issued_at) FROM refresh_tokens t WHERE t.session_id = s.id)) ORDER BY s.created_at), '[]') AS data
      FROM sessions s WHERE s.user_id = $1";

const CARTS: &str = "
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'created_at', c.created_at, 'updated_at', c.updated_at,
               'coupon_code', (SELECT k.code FROM coupons k WHERE k.id = c.coupon_id),
               'items', (SELECT coalesce(jsonb_agg(jsonb_build_object('variant_id', v.id, 'sku', v.sku, 'name', p.name,
                             'quantity', i.quantity, 'added_at', i.added_at) ORDER BY i.added_at), '[]')
                           FROM cart_items i JOIN variants v ON v.id = i.variant_id JOIN products p ON p.id = v.product_id
                          WHERE i.cart_id = c.id)) ORDER BY c.created_at), '[]') AS data
      FROM carts c WHERE c.user_id = $1";

/// The document is sealed, so it is opened in Rust, order by order.
const ORDERS: &str = "
    SELECT o.tax_id_sealed, o.tax_id_key,
           to_jsonb(o) - '{user_id,tax_id_sealed,tax_id_key,tax_id_hash,coupon_id,coupon_held,reservation,stock_held,on_hold,freight_quote,mended}'::text[]
           || jsonb_build_object(
               'items', (SELECT coalesce(jsonb_agg(to_jsonb(l) - 'order_id' ORDER BY l.position), '[]') FROM order_lines l WHERE l.order_id = o.id),
               'payments', (SELECT coalesce(jsonb_agg(to_jsonb(p) - '{order_id,error}'::text[] ORDER BY p.id), '[]') FROM payments p WHERE p.order_id = o.id),
               'refunds', (SELECT coalesce(jsonb_agg(to_jsonb(r) - '{order_id,error,key,waits_since,in_hand_since,late_told_at,paid_otherwise_by,note}'::text[] ORDER BY r.id), '[]') FROM refunds r WHERE r.order_id = o.id),
               'disputes', (SELECT coalesce(jsonb_agg(to_jsonb(d) - '{order_id,evidence_ref,return_ref,note,moved_at,closed_by}'::text[] ORDER BY d.id), '[]')
                              FROM disputes d WHERE d.order_id = o.id),
               'shipments', (SELECT coalesce(jsonb_agg(jsonb_build_object('status', s.status, 'tracking_number', s.tracking_number,
                                 'created_at', s.created_at) ORDER BY s.id), '[]') FROM shipments s WHERE s.order_id = o.id),
               'invoices', (SELECT coalesce(jsonb_agg(jsonb_build_object('status', n.status, 'chave', n.chave, 'number', n.number,
                                'series', n.series, 'total_cents', n.total_cents, 'authorized_at', n.authorized_at) ORDER BY n.id), '[]')
                              FROM invoices n WHERE n.order_id = o.id),
               'history', (SELECT coalesce(jsonb_agg(jsonb_build_object('subject', h.subject, 'from', h.from_state, 'to', h.to_state,
                               'reason', h.reason, 'at', h.at) ORDER BY h.id), '[]') FROM order_history h WHERE h.order_id = o.id)) AS data
      FROM orders o WHERE o.id = ANY($1) ORDER BY o.id";

const MESSAGES: &str = "
    SELECT coalesce(jsonb_agg(jsonb_build_object('kind', m.kind, 'channel', m.channel, 'order_id', m.order_id, 'recipient', m.recipient,
               'subject', m.subject, 'status', m.status, 'created_at', m.created_at, 'sent_at', m.sent_at) ORDER BY m.created_at), '[]') AS data
      FROM messages m
     WHERE m.user_id = $1 OR m.order_id = ANY (ARRAY(SELECT o.id FROM orders o WHERE o.user_id = $1))";

const COUPONS: &str = "
    SELECT coalesce(jsonb_agg(jsonb_build_object('code', c.code, 'uses', p.uses) ORDER BY c.code), '[]') AS data
      FROM coupon_persons p JOIN coupons c ON c.id = p.coupon_id
     WHERE p.coupon_id = ANY (ARRAY(SELECT k.id FROM coupons k))
       AND p.person = ANY (ARRAY(SELECT u.tax_id_hash FROM users u WHERE u.id = $1
                                 UNION SELECT o.tax_id_hash FROM orders o WHERE o.user_id = $1))";

const CONSENTS: &str = "
    SELECT coalesce(jsonb_agg(to_jsonb(c) - '{id,user_id}'::text[] ORDER BY c.id), '[]') AS data FROM consents c WHERE c.user_id = $1";

/// Reads everything in one snapshot.
pub async fn export(app: &App, id: UserId, document: Document) -> Result<Export> {
    let mut db = app.db().await?;
    let tx = snapshot(&mut db).await?;
    let ids = list_orders(&tx, id).await?;
    let export = Export {
        exported_at: Timestamp::now(),
        profile: profile(&tx, &app.keys, id, document).await?,
        addresses: section(&tx, ADDRESSES, &id).await?,
        sessions: section(&tx, SESSIONS, &id).await?,
        carts: section(&tx, CARTS, &id).await?,
        orders: orders(&tx, &app.keys, &ids, document).await?,
        messages: section(&tx, MESSAGES, &id).await?,
        coupons: section(&tx, COUPONS, &id).await?,
        consents: section(&tx, CONSENTS, &id).await?,
    };
    tx.commit().await?;
    Ok(export)
}

async fn profile(db: &impl GenericClient, keys: &Keys, id: UserId, document: Document) -> Result<Value> {
    const FIND: &str = "
        SELECT name, email, tax_id_sealed, tax_id_key, phone, role, locale, sms_opt_in, mail_blocked_at, created_at, updated_at
          FROM users WHERE id = $1 AND erased_at IS NULL";
    let row = db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The person"))?;
    Ok(json!({
        "id": id,
        "name": row.get::<_, String>("name"),
        "email": row.get::<_, String>("email"),
        "cpf": tax_id_of(&row, keys)?.map(|tax_id| document.shows(&tax_id)),
        "phone": row.get::<_, Option<String>>("phone"),
        "role": row.get::<_, String>("role"),
        "locale": row.get::<_, String>("locale"),
        "sms_opt_in": row.get::<_, bool>("sms_opt_in"),
        "mail_blocked_at": row.get::<_, Option<Timestamp>>("mail_blocked_at"),
        "created_at": row.get::<_, Timestamp>("created_at"),
        "updated_at": row.get::<_, Timestamp>("updated_at"),
    }))
}

/// One part of an export: `sql` makes it of `of`.
pub(super) async fn section(db: &impl GenericClient, sql: &str, of: &(dyn ToSql + Sync)) -> Result<Value> {
    let mut data: Value = db::query_one(db, sql, &[of]).await?.get("data");
    in_utc(&mut data);
    Ok(data)
}

/// How an export shows a CPF or CNPJ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    Whole,
    Masked,
}

impl Document {
    fn shows(self, tax_id: &TaxId) -> String {
        match self {
            Self::Whole => tax_id.formatted(),
            Self::Masked => tax_id.masked(),
        }
    }
}

/// What is read later in this transaction is all of one moment.
pub(super) async fn snapshot(db: &mut Object) -> Result<Transaction<'_>> {
    db.build_transaction()
        .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(Error::from)
}

async fn list_orders(db: &impl GenericClient, user: UserId) -> Result<Vec<OrderId>> {
    const FIND: &str = "SELECT id FROM orders WHERE user_id = $1 ORDER BY id";
    Ok(db::query(db, FIND, &[&user]).await?.iter().map(|row| row.get("id")).collect())
}

/// These orders with all that belongs to them.
pub(super) async fn orders(db: &impl GenericClient, keys: &Keys, ids: &[OrderId], document: Document) -> Result<Value> {
    let mut orders = Vec::new();
    for row in db::query(db, ORDERS, &[&ids]).await? {
        let mut order: Value = row.get("data");
        order["cpf"] = json!(tax_id_of(&row, keys)?.map(|tax_id| document.shows(&tax_id)));
        in_utc(&mut order);
        orders.push(order);
    }
    Ok(Value::Array(orders))
}

/// PostgreSQL writes UTC as `+00:00`, the rest of the API as `Z`. Recursion ends at the leaves of a value that is in memory.
fn in_utc(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(time) = text.strip_suffix("+00:00").and_then(|_| text.parse::<Timestamp>().ok()) {
                *text = time.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(in_utc),
        Value::Object(fields) => fields.values_mut().for_each(in_utc),
        _ => {}
    }
}
