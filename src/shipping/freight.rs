//! What it costs to send these items there: the carriers' prices, or an estimate, each under our signature.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use vitrine_kit::shipping::QuoteRequest;
use vitrine_kit::{Cep, Money};

use super::parcel::{self, Parcel, Wanted};
use super::quote::VALIDITY_S;
use super::{Offer, Quote, carriers, history};
use crate::app::App;
use crate::error::Result;

/// What `POST /api/shipping/calculate` answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Freight {
    /// Cheapest first.
    pub options: Vec<FreightChoice>,
    /// Until when the checkout takes these prices.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Why there is no option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FreightChoice {
    /// "PAC", "SEDEX", ".Package".
    pub carrier: String,
    /// The company: "Correios", "Jadlog".
    pub service: String,
    pub provider: String,
    #[schema(value_type = i64)]
    pub price_cents: Money,
    pub currency: &'static str,
    /// Working days until delivery, packing included.
    pub days: u32,
    /// From past quotes, because no carrier could be asked. The price stands all the same.
    pub estimate: bool,
    pub cheapest: bool,
    pub fastest: bool,
    /// Signed: checkout trusts it, and nothing else that a client says of a price.
    pub quote_token: String,
}

/// Asks for freight. No connection is held while the carriers think.
pub async fn calculate(app: &App, to: &Cep, wanted: &[Wanted]) -> Result<Freight> {
    let parcel = parcel::find_parcel(&app.db().await?, wanted).await?;
    let from = &app.config.shipping.sender_cep;
    let question = QuoteRequest { from: from.clone(), to: to.clone(), items: parcel.items(), volumes: Vec::new() };
    let heard = carriers::ask_all(app, &question).await;
    let grams = parcel.chargeable_grams();
    let is_estimate = heard.offers.is_empty() && heard.incomplete;
    let mut offers = if is_estimate {
        history::estimate(app, to, grams).await?
    } else {
        history::note(app, to, grams, &heard.news).await;
        heard.offers
    };
    offers.sort_by(|a, b| (a.price, a.days, &a.service_code).cmp(&(b.price, b.days, &b.service_code)));
    let expires_at = Timestamp::now().as_second() + VALIDITY_S;
    let sign = |offer| quote(&parcel, from, to, offer, is_estimate, expires_at);
    let quotes: Vec<Quote> = offers.into_iter().map(sign).collect();
    Ok(Freight {
        message: quotes.is_empty().then_some("No carrier delivers this parcel to this CEP"),
        options: choices(app, quotes),
        expires_at: Timestamp::from_second(expires_at).ok(),
    })
}

fn quote(parcel: &Parcel, from: &Cep, to: &Cep, offer: Offer, estimate: bool, expires_at: i64) -> Quote {
    Quote {
        id: Uuid::now_v7(),
        cep: to.as_str().to_owned(),
        items: parcel.quoted(),
        days: offer.days.saturating_add(parcel.handling_days),
        provider: offer.provider,
        carrier: offer.carrier,
        service: offer.service,
        service_code: offer.service_code,
        price: offer.price,
        estimate,
        expires_at,
        asked: Some(parcel.asked(from)),
    }
}

/// The quotes, in their order; the first is the cheapest, and the first of the fewest days is the fastest.
fn choices(app: &App, quotes: Vec<Quote>) -> Vec<FreightChoice> {
    let fastest = quotes.iter().enumerate().min_by_key(|(i, quote)| (quote.days, *i)).map(|(i, _)| i);
    let choice = |(i, quote): (usize, Quote)| FreightChoice {
        quote_token: quote.seal(&app.keys),
        carrier: quote.carrier,
        service: quote.service,
        provider: quote.provider,
        price_cents: quote.price,
        currency: "BRL",
        days: quote.days,
        estimate: quote.estimate,
        cheapest: i == 0,
        fastest: Some(i) == fastest,
    };
    quotes.into_iter().enumerate().map(choice).collect()
}
