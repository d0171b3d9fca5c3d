//! Asks every carrier at the same time, under one deadline. If a carrier does not answer, only its own options are missing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sha2::{Digest, Sha256};
use vitrine_kit::Money;
use vitrine_kit::ProviderError;
use vitrine_kit::shipping::{FreightOption, QuoteRequest, ShippingProvider};

use super::Offer;
use crate::alerts;
use crate::app::App;
use crate::error::Chain;
use crate::providers::QuoteCache;

/// How long a buyer waits for the slowest carrier.
const DEADLINE: Duration = Duration::from_millis(2_500);

/// The result of asking all carriers.
#[derive(Debug)]
pub struct CarrierAnswers {
    pub offers: Vec<Offer>,
    /// The offers that were not in the cache.
    pub fresh: Vec<Offer>,
    /// Carriers without a usable answer, so that "no offers" is not mistaken for "nobody delivers".
    pub away: Vec<&'static str>,
}

/// One carrier's answer, and whether it is new. Of many who ask the same at once, one asks.
async fn ask(
    known: &QuoteCache,
    carrier: &dyn ShippingProvider,
    question: &QuoteRequest,
    key: [u8; 32],
) -> Result<(Arc<Vec<FreightOption>>, bool), Arc<ProviderError>> {
    let asked = async { carrier.quote(question).await.map(Arc::new) };
    let entry = known.entry((carrier.name(), key)).or_try_insert_with(asked).await?;
    let is_new = entry.is_fresh();
    Ok((entry.into_value(), is_new))
}

/// Asks all carriers. Never fails: a carrier that fails is left out.
pub async fn ask_all(app: &App, question: &QuoteRequest) -> CarrierAnswers {
    let key = fingerprint(question);
    let asked = app.providers.carriers.iter().map(|carrier| async move {
        let answer = tokio::time::timeout(DEADLINE, ask(&app.providers.quotes, carrier.as_ref(), question, key)).await;
        (carrier.name(), answer)
    });
    let mut answers = CarrierAnswers::none();
    for (carrier, answer) in join_all(asked).await {
        match answer {
            Ok(Ok((options, is_new))) => answers.take(carrier, &options, is_new),
            Ok(Err(error)) => {
                tracing::warn!(carrier, error = %error, "a carrier is left out of a freight quote");
                tell_if_refused(app, carrier, &error).await;
                answers.away.push(carrier);
            }
            Err(_) => {
                tracing::warn!(carrier, "a carrier is left out of a freight quote: it was too slow");
                answers.away.push(carrier);
            }
        }
    }
    answers
}

/// A quote that the operator cannot be told of is a quote all the same.
async fn tell_if_refused(app: &App, carrier: &'static str, error: &ProviderError) {
    let is_refused = matches!(error, ProviderError::NotAccepted { .. });
    if !is_refused || app.providers.refusing.contains_key(carrier) {
        return;
    }
    app.providers.refusing.insert(carrier, ()).await;
    let tell = async { alerts::raise_if_refused(&app.db().await?, error, None).await };
    if let Err(error) = tell.await {
        tracing::error!(carrier, error = %Chain(&error), "nobody was told that a carrier does not accept our credentials");
    }
}

impl CarrierAnswers {
    /// Nobody was asked.
    pub fn none() -> Self {
        Self { offers: Vec::new(), fresh: Vec::new(), away: Vec::new() }
    }

    fn take(&mut self, carrier: &'static str, options: &[FreightOption], is_new: bool) {
        if options.iter().any(|option| option.price <= Money::ZERO) {
            self.away.push(carrier);
        }
        for option in options {
            if option.price <= Money::ZERO {
                tracing::warn!(carrier, service = option.service_code, "an option with a price of zero is left out");
                continue;
            }
            let offer = Offer {
                provider: option.provider.to_owned(),
                carrier: option.carrier.clone(),
                service: option.service.clone(),
                service_code: option.service_code.clone(),
                price: option.price,
                days: option.days,
                volumes: option.volumes.clone(),
                answer: option.answer.clone(),
            };
            if is_new {
                self.fresh.push(offer.clone());
            }
            self.offers.push(offer);
        }
    }
}

