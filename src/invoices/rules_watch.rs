//! Tells the shop before a day on which other tax rules hold: which products and settings will not do then.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;
use super::readiness::{Known, Readiness};
use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::calendar;
use crate::db;
use crate::error::Result;
use crate::jobs::Outcome;

const EVERY: SignedDuration = SignedDuration::from_hours(24);
/// For 1 January: from 1 December on.
const AHEAD_DAYS: i32 = 31;
const NEAR_DAYS: i32 = 7;

/// The job. Each such day is told of once, and once more in its last week.
pub async fn watch(app: &App) -> Result<Outcome> {
    let now = Timestamp::now();
    if app.providers.fiscal.is_some() {
        tell_of_days_after(app, calendar::day_of(now)).await?;
    }
    Ok(Outcome::Again(now + EVERY))
}

/// As on that day.
pub async fn tell_of_days_after(app: &App, today: Date) -> Result<()> {
    let known = Known::read(app).await?;
    let left = |day: Date| (day - today).get_days();
    let ahead = known.rule_days(today).into_iter().filter(|day| left(*day) <= AHEAD_DAYS);
    let days: Vec<Date> = std::iter::once(today).chain(ahead).collect();
    let judged = known.judge(app, &days).await?;
    let Some((now, ahead)) = judged.split_first() else { return Ok(()) };
    for then in ahead {
        let Some(text) = in_words(then, now) else { continue };
        raise_once(app, Key::TaxRulesAhead { day: then.on, is_near: left(then.on) <= NEAR_DAYS }, text).await?;
    }
    Ok(())
}

async fn raise_once(app: &App, key: Key<'_>, text: String) -> Result<()> {
    const IS_TOLD: &str = "
        SELECT EXISTS (SELECT FROM alerts WHERE key = $1) OR EXISTS (SELECT FROM alert_occurrences WHERE key = $1)";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    if !db::query_one(&tx, IS_TOLD, &[&key.to_string()]).await?.get::<_, bool>(0) {
        alerts::raise(&tx, Alert::new(key, text)).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// `None`: nothing is in the way that is not now.
fn in_words(then: &Readiness, now: &Readiness) -> Option<String> {
    let day = then.on;
    let is_new = |problem: &&Problem| !now.problems.contains(problem) && !now.warnings.contains(problem);
    let settings: Vec<&str> =
        then.problems.iter().chain(&then.warnings).filter(is_new).map(|problem| problem.field.as_str()).collect();
    let mut parts = Vec::new();
    if then.products_total > now.products_total {
        parts.push(format!("{} produto(s) não poderão ser faturados", then.products_total));
    }
    if then.products_warned > now.products_warned {
        parts.push(format!("{} produto(s) sairão na nota sem IBS e CBS", then.products_warned));
    }
    if !settings.is_empty() {
        parts.push(format!("faltam dados da loja: {}", settings.join(", ")));
    }
    (!parts.is_empty()).then(|| {
        let parts = parts.join("; ");
        format!(
            "Em {day} mudam as regras de impostos: {parts}. Veja GET /api/admin/invoices/readiness?on={day} e fale com a contabilidade."
        )
    })
}
