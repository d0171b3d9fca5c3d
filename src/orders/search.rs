//! Lists of orders: a customer's own, or the shop's. A list reads a bounded number of orders, however many there are.

use deadpool_postgres::GenericClient;
use jiff::{SignedDuration, Timestamp};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::store::list_lines;
use super::view::{COLUMNS, IS_ON_HOLD, OrderLine, OrderView};
use crate::db::{self, sql};
use crate::error::Result;
use crate::http::list::last_letter;
use crate::ids::OrderId;
use crate::payments::store::id_floor;
use crate::sale::named;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::sale::viewer::Viewer;

/// Totals are counted up to here. This number means: so many, or more.
pub const COUNTED_MAX: i64 = 10_000;
/// Most orders that are looked up by one name or one e-mail in its index.
const LOOKED_UP_MAX: i64 = 10_000;
/// A name with more orders is searched among this many of the newest.
const LOOKED_THROUGH_MAX: i64 = 100_000;
/// How far the clock that makes ids may differ from the database's clock, which sets `created_at`.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// The filters of a list of orders.
#[derive(Debug, Default)]
pub struct Filter {
    pub status: Option<OrderStatus>,
    pub payment_status: Option<OrderPaymentStatus>,
    pub on_hold: Option<bool>,
    /// Order number, tracking number, e-mail, or the start of a name.
    pub q: Option<String>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

/// `$1` to `$7` of every statement here: status, payment status, from, to, the ids between which the times lie, and on hold.
const FITS: &str = sql!(
    "
    ($1::text IS NULL OR o.status = $1) AND ($2::text IS NULL OR o.payment_status = $2)
    AND ($3::timestamptz IS NULL OR o.created_at >= $3) AND ($4::timestamptz IS NULL OR o.created_at < $4)
    AND o.id >= $5 AND o.id < $6 AND ($7::boolean IS NULL OR ",
    IS_ON_HOLD,
    " = $7)"
);
/// `$8` to `$11` of statements that search by `q`: numbers, an e-mail, the beginning of a
/// name (without accents and case), and the last letter of all.
const SAYS: &str = "
    (o.number = ANY ($8) OR upper(o.tracking_number) = ANY ($8) OR o.customer_email = $9
     OR (plain(o.customer_name) ~>=~ plain($10) AND plain(o.customer_name) ~<~ (plain($10) || $11)))";
/// The orders that `q` names, each kind looked up in its index; at most `$12` of each.
const FOUND: &str = "
    SELECT id FROM orders WHERE number = ANY ($8)
    UNION SELECT id FROM orders WHERE upper(tracking_number) = ANY ($8)
    UNION (SELECT id FROM orders WHERE customer_email = $9 LIMIT $12)
    UNION (SELECT id FROM orders WHERE plain(customer_name) ~>=~ plain($10) AND plain(customer_name) ~<~ (plain($10) || $11) LIMIT $12)";
/// The newest `$12` orders that fit, with the columns that `q` is compared with.
const NEWEST: &str = sql!(
    "SELECT o.id, o.number, o.tracking_number, o.customer_email, o.customer_name FROM orders o WHERE ",
    FITS,
    " ORDER BY o.id DESC LIMIT $12"
);

const ALL: &str = sql!("SELECT ", COLUMNS, " FROM orders o WHERE ", FITS, " ORDER BY o.id DESC LIMIT $8 OFFSET $9");
const COUNT_ALL: &str = sql!("SELECT count(*) FROM (SELECT FROM orders o WHERE ", FITS, " LIMIT $8) counted");

/// The orders on hold, which are few: their index finds them.
const ON_HOLD: &str =
    sql!("SELECT ", COLUMNS, " FROM orders o WHERE ", IS_ON_HOLD, " AND ", FITS, " ORDER BY o.id DESC LIMIT $8 OFFSET $9");
const COUNT_ON_HOLD: &str =
    sql!("SELECT count(*) FROM (SELECT FROM orders o WHERE ", IS_ON_HOLD, " AND ", FITS, " LIMIT $8) counted");

const OWN: &str = sql!(
    "SELECT ",
    COLUMNS,
    " FROM orders o WHERE o.user_id = $12 AND ",
    FITS,
    " AND ($8::text[] IS NULL OR ",
    SAYS,
    ") ORDER BY o.id DESC LIMIT $13 OFFSET $14"
);
const COUNT_OWN: &str = sql!(
    "SELECT count(*) FROM (SELECT FROM orders o WHERE o.user_id = $12 AND ",
    FITS,
    " AND ($8::text[] IS NULL OR ",
    SAYS,
    ") LIMIT $13) counted"
);

/// Whether a name is too common to be looked up.
const COUNT_NAMES: &str = "
    SELECT count(*) FROM (
        SELECT FROM orders WHERE plain(customer_name) ~>=~ plain($1) AND plain(customer_name) ~<~ (plain($1) || $2) LIMIT $3) named";
const LOOK_UP: &str = sql!(
    "SELECT ",
    COLUMNS,
    " FROM (",
    FOUND,
    ") found JOIN orders o ON o.id = found.id WHERE ",
    FITS,
    " ORDER BY o.id DESC LIMIT $13 OFFSET $14"
);
const COUNT_LOOKED_UP: &str = sql!(
    "SELECT count(*) FROM (SELECT FROM (",
    FOUND,
    ") found JOIN orders o ON o.id = found.id WHERE ",
    FITS,
    " LIMIT $13) counted"
);
const LOOK_THROUGH: &str = sql!(
    "SELECT ",
    COLUMNS,
    " FROM (SELECT o.id FROM (",
    NEWEST,
    ") o WHERE ",
    SAYS,
    " ORDER BY o.id DESC LIMIT $13 OFFSET $14) found JOIN orders o ON o.id = found.id ORDER BY o.id DESC"
);
const COUNT_LOOKED_THROUGH: &str = sql!("SELECT count(*) FROM (SELECT FROM (", NEWEST, ") o WHERE ", SAYS, " LIMIT $13) counted");

/// Newest first, and how many there are, up to [`COUNTED_MAX`]; `after` is the last id of the page before.
pub async fn list_orders(
    db: &impl GenericClient,
    viewer: Viewer,
    filter: &Filter,
    limit: i64,
    offset: i64,
    after: Option<OrderId>,
    public_url: &str,
) -> Result<(Vec<OrderView>, i64)> {
    let words = filter.q.as_deref().map(str::trim).filter(|q| !q.is_empty()).map(Words::of);
    let (first, end) = filter.ids();
    let behind = after.map_or(end, |after| after.0.min(end));
    let times: [Param<'_>; 4] = [&filter.status, &filter.payment_status, &filter.from, &filter.to];
    let fits = [&times[..], &[&first, &end, &filter.on_hold]].concat();
    let fits_behind = [&times[..], &[&first, &behind, &filter.on_hold]].concat();
    let page: [Param<'_>; 2] = [&limit, &offset];
    let (all, user) = viewer.scope();
    let none = Words::default();
    let said = words.as_ref().unwrap_or(&none).params();
    let (page_sql, count_sql, narrowed): (_, _, Vec<Param<'_>>) = match (all, &words) {
        (false, _) => (OWN, COUNT_OWN, [&said[..], &[&user]].concat()),
        (true, None) if filter.on_hold == Some(true) => (ON_HOLD, COUNT_ON_HOLD, Vec::new()),
        (true, None) => (ALL, COUNT_ALL, Vec::new()),
        (true, Some(words)) if words.is_common(db).await? => {
            (LOOK_THROUGH, COUNT_LOOKED_THROUGH, [&said[..], &[&LOOKED_THROUGH_MAX]].concat())
        }
        (true, Some(_)) => (LOOK_UP, COUNT_LOOKED_UP, [&said[..], &[&LOOKED_UP_MAX]].concat()),
    };
    let page_params = [&fits_behind[..], &narrowed, &page].concat();
    let count_params = [&fits[..], &narrowed, &[&COUNTED_MAX]].concat();
    let (total, rows) =
        futures_util::future::try_join(db::query_one(db, count_sql, &count_params), db::query(db, page_sql, &page_params))
            .await?;
    let ids: Vec<OrderId> = rows.iter().map(|row| row.get("id")).collect();
    let lines = list_lines(db, &ids).await?;
    let orders = rows
        .iter()
        .map(|row| {
            let id: OrderId = row.get("id");
            let items = lines.iter().filter(|line| line.get::<_, OrderId>("order_id") == id).map(OrderLine::from_row).collect();
            OrderView::from_row(row, items, public_url)
        })
        .collect::<Result<_>>()?;
    Ok((orders, total.get(0)))
}

type Param<'a> = &'a (dyn ToSql + Sync);

impl Filter {
    /// The range of ids of orders with these times, without its end. The primary key finds them.
    fn ids(&self) -> (Uuid, Uuid) {
        let early = |from: Timestamp| id_floor(from.saturating_sub(CLOCKS_DIFFER).unwrap_or(from));
        let late = |to: Timestamp| id_floor(to.saturating_add(CLOCKS_DIFFER).unwrap_or(to));
        (self.from.map_or(Uuid::nil(), early), self.to.map_or(Uuid::max(), late))
    }
}

/// What `q` may be.
#[derive(Debug, Default)]
struct Words {
    /// An order's number or a parcel's, as it may have been typed.
    numbers: Option<Vec<String>>,
    email: String,
    name: String,
    /// No letter is behind this one: names between `name` and `name` with it begin with `name`.
    last_letter: String,
}

impl Words {
    fn of(q: &str) -> Self {
        let name = q.to_lowercase();
        Self { numbers: Some(named::readings(q)), email: name.clone(), name, last_letter: last_letter() }
    }

    fn params(&self) -> [Param<'_>; 4] {
        [&self.numbers, &self.email, &self.name, &self.last_letter]
    }

    async fn is_common(&self, db: &impl GenericClient) -> Result<bool> {
        let named = db::query_one(db, COUNT_NAMES, &[&self.name, &self.last_letter, &(LOOKED_UP_MAX + 1)]).await?;
        Ok(named.get::<_, i64>(0) > LOOKED_UP_MAX)
    }
}
