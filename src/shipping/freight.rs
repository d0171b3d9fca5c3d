//! The freight of these items to a CEP: carriers' prices, or an estimate, each signed.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use vitrine_kit::shipping::{QuoteRequest, Volume};
use vitrine_kit::{Cep, Money};

use super::carriers::CarrierAnswers;
use super::free::FreeReason;
use super::parcel::{self, Parcel, Wanted};
use super::quote::VALIDITY_S;
use super::settings::Pickup;
use super::{Free, Offer, PICKUP, Quote, carriers, free, history, packing};
use crate::app::App;
use crate::coupons::Coupon;
use crate::currency::Currency;
use crate::error::{Error, Result};
use crate::providers::names::FreightProvider;

/// The answer of `POST /api/shipping/calculate`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Freight {
    /// Cheapest first.
    pub options: Vec<FreightChoice>,
    /// How long the checkout accepts these prices.
    #[schema(format = DateTime, value_type = String, required = true)]
    pub expires_at: Option<Timestamp>,
    /// The subtotal from which an option is free by a rule of the shop; null where one is free already, or none can be.
    #[schema(value_type = Option<i64>, example = 19900, minimum = 0, required = true)]
    pub free_from_cents: Option<Money>,
    /// Why there is no option, or only pickup.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "No carrier delivers this parcel to this CEP", nullable = false)]
    pub message: Option<&'static str>,
}

/// One way to send it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FreightChoice {
    /// "PAC", "SEDEX", ".Package"; for pickup the shop's name for it.
    #[schema(example = "PAC")]
    pub carrier: String,
    /// The company: "Correios", "Jadlog"; for pickup the address.
    #[schema(example = "Correios")]
    pub service: String,
    /// Who was asked.
    #[schema(value_type = FreightProvider)]
    pub provider: String,
    /// What the buyer pays, in centavos.
    #[schema(value_type = i64, example = 1850, minimum = 0)]
    pub price_cents: Money,
    /// What the carrier asks, in centavos.
    #[schema(value_type = i64, example = 1850, minimum = 0)]
    pub original_price_cents: Money,
    /// Whether the buyer pays nothing.
    pub free: bool,
    /// Why it is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub free_reason: Option<FreeReason>,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    pub currency: Currency,
    /// Working days until delivery (or until pickup), handling included.
    #[schema(example = 7, minimum = 0)]
    pub days: u32,
    /// From past quotes, because no carrier answered. The price is binding all the same.
    pub estimate: bool,
    /// The first of the cheapest.
    pub cheapest: bool,
    /// The first of the fastest.
    pub fastest: bool,
    /// Signed: the checkout accepts this token and no price of the client's own.
    #[schema(example = "eyJxIjoi…")]
    pub quote_token: String,
}

/// Quotes freight. `coupon`: the cart's, if it can be used. No connection is held during the carriers' calls.
pub async fn calculate(app: &App, to: &Cep, wanted: &[Wanted], coupon: Option<&Coupon>) -> Result<Freight> {
    let parcel = parcel::find_parcel(&app.db().await?, wanted).await?;
    let (from, items) = (&app.config.shipping.sender_cep, parcel.items());
    let volumes = packing::pack(&items);
    let is_too_much = volumes.is_empty() && !items.is_empty();
    let question = QuoteRequest { from: from.clone(), to: to.clone(), items, volumes };
    // An answer about hundreds of boxes is longer than any that is read, so it would look as if the carrier were away.
    let answers = if is_too_much { CarrierAnswers::none() } else { carriers::ask_all(app, &question).await };
    let (is_away, pickup) = (!answers.away.is_empty(), parcel.settings.pickup_for(to));
    let (mut offers, estimate) = offers(app, to, parcel.chargeable_grams(), answers, pickup.is_some()).await?;
    let subtotal = parcel.subtotal();
    if !parcel.settings.mini_envios_above_insurance {
        offers.retain(|offer| !is_underinsured(offer, subtotal, question.volumes.len()));
    }
    let message = match (offers.is_empty(), pickup) {
        (false, _) => None,
        (true, Some(_)) if is_too_much => {
            Some("This is more than 50 boxes, which no carrier is asked for: it can only be fetched")
        }
        (true, None) if is_too_much => {
            Some("This is more than 50 boxes, which no carrier is asked for: order fewer pieces at a time")
        }
        (true, Some(_)) if is_away => Some("Carriers cannot be asked right now: this can only be fetched"),
        (true, Some(_)) => Some("No carrier delivers this parcel to this CEP: it can only be fetched"),
        (true, None) => Some("No carrier delivers this parcel to this CEP"),
    };
    let offers = merged(offers);
    let goods = subtotal.checked_sub(coupon.map_or(Money::ZERO, |c| c.discount(subtotal))).unwrap_or_default();
    let free_from_cents = free::free_from(&parcel.settings.free_freight, to, goods, &offers);
    let expires_at = Timestamp::now().as_second() + VALIDITY_S;
    let seller = Seller { parcel: &parcel, from, to, volumes: &question.volumes, estimate, expires_at };
    let coupon_frees = coupon.is_some_and(Coupon::frees_shipping);
    let sign = |(i, offer): (usize, Offer)| {
        let by_rule = free::by_rule(&parcel.settings.free_freight, to, goods, &offer, i == 0);
        seller.quote(offer, by_rule.or(coupon_frees.then_some(Free::Coupon)))
    };
    let mut quotes: Vec<Quote> = offers.into_iter().enumerate().map(sign).collect();
    quotes.extend(pickup.map(|pickup| seller.fetched(pickup)));
    quotes.sort_by(|a, b| (paid(a), a.days, &a.service_code).cmp(&(paid(b), b.days, &b.service_code)));
    let expires_at = Timestamp::from_second(expires_at).ok();
    Ok(Freight { options: choices(app, quotes), expires_at, free_from_cents, message })
}

