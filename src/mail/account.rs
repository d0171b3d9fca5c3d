//! Mails about an account, and to people without one about their data.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::Email;

use super::facts;
use super::kind::Kind;
use super::link::Link;
use super::notice::Notice;
use super::templates::Story;
use super::{TOKEN, Whom, send, story, write};
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{EmailChangeId, OrderId, PrivacyRequestId, ResetId, UserId};
use crate::jobs::Outcome;
use crate::lang::Lang;

/// Mails a new customer that the account was made.
pub async fn welcome(app: &App, user: UserId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(account) = facts::account(&tx, user).await? else { return Ok(Outcome::Done) };
    let event = format!("welcome:{user}");
    let story = Story { lang: account.lang, account: Some(&account), ..story(app) };
    let whom = Whom { order: None, user: Some(user), to: Some(&account.recipient) };
    let (claim, _) = write(&tx, app, Kind::Welcome, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, Link::None).await
}

/// Mails the link that sets a new password. Nothing is sent if it was used or has expired.
pub async fn password_reset(app: &App, reset: ResetId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(facts) = facts::reset(&tx, app, reset).await? else { return Ok(Outcome::Done) };
    let event = format!("password_reset:{reset}");
    let story = Story { lang: facts.lang, reset: Some(&facts), ..story(app) };
    let whom = Whom { order: None, user: Some(facts.user), to: Some(&facts.recipient) };
    let (claim, _) = write(&tx, app, Kind::PasswordReset, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, Link::Reset(reset)).await
}

/// Mails the link that confirms a new e-mail. Nothing is sent if it was used, has expired, or if the address has an account: whoever
/// asked must not learn that.
pub async fn email_confirm(app: &App, change: EmailChangeId) -> Result<Outcome> {
    let found = find_change(&app.db().await?, app, change).await?;
    notify(app, Kind::EmailConfirm, &format!("email_confirm:{change}"), found, Link::EmailChange(change)).await
}

/// Tells the old e-mail that the account has a new one.
pub async fn email_changed(app: &App, change: EmailChangeId) -> Result<Outcome> {
    let found = find_confirmed(&app.db().await?, app, change).await?;
    notify(app, Kind::EmailChanged, &format!("email_changed:{change}"), found, Link::None).await
}

/// Tells that the password was changed, once for each change.
pub async fn password_changed(app: &App, user: UserId) -> Result<Outcome> {
    const FIND: &str = "
        SELECT name, email, locale, password_changed_at FROM users
         WHERE id = $1 AND erased_at IS NULL AND password_changed_at IS NOT NULL";
    let Some(row) = db::query_opt(&app.db().await?, FIND, &[&user]).await? else { return Ok(Outcome::Done) };
    let at: Timestamp = row.get("password_changed_at");
    let notice = Notice {
        user: Some(user),
        recipient: row.get("email"),
        lang: Lang::of(row.get("locale")),
        first_name: facts::first_name(row.get("name")),
        url: app.config.http.frontend_url.clone(),
        at: Some(at),
        ..Notice::default()
    };
    let event = format!("password_changed:{user}:{}", at.as_microsecond());
    notify(app, Kind::PasswordChanged, &event, Some(notice), Link::None).await
}

/// Mails a new link to a guest's order, to the order's own e-mail, once an hour at most.
pub async fn order_link(app: &App, id: OrderId) -> Result<Outcome> {
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(order) = facts::lock_order(&tx, app, id).await? else { return Ok(Outcome::Done) };
    if order.user.is_some() || order.recipient.is_none() {
        return Ok(Outcome::Done);
    }
    let event = format!("order_link:{id}:{}", Timestamp::now().as_second() / 3600);
    let story = Story { lang: order.lang, order: Some(&order), ..story(app) };
    let whom = Whom { order: Some(id), user: None, to: order.recipient.as_deref() };
    let (claim, _) = write(&tx, app, Kind::OrderLink, &event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, Link::Order(id)).await
}

/// Mails the link with which somebody without an account exports or erases their data.
pub async fn privacy_request(app: &App, request: PrivacyRequestId) -> Result<Outcome> {
    const FIND: &str = "
        SELECT email, locale, expires_at FROM privacy_requests WHERE id = $1 AND used_at IS NULL AND expires_at > now()";
    let row = db::query_opt(&app.db().await?, FIND, &[&request]).await?;
    let found = row.map(|row| Notice {
        recipient: row.get("email"),
        lang: Lang::of(row.get("locale")),
        url: privacy_url(&app.config.http.frontend_url),
        expires_at: row.get("expires_at"),
        ..Notice::default()
    });
    notify(app, Kind::PrivacyRequest, &format!("privacy_request:{request}"), found, Link::Privacy(request)).await
}

/// The address where somebody without an account sees and erases their data.
pub fn privacy_url(frontend_url: &str) -> String {
    format!("{frontend_url}/meus-dados?token={TOKEN}")
}

/// The address where a new e-mail is confirmed.
pub fn email_url(frontend_url: &str) -> String {
    format!("{frontend_url}/confirmar-email?token={TOKEN}")
}

async fn find_change(db: &impl GenericClient, app: &App, change: EmailChangeId) -> Result<Option<Notice>> {
    const FIND: &str = "
        SELECT c.user_id, c.new_email, c.expires_at, u.name, u.locale FROM email_changes c JOIN users u ON u.id = c.user_id
         WHERE c.id = $1 AND c.ended_at IS NULL AND c.expires_at > now() AND u.erased_at IS NULL
           AND NOT EXISTS (SELECT FROM users o WHERE o.email = c.new_email)";
    let row = db::query_opt(db, FIND, &[&change]).await?;
    Ok(row.map(|row| Notice {
        user: row.get("user_id"),
        recipient: row.get("new_email"),
        lang: Lang::of(row.get("locale")),
        first_name: facts::first_name(row.get("name")),
        url: email_url(&app.config.http.frontend_url),
        expires_at: row.get("expires_at"),
        ..Notice::default()
    }))
}

async fn find_confirmed(db: &impl GenericClient, app: &App, change: EmailChangeId) -> Result<Option<Notice>> {
    const FIND: &str = "
        SELECT c.user_id, c.old_email, c.new_email, c.confirmed_at, u.name, u.locale FROM email_changes c JOIN users u ON u.id = c.user_id
         WHERE c.id = $1 AND c.confirmed_at IS NOT NULL AND u.erased_at IS NULL";
    let row = db::query_opt(db, FIND, &[&change]).await?;
    Ok(row.map(|row| Notice {
        user: row.get("user_id"),
        recipient: row.get("old_email"),
        lang: Lang::of(row.get("locale")),
        first_name: facts::first_name(row.get("name")),
        url: app.config.http.frontend_url.clone(),
        at: row.get("confirmed_at"),
        new_email: Email::parse(row.get("new_email")).ok().map(|email| email.masked()),
        ..Notice::default()
    }))
}

/// Writes and sends a notice. `None`: it is no longer so, and nothing is sent.
async fn notify(app: &App, kind: Kind, event: &str, notice: Option<Notice>, link: Link) -> Result<Outcome> {
    let Some(notice) = notice else { return Ok(Outcome::Done) };
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let story = Story { lang: notice.lang, notice: Some(&notice), ..story(app) };
    let whom = Whom { order: None, user: notice.user, to: Some(&notice.recipient) };
    let (claim, _) = write(&tx, app, kind, event, &whom, &story).await?;
    tx.commit().await?;
    drop(db);
    send::hand_over(app, claim, link).await
}