/// Everything that the answer depends on.
fn fingerprint(question: &QuoteRequest) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(question.from.as_str());
    hash.update(question.to.as_str());
    for item in &question.items {
        let numbers = [item.quantity, item.weight_grams, item.height_cm, item.width_cm, item.length_cm];
        hash.update(&item.id);
        hash.update(numbers.map(u32::to_be_bytes).concat());
        hash.update(item.unit_price.cents().to_be_bytes());
    }
    for volume in &question.volumes {
        let numbers = [volume.height_cm, volume.width_cm, volume.length_cm, volume.weight_grams];
        hash.update(b"box");
        hash.update(numbers.map(u32::to_be_bytes).concat());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(cents: i64) -> FreightOption {
        let (carrier, service, service_code) = ("PAC".into(), "Correios".into(), "1".into());
        let (price, volumes, answer) = (Money::from_cents(cents), Vec::new(), serde_json::Value::Null);
        FreightOption { provider: "test", carrier, service, service_code, price, days: 3, volumes, answer }
    }

    #[test]
    fn a_price_of_zero_is_left_out_and_is_no_answer() {
        let mut answers = CarrierAnswers { offers: Vec::new(), fresh: Vec::new(), away: Vec::new() };
        answers.take("test", &[option(0), option(-1)], true);
        assert_eq!((answers.offers.len(), answers.fresh.len(), answers.away.clone()), (0, 0, vec!["test"]));
        answers.take("test", &[option(1)], false);
        assert_eq!((answers.offers.len(), answers.fresh.len()), (1, 0), "a cached answer is not fresh");
    }

    #[test]
    fn everything_that_moves_the_price_is_another_question() {
        use vitrine_kit::Cep;
        use vitrine_kit::shipping::{ParcelItem, Volume};
        let cep = |text| Cep::parse(text).expect("a test writes it well");
        let item = ParcelItem {
            id: "a".into(),
            quantity: 1,
            weight_grams: 2,
            height_cm: 3,
            width_cm: 4,
            length_cm: 5,
            unit_price: Money::from_cents(6),
        };
        let base = QuoteRequest { from: cep("01310100"), to: cep("20040002"), items: vec![item.clone()], volumes: vec![] };
        let with = |item| QuoteRequest { items: vec![item], ..base.clone() };
        let volume = Volume { height_cm: 1, width_cm: 2, length_cm: 3, weight_grams: 4 };
        let boxed = |volumes: &[Volume]| QuoteRequest { volumes: volumes.to_vec(), ..base.clone() };
        let others = [
            QuoteRequest { from: cep("01310101"), ..base.clone() },
            QuoteRequest { to: cep("20040003"), ..base.clone() },
            QuoteRequest { items: vec![item.clone(), item.clone()], ..base.clone() },
            with(ParcelItem { id: "b".into(), ..item.clone() }),
            with(ParcelItem { quantity: 9, ..item.clone() }),
            with(ParcelItem { weight_grams: 9, ..item.clone() }),
            with(ParcelItem { height_cm: 9, ..item.clone() }),
            with(ParcelItem { width_cm: 9, ..item.clone() }),
            with(ParcelItem { length_cm: 9, ..item.clone() }),
            with(ParcelItem { unit_price: Money::from_cents(9), ..item.clone() }),
            boxed(&[volume]),
            boxed(&[volume, volume]),
            boxed(&[Volume { height_cm: 9, ..volume }]),
            boxed(&[Volume { width_cm: 9, ..volume }]),
            boxed(&[Volume { length_cm: 9, ..volume }]),
            boxed(&[Volume { weight_grams: 9, ..volume }]),
        ];
        let mut keys: Vec<[u8; 32]> = others.iter().chain([&base]).map(fingerprint).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((keys.len(), fingerprint(&base) == fingerprint(&base.clone())), (others.len() + 1, true));
    }
}
