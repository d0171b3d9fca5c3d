//! `/api/admin/users`: people's accounts, for administrators.

use actix_web::{HttpResponse, get, patch, post, put, web};
use deadpool_postgres::{GenericClient, Transaction};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Email;

use super::User;
use super::sessions::{self, Reason};
use crate::app::App;
use crate::audit_log::{self, Action};
use crate::cause::{self, Actor};
use crate::config::Config;
use crate::db::{self, Patience, sql};
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::{COUNTED_MAX, holding};
use crate::http::page::{List, bounds, cursor_of, read_cursor};
use crate::http::who::{Admin, SignedIn};
use crate::ids::UserId;
use crate::seal::Keys;
use crate::token::Role;

const PROMOTE: &str = "promote";

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(list).service(show).service(patch_role).service(put_role);
    cfg.service(post_block).service(patch_block).service(post_unblock).service(patch_unblock);
}

/// A person as administrators see them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Account {
    #[serde(flatten)]
    pub user: User,
    /// When the person was blocked; null: they are not.
    #[schema(required = true)]
    pub blocked_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Part of a name or of an e-mail; accents and case do not matter.
    #[garde(length(chars, max = 120))]
    #[param(max_length = 120)]
    q: Option<String>,
    /// Only people with this role.
    #[garde(skip)]
    role: Option<Role>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(length(chars, max = 400))]
    #[param(max_length = 400)]
    cursor: Option<String>,
}

/// The role that somebody shall have.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "shipper"}))]
struct SetRole {
    /// The new role.
    #[garde(skip)]
    role: Role,
}

/// Lists accounts
///
/// The newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(Search),
    responses(
        (status = 200, body = List<Account>, description = "The accounts of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/users")]
async fn list(app: web::Data<App>, _admin: Admin, search: Query<Search>) -> Result<HttpResponse> {
    let (limit, offset) = bounds(search.0.limit, search.0.offset)?;
    let after = search.0.cursor.as_deref().map(read_cursor::<(Timestamp, UserId)>).transpose()?;
    let offset = if after.is_some() { 0 } else { offset };
    let db = app.db().await?;
    let total = count_users(&db, &search.0).await?;
    let mut items = list_users(&db, &app.keys, &search.0, after, limit + 1, offset).await?;
    let has_more = items.len() as i64 > limit;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|a| cursor_of(&(a.user.created_at, a.user.id)));
    Ok(HttpResponse::Ok().json(List { items, total, limit, offset, next_cursor }))
}

/// Shows an account
///
/// As administrators see it: the document masked.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person")))]
#[get("/api/admin/users/{id}")]
async fn show(app: web::Data<App>, _admin: Admin, id: Path<UserId>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(find_account(&app.db().await?, &app.keys, id.0).await?))
}

/// Gives somebody another role, as PUT does
///
/// The same as `PUT /api/admin/users/{id}/role`.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = SetRole,
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody changes their own role")))]
#[patch("/api/admin/users/{id}/role")]
async fn patch_role(app: web::Data<App>, admin: Admin, body: Json<SetRole>, id: Path<UserId>) -> Result<HttpResponse> {
    set_role(&app, &admin.0, id.0, body.role).await
}

/// Gives somebody another role
///
/// And ends their sessions. Nobody can change their own.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = SetRole,
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody changes their own role")))]
#[put("/api/admin/users/{id}/role")]
async fn put_role(app: web::Data<App>, admin: Admin, body: Json<SetRole>, id: Path<UserId>) -> Result<HttpResponse> {
    set_role(&app, &admin.0, id.0, body.role).await
}

/// Blocks somebody
///
/// Their sessions end and they cannot sign in.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody blocks themselves")))]
#[post("/api/admin/users/{id}/block")]
async fn post_block(app: web::Data<App>, admin: Admin, id: Path<UserId>) -> Result<HttpResponse> {
    set_blocked(&app, &admin.0, id.0, true).await
}

/// Blocks somebody, as POST does
///
/// The same as `POST /api/admin/users/{id}/block`.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody blocks themselves")))]
#[patch("/api/admin/users/{id}/block")]
async fn patch_block(app: web::Data<App>, admin: Admin, id: Path<UserId>) -> Result<HttpResponse> {
    set_blocked(&app, &admin.0, id.0, true).await
}

