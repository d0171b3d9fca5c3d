//! A new link for a guest who lost theirs.

use actix_web::{HttpRequest, HttpResponse, post, web};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use vitrine_kit::Email;

use crate::app::App;
use crate::db;
use crate::error::{Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::ids::OrderId;
use crate::jobs::{self, Job};
use crate::sale::named;
use crate::users::rules;

/// Which order the link shall open.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number": "0A1B2-C3D4E", "email": "ana@example.com"}))]
pub struct AskForLink {
    /// The order's number.
    #[garde(custom(rules::line(40)))]
    #[schema(min_length = 1, max_length = 40)]
    pub number: String,
    /// The e-mail that the order was placed with.
    #[garde(custom(rules::email))]
    #[schema(format = "email", max_length = 254)]
    pub email: String,
}

/// Mails a new link to an order
///
/// To an order that was placed without an account, to the e-mail that it was placed with, once an hour at most. The answer is
/// the same where number and e-mail do not belong together.
#[utoipa::path(
    tag = "orders", request_body = AskForLink,
    responses(
        (status = 202, description = "Taken; nothing is said of whether a mail is sent"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many links were asked for from this address")))]
#[post("/api/orders/link")]
pub async fn mail_link(app: web::Data<App>, req: HttpRequest, body: Json<AskForLink>) -> Result<HttpResponse> {
    const FIND: &str = "SELECT id FROM orders WHERE number = ANY ($1) AND customer_email = $2 AND user_id IS NULL";
    app.limiters.forgot_password.check(rate_limit::address(&app, &req))?;
    let email = rules::parsed("email", Email::parse(&body.email))?;
    let db = app.db().await?;
    if let Some(row) = db::query_opt(&db, FIND, &[&named::readings(&body.number), &email.as_str()]).await? {
        jobs::push(&db, Job::MailOrderLink { order: row.get::<_, OrderId>("id") }).await?;
        app.jobs_were_pushed();
    }
    Ok(HttpResponse::Accepted().finish())
}