/// Mini Envios, by provider and code: they insure a box for so much at most, whatever lies in it.
const MINI_ENVIOS: [(&str, &str); 2] = [("correios", "04227"), ("melhorenvio", "17")];
const MINI_ENVIOS_INSURE: Money = Money::from_cents(10_000);

/// The goods are worth more than the carrier would pay for them.
fn is_underinsured(offer: &Offer, goods: Money, boxes: usize) -> bool {
    let insured = MINI_ENVIOS_INSURE.times(u32::try_from(boxes.max(1)).unwrap_or(u32::MAX));
    MINI_ENVIOS.contains(&(&*offer.provider, &*offer.service_code)) && insured.is_some_and(|insured| goods > insured)
}

/// The offers, and whether they are estimates. Estimates are used only if nobody offers and somebody is away, and only for those.
async fn offers(app: &App, to: &Cep, grams: i64, answers: CarrierAnswers, has_pickup: bool) -> Result<(Vec<Offer>, bool)> {
    history::note(app, to, grams, &answers.fresh).await;
    if !answers.offers.is_empty() || answers.away.is_empty() {
        return Ok((answers.offers, false));
    }
    match history::estimate(app, to, grams, &answers.away).await {
        Err(Error::Busy { .. }) if has_pickup => Ok((Vec::new(), false)),
        estimated => Ok((estimated?, true)),
    }
}

/// Cheapest first. The same service of the same company from two providers is listed once: the one that is neither dearer nor
/// slower; if equal, the one that `SHIPPING_PROVIDER` names first.
fn merged(offers: Vec<Offer>) -> Vec<Offer> {
    let is_same = |a: &Offer, b: &Offer| {
        a.provider != b.provider
            && a.carrier.to_lowercase() == b.carrier.to_lowercase()
            && a.service.to_lowercase() == b.service.to_lowercase()
    };
    let mut kept: Vec<Offer> = Vec::with_capacity(offers.len());
    for offer in offers {
        if kept.iter().any(|other| is_same(other, &offer) && other.price <= offer.price && other.days <= offer.days) {
            continue;
        }
        kept.retain(|other| !(is_same(other, &offer) && offer.price <= other.price && offer.days <= other.days));
        kept.push(offer);
    }
    kept.sort_by(|a, b| (a.price, a.days, &a.service_code).cmp(&(b.price, b.days, &b.service_code)));
    kept
}

/// The fields that all options of one answer share.
struct Seller<'a> {
    parcel: &'a Parcel,
    from: &'a Cep,
    to: &'a Cep,
    /// The boxes by our own packing.
    volumes: &'a [Volume],
    estimate: bool,
    expires_at: i64,
}