/// Lets somebody sign in again
///
/// Somebody who was blocked.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody unblocks themselves")))]
#[post("/api/admin/users/{id}/unblock")]
async fn post_unblock(app: web::Data<App>, admin: Admin, id: Path<UserId>) -> Result<HttpResponse> {
    set_blocked(&app, &admin.0, id.0, false).await
}

/// Lets somebody sign in again, as POST does
///
/// The same as `POST /api/admin/users/{id}/unblock`.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, body = Account, description = "The account as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such person"),
        (status = 409, body = Problem, description = "`conflict`: nobody unblocks themselves")))]
#[patch("/api/admin/users/{id}/unblock")]
async fn patch_unblock(app: web::Data<App>, admin: Admin, id: Path<UserId>) -> Result<HttpResponse> {
    set_blocked(&app, &admin.0, id.0, false).await
}

async fn set_role(app: &App, admin: &SignedIn, id: UserId, role: Role) -> Result<HttpResponse> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let before = lock_other(&tx, &app.keys, admin.id, id).await?;
    change_role(&tx, id, (before.user.role, role), admin.actor()).await?;
    let account = find_account(&tx, &app.keys, id).await?;
    tx.commit().await?;
    app.standings.forget(id);
    Ok(HttpResponse::Ok().json(account))
}

/// Ends the person's sessions: their tokens name the old role. `false`: they have the role already. The row is locked.
async fn change_role(tx: &Transaction<'_>, id: UserId, (before, role): (Role, Role), actor: Actor) -> Result<bool> {
    const UPDATE: &str = "UPDATE users SET role = $2, updated_at = now() WHERE id = $1";
    if before == role {
        return Ok(false);
    }
    db::execute(tx, UPDATE, &[&id, &role.as_str()]).await?;
    sessions::revoke_all(tx, id, None, Reason::Role).await?;
    let (old, new) = (json!({ "role": before }), json!({ "role": role }));
    audit_log::record(tx, actor, Action::UserRole, &id.to_string(), Some(old), Some(new)).await?;
    Ok(true)
}

/// `vitrine user promote`: gives the account with that e-mail a role. For the operator, who has no account; also the way back where no
/// administrator is left. Servers that run know it after [`Standings::TTL`](crate::standing::Standings::TTL) at the latest.
///
/// Errors: no e-mail; nobody has an account with it.
pub async fn promote(config: &Config, email: &str, role: Role) -> Result<()> {
    const LOCK: &str = "SELECT id, role FROM users WHERE email = $1 AND erased_at IS NULL FOR UPDATE";
    let email = Email::parse(email).map_err(|e| Error::field("email", e.to_string()))?;
    let pool = db::pool(&config.database, Patience::Command)?;
    let mut db = pool.get().await?;
    let tx = db.transaction().await?;
    let row = db::query_opt(&tx, LOCK, &[&email.as_str()]).await?.ok_or(Error::NotFound("An account with this e-mail"))?;
    let change = change_role(&tx, row.get("id"), (Role::of(row.get("role")), role), Actor::Command(PROMOTE));
    let is_new = cause::scope("command", PROMOTE, change).await?;
    tx.commit().await?;
    let what = if is_new { "now; the account's sessions have ended" } else { "already" };
    println!("{} has the role {} {what}", email.as_str(), role.as_str());
    Ok(())
}

async fn set_blocked(app: &App, admin: &SignedIn, id: UserId, blocked: bool) -> Result<HttpResponse> {
    const UPDATE: &str = "
        UPDATE users SET blocked_at = CASE WHEN $2 THEN now() END, updated_at = now() WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let before = lock_other(&tx, &app.keys, admin.id, id).await?;
    if before.blocked_at.is_some() != blocked {
        db::execute(&tx, UPDATE, &[&id, &blocked]).await?;
        if blocked {
            sessions::revoke_all(&tx, id, None, Reason::Blocked).await?;
        }
        let action = if blocked { Action::UserBlock } else { Action::UserUnblock };
        let (old, new) = (json!({ "blocked": !blocked }), json!({ "blocked": blocked }));
        audit_log::record(&tx, admin.actor(), action, &id.to_string(), Some(old), Some(new)).await?;
    }
    let account = find_account(&tx, &app.keys, id).await?;
    tx.commit().await?;
    app.standings.forget(id);
    Ok(HttpResponse::Ok().json(account))
}

