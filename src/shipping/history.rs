//! Recent freight prices, by region and weight: the estimate when every carrier is away.

use std::time::Duration;

use deadpool_postgres::GenericClient;
use uuid::Uuid;
use vitrine_kit::{Cep, Money};

use super::Offer;
use crate::app::App;
use crate::db;
use crate::error::{Chain, Error, Result};

/// The longest that a buyer waits while prices are recorded.
const NOTE_WAIT: Duration = Duration::from_millis(300);
/// Upper ends of the weight bands, in grams; beyond the last, every 50 kg is one.
const BANDS: [i64; 12] = [300, 500, 1_000, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000];
const WIDE_BAND: i64 = 50_000;
/// Past prices of one service that an estimate uses.
const RECENT: i64 = 50;
/// Estimates are rounded up to this many centavos.
const ROUND_TO: i64 = 100;

/// The upper end of this weight's band.
fn band(grams: i64) -> i32 {
    let wide = || (grams.max(1) - 1) / WIDE_BAND * WIDE_BAND + WIDE_BAND;
    let end = BANDS.into_iter().find(|end| grams <= *end).unwrap_or_else(wide);
    i32::try_from(end).unwrap_or(i32::MAX)
}

/// Records the carriers' offers. A failure is logged and does not fail the request.
pub async fn note(app: &App, to: &Cep, grams: i64, offers: &[Offer]) {
    if offers.is_empty() {
        return;
    }
    let noted = async { insert_quotes(&app.db().await?, to.region(), band(grams), offers).await };
    match tokio::time::timeout(NOTE_WAIT, noted).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "a freight quote could not be kept for estimates"),
        Err(_) => tracing::warn!("a freight quote was not kept for estimates: the database is slow"),
    }
}

async fn insert_quotes(db: &impl GenericClient, region: &str, band: i32, offers: &[Offer]) -> Result<()> {
    const NOTE: &str = "
        INSERT INTO freight_quotes (id, cep_region, weight_grams, provider, carrier, service, service_code, price_cents, days)
        SELECT q.id, $1, $2, q.provider, q.carrier, q.service, q.code, q.price, q.days
          FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::int[])
            AS q (id, provider, carrier, service, code, price, days)";
    let ids: Vec<Uuid> = offers.iter().map(|_| Uuid::now_v7()).collect();
    let texts = |f: fn(&Offer) -> &str| offers.iter().map(f).collect::<Vec<_>>();
    let (providers, carriers) = (texts(|o| &o.provider), texts(|o| &o.carrier));
    let (services, codes) = (texts(|o| &o.service), texts(|o| &o.service_code));
    let prices: Vec<Money> = offers.iter().map(|o| o.price).collect();
    let days: Vec<i32> = offers.iter().map(|o| i32::try_from(o.days).unwrap_or(i32::MAX)).collect();
    db::execute(db, NOTE, &[&region, &band, &ids, &providers, &carriers, &services, &codes, &prices, &days]).await?;
    Ok(())
}

/// For each service of these carriers, the dearest and slowest of its recent quotes for a similar parcel: to the same place
/// (3 digits of the CEP), or else to the same part of the country (1 digit). 503 if there is none.
pub async fn estimate(app: &App, to: &Cep, grams: i64, carriers: &[&'static str]) -> Result<Vec<Offer>> {
    let db = app.db().await?;
    let place = vec![to.region().to_owned()];
    let near = find_past(&db, &place, band(grams), carriers).await?;
    if !near.is_empty() {
        return Ok(near);
    }
    let part: Vec<String> = (0..100).map(|n| format!("{}{n:02}", &to.as_str()[..1])).collect();
    let far = find_past(&db, &part, band(grams), carriers).await?;
    if far.is_empty() {
        return Err(Error::Busy { what: "Freight cannot be quoted right now", retry_after_s: 5 });
    }
    Ok(far)
}

async fn find_past(db: &impl GenericClient, regions: &[String], band: i32, carriers: &[&str]) -> Result<Vec<Offer>> {
    // A region's recent rows are shared by some ten services, hence the factor over RECENT.
    const FIND: &str = "
        SELECT provider, service_code, min(carrier) AS carrier, min(service) AS service, max(price_cents) AS price_cents, max(days) AS days
          FROM (SELECT q.provider, q.carrier, q.service, q.service_code, q.price_cents, q.days,
                       row_number() OVER (PARTITION BY provider, service_code ORDER BY quoted_at DESC) AS nth
                  FROM unnest($1::text[]) AS r (region)
                 CROSS JOIN LATERAL (
                        SELECT provider, carrier, service, service_code, price_cents, days, quoted_at FROM freight_quotes
                         WHERE cep_region = r.region AND weight_grams = $2 AND provider = ANY($3)
                         ORDER BY quoted_at DESC LIMIT $4::bigint * 10) q) recent
         WHERE nth <= $4::bigint
         GROUP BY provider, service_code";
    let rows = db::query(db, FIND, &[&regions, &band, &carriers, &RECENT]).await?;
    let offer = |row: &tokio_postgres::Row| Offer {
        provider: row.get("provider"),
        carrier: row.get("carrier"),
        service: row.get("service"),
        service_code: row.get("service_code"),
        price: rounded_up(row.get("price_cents")),
        days: row.get::<_, i32>("days").unsigned_abs(),
        ..Offer::default()
    };
    Ok(rows.iter().map(offer).collect())
}

fn rounded_up(price: Money) -> Money {
    let whole = price.cents().saturating_add(ROUND_TO - 1) / ROUND_TO * ROUND_TO;
    Money::from_cents(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_ends_at_or_above_every_weight_in_it() {
        let ends: Vec<i32> = [0, 1, 300, 301, 30_000, 50_000, 50_001, 100_000, 100_001, i64::MAX / 2].map(band).into();
        assert_eq!(ends, [300, 300, 300, 500, 30_000, 50_000, 100_000, 100_000, 150_000, i32::MAX]);
    }

    #[test]
    fn an_estimate_is_never_below_the_price_it_comes_from() {
        let shown: Vec<i64> = [1, 99, 100, 101, 1_850].map(|c| rounded_up(Money::from_cents(c)).cents()).into();
        assert_eq!(shown, [100, 100, 100, 200, 1_900]);
    }
}