impl Seller<'_> {
    fn quote(&self, offer: Offer, free: Option<Free>) -> Quote {
        let volumes = if offer.volumes.is_empty() { self.volumes.to_vec() } else { offer.volumes };
        Quote {
            id: Uuid::now_v7(),
            cep: self.to.as_str().to_owned(),
            items: self.parcel.quoted(),
            days: offer.days.saturating_add(self.parcel.settings.handling_days),
            provider: offer.provider,
            carrier: offer.carrier,
            service: offer.service,
            service_code: offer.service_code,
            price: offer.price,
            estimate: self.estimate,
            expires_at: self.expires_at,
            asked: Some(self.parcel.asked(self.from)),
            volumes,
            answer: offer.answer,
            free,
        }
    }

    fn fetched(&self, pickup: &Pickup) -> Quote {
        let offer = Offer {
            provider: PICKUP.to_owned(),
            carrier: pickup.label.trim().to_owned(),
            service: pickup.address.trim().to_owned(),
            service_code: PICKUP.to_owned(),
            ..Offer::default()
        };
        Quote { days: pickup.days, estimate: false, volumes: Vec::new(), ..self.quote(offer, Some(Free::Pickup)) }
    }
}

/// The freight that the buyer pays.
fn paid(quote: &Quote) -> Money {
    if quote.free.is_some() { Money::ZERO } else { quote.price }
}

/// The options, in the order of the quotes. The first is the cheapest; the first with the fewest days is the fastest.
fn choices(app: &App, quotes: Vec<Quote>) -> Vec<FreightChoice> {
    let fastest = quotes.iter().enumerate().min_by_key(|(i, quote)| (quote.days, *i)).map(|(i, _)| i);
    let choice = |(i, quote): (usize, Quote)| FreightChoice {
        quote_token: quote.seal(&app.keys),
        price_cents: paid(&quote),
        original_price_cents: quote.price,
        free: quote.free.is_some(),
        free_reason: quote.free.as_ref().map(Free::reason),
        carrier: quote.carrier,
        service: quote.service,
        provider: quote.provider,
        currency: Currency::Brl,
        days: quote.days,
        estimate: quote.estimate,
        cheapest: i == 0,
        fastest: Some(i) == fastest,
    };
    quotes.into_iter().enumerate().map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(provider: &str, carrier: &str, cents: i64, days: u32) -> Offer {
        let (provider, carrier, service) = (provider.to_owned(), carrier.to_owned(), "Correios".to_owned());
        Offer { provider, carrier, service, price: Money::from_cents(cents), days, ..Offer::default() }
    }

    fn short(offers: Vec<Offer>) -> Vec<(String, String, i64)> {
        merged(offers).into_iter().map(|o| (o.provider, o.carrier, o.price.cents())).collect()
    }

    fn told(provider: &str, carrier: &str, cents: i64) -> (String, String, i64) {
        (provider.to_owned(), carrier.to_owned(), cents)
    }

    #[test]
    fn mini_envios_carry_no_more_than_they_insure() {
        let of = |provider: &str, code: &str| Offer { service_code: code.to_owned(), ..offer(provider, "x", 1_000, 5) };
        for (provider, code) in MINI_ENVIOS {
            assert!(!is_underinsured(&of(provider, code), Money::from_cents(10_000), 1), "{provider}");
            assert!(is_underinsured(&of(provider, code), Money::from_cents(10_001), 1), "{provider}");
            assert!(!is_underinsured(&of(provider, code), Money::from_cents(20_000), 2), "{provider}");
        }
        assert!(!is_underinsured(&of("correios", "03298"), Money::from_cents(1_500_000), 1));
    }

    #[test]
    fn the_same_service_of_two_providers_is_offered_once_unless_each_is_better_at_something() {
        let pac = |provider, cents, days| offer(provider, "PAC", cents, days);
        assert_eq!(short(vec![pac("a", 2_000, 6), pac("b", 1_900, 6)]), [told("b", "PAC", 1_900)]);
        assert_eq!(short(vec![pac("a", 1_900, 6), pac("b", 2_000, 7)]), [told("a", "PAC", 1_900)]);
        assert_eq!(short(vec![pac("a", 2_000, 6), pac("b", 2_000, 6)]), [told("a", "PAC", 2_000)], "the first that is named");
        assert_eq!(short(vec![pac("a", 2_000, 5), pac("b", 1_900, 6)]), [told("b", "PAC", 1_900), told("a", "PAC", 2_000)]);
        let apart = vec![offer("a", "SEDEX", 2_000, 1), offer("b", "pac", 1_900, 6), pac("a", 1_800, 6)];
        assert_eq!(short(apart), [told("a", "PAC", 1_800), told("a", "SEDEX", 2_000)]);
        assert_eq!(short(vec![pac("a", 1, 1), pac("a", 2, 2)]).len(), 2, "what one provider calls the same is his own business");
    }
}