/// Locks both rows, always in the same order, and checks again that the administrator may do this: two administrators who
/// take each other's role at the same time would leave the shop with none.
async fn lock_other(tx: &Transaction<'_>, keys: &Keys, admin: UserId, id: UserId) -> Result<Account> {
    const LOCK: &str =
        sql!("SELECT ", User::COLUMNS, ", blocked_at FROM users WHERE id = ANY($1) AND erased_at IS NULL ORDER BY id FOR UPDATE");
    if admin == id {
        return Err(Error::Conflict("Nobody changes their own role or blocks themselves: ask another administrator".into()));
    }
    let rows = db::query(tx, LOCK, &[&vec![admin, id]]).await?;
    let accounts = rows.iter().map(|row| account_of(row, keys)).collect::<Result<Vec<_>>>()?;
    let may = |a: &Account| a.user.id == admin && a.user.role == Role::Admin && a.blocked_at.is_none();
    if !accounts.iter().any(may) {
        return Err(Error::Forbidden("This is for administrators of the shop"));
    }
    accounts.into_iter().find(|a| a.user.id == id).ok_or(Error::NotFound("The person"))
}

fn account_of(row: &tokio_postgres::Row, keys: &Keys) -> Result<Account> {
    Ok(Account { user: User::of(row, keys)?, blocked_at: row.get("blocked_at") })
}

async fn find_account(db: &impl GenericClient, keys: &Keys, id: UserId) -> Result<Account> {
    const FIND: &str = sql!("SELECT ", User::COLUMNS, ", blocked_at FROM users WHERE id = $1 AND erased_at IS NULL");
    let row = db::query_opt(db, FIND, &[&id]).await?.ok_or(Error::NotFound("The person"))?;
    account_of(&row, keys)
}

/// The persons whose name or e-mail holds `q`, looked up in their index. It knows three letters at a time.
const FOUND: &str = "
    WITH found AS MATERIALIZED (
        SELECT id FROM users WHERE erased_at IS NULL AND plain(name || ' ' || email) LIKE plain($1) AND ($2::text IS NULL OR role = $2))";
/// Shorter words fit so many that the newest of them are found by reading on.
const LOOKED_UP_MIN: usize = 3;

async fn count_users(db: &impl GenericClient, search: &Search) -> Result<i64> {
    const COUNT: &str = "
        SELECT count(*) AS total FROM (SELECT FROM users
         WHERE erased_at IS NULL AND ($1::text IS NULL OR plain(name || ' ' || email) LIKE plain($1))
           AND ($2::text IS NULL OR role = $2) LIMIT $3) counted";
    const COUNT_FOUND: &str = sql!(FOUND, " SELECT count(*) AS total FROM (SELECT FROM found LIMIT $3) counted");
    let (q, role) = (search.q.as_deref().map(holding), search.role.map(Role::as_str));
    let count = if search.is_looked_up() { COUNT_FOUND } else { COUNT };
    Ok(db::query_one(db, count, &[&q, &role, &COUNTED_MAX]).await?.get("total"))
}

async fn list_users(
    db: &impl GenericClient,
    keys: &Keys,
    search: &Search,
    after: Option<(Timestamp, UserId)>,
    limit: i64,
    offset: i64,
) -> Result<Vec<Account>> {
    const BEHIND: &str = "
           AND ($3::timestamptz IS NULL OR created_at < $3 OR (created_at = $3 AND id > $4))
         ORDER BY created_at DESC, id LIMIT $5 OFFSET $6";
    const LIST: &str = sql!(
        "SELECT ",
        User::COLUMNS,
        ", blocked_at FROM users
         WHERE erased_at IS NULL AND ($1::text IS NULL OR plain(name || ' ' || email) LIKE plain($1))
           AND ($2::text IS NULL OR role = $2)",
        BEHIND
    );
    const LIST_FOUND: &str = sql!(
        FOUND,
        " SELECT ",
        User::COLUMNS,
        ", blocked_at FROM users WHERE id = ANY(ARRAY(SELECT found.id FROM found))",
        BEHIND
    );
    let (q, role) = (search.q.as_deref().map(holding), search.role.map(Role::as_str));
    let (at, id) = after.unzip();
    let page = if search.is_looked_up() { LIST_FOUND } else { LIST };
    let rows = db::query(db, page, &[&q, &role, &at, &id, &limit, &offset]).await?;
    rows.iter().map(|row| account_of(row, keys)).collect()
}

impl Search {
    fn is_looked_up(&self) -> bool {
        self.q.as_deref().is_some_and(|q| q.trim().chars().count() >= LOOKED_UP_MIN)
    }
}
