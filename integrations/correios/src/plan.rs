//! The batch lines for a parcel, and the options from their answers.

use serde_json::{Value, json};
use vitrine_kit::shipping::{FreightOption, QuoteRequest, Volume};
use vitrine_kit::{Money, ProviderError};

use crate::line::Line;
use crate::services::Service;
use crate::wire::{self, Item, Token};
use crate::{MinBox, NAME};

/// Most simulations for one parcel; with more, nothing is asked.
const MAX_LINES: usize = 50;

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    ask: &'a QuoteRequest,
    /// The services that take every box.
    pub(crate) services: Vec<&'static Service>,
    pub(crate) lines: Vec<Line>,
}

/// Why a service is not among the options.
enum Drop {
    /// It does not go there, or not with these contents.
    NotCarried,
    /// A mistake of our account or our request.
    Refused { code: String, message: String },
    /// Its answer is missing or unusable.
    Strange,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(ask: &'a QuoteRequest, services: &[&'static Service], min_box: MinBox) -> Self {
        let boxes: Vec<Volume> = ask.volumes.iter().map(|volume| rounded_up(volume, min_box)).collect();
        let worth = ask.items.iter().map(|item| item.unit_price.times(item.quantity).unwrap_or(Money::from_cents(i64::MAX)));
        let worth = Money::sum(worth).unwrap_or(Money::from_cents(i64::MAX));
        let grams: Vec<Money> = boxes.iter().map(|volume| Money::from_cents(volume.weight_grams.into())).collect();
        let worths = Money::apportion(worth, &grams); // by weight: which goods lie in which box is not known
        let services = services.iter().copied().filter(|s| boxes.iter().all(|volume| s.takes(volume))).collect();
        let mut plan = Self { ask, services, lines: Vec::new() };
        for &service in &plan.services {
            let first = plan.lines.len();
            for (volume, worth) in boxes.iter().zip(&worths) {
                let declared = (*worth > service.insurance.min).then(|| service.insurance.max.min(*worth));
                match plan.lines[first..].iter_mut().find(|line| line.volume == *volume && line.declared == declared) {
                    Some(same) => same.count += 1,
                    None => plan.lines.push(Line { service, volume: *volume, declared, count: 1 }),
                }
            }
        }
        if plan.lines.len() > MAX_LINES {
            tracing::warn!(provider = NAME, boxes = boxes.len(), "no quote: the parcel has too many boxes");
            plan.lines.clear();
        }
        plan
    }

    /// A batch's body; `first`: the number of its first line.
    pub(crate) fn ask_prices(&self, first: usize, lines: &[Line], token: &Token, date: &str) -> Value {
        let line = |(i, line): (usize, &Line)| wire::price_line(&self.ask.from, &self.ask.to, first + i, line, token, date);
        json!({"idLote": "1", "parametrosProduto": lines.iter().enumerate().map(line).collect::<Vec<_>>()})
    }

    /// The delivery time does not depend on the box, so each service is asked once.
    pub(crate) fn ask_deadlines(&self, first: usize, services: &[&Service], date: &str) -> Value {
        let line =
            |(i, service): (usize, &&Service)| wire::deadline_line(&self.ask.from, &self.ask.to, first + i, service.code, date);
        json!({"idLote": "1", "parametrosPrazo": services.iter().enumerate().map(line).collect::<Vec<_>>()})
    }

    /// The services that can be bought. Empty: Correios said of every service that it does not carry this. An error if none is
    /// left for another reason.
    pub(crate) fn options(&self, prices: &[Item], deadlines: &[Item]) -> Result<Vec<FreightOption>, ProviderError> {
        let mut options = Vec::new();
        let mut error = None;
        for (n, service) in self.services.iter().enumerate() {
            match self.option(n, service, prices, deadlines) {
                Ok(option) => options.push(option),
                Err(Drop::NotCarried) => {}
                Err(Drop::Refused { code, message }) => {
                    tracing::warn!(provider = NAME, service = service.code, code, message, "a service is left out");
                    error = Some(ProviderError::Rejected { provider: NAME, code, message });
                }
                Err(Drop::Strange) => {
                    tracing::warn!(provider = NAME, service = service.code, "a service without a usable answer is left out");
                    let reason = "no service has a price and a deadline that make sense".to_owned();
                    error.get_or_insert(ProviderError::Unavailable { provider: NAME, reason, retry_after_s: None });
                }
            }
        }
        match error {
            Some(error) if options.is_empty() => Err(error),
            _ => Ok(options),
        }
    }

    fn option(&self, n: usize, service: &Service, prices: &[Item], deadlines: &[Item]) -> Result<FreightOption, Drop> {
        let mut price = Money::ZERO;
        let mut answers = Vec::new();
        for (i, line) in self.lines.iter().enumerate().filter(|(_, line)| line.service.code == service.code) {
            let alone = self.lines.iter().filter(|other| other.service.code == service.code).count() == 1;
            let item = answered(prices, i, service, alone)?;
            let one = item.price().filter(|one| *one > Money::ZERO).ok_or(Drop::Strange)?; // zero is never a price
            price = one.times(line.count).and_then(|these| price.checked_add(these)).ok_or(Drop::Strange)?;
            answers.push(item.price_record(line));
        }
        let deadline = answered(deadlines, n, service, true)?;
        let days = deadline.days().ok_or(Drop::Strange)?;
        let fetched = if deadline.is_fetched() { " (retirar na agência)" } else { "" };
        Ok(FreightOption {
            provider: NAME,
            carrier: format!("{}{fetched}", service.name),
            service: "Correios".to_owned(),
            service_code: service.code.to_owned(),
            price,
            days,
            volumes: self.ask.volumes.clone(),
            answer: json!({"prices": answers, "deadline": deadline.deadline_record()}),
        })
    }
}

/// The answer with the line's number, else with the service's code if the service has only one line.
fn answered<'a>(items: &'a [Item], line: usize, service: &Service, alone: bool) -> Result<&'a Item, Drop> {
    let number = wire::number(line);
    let is_product = |item: &&Item| item.product.as_deref().is_none_or(|code| code == service.code);
    let by_number = items.iter().filter(is_product).find(|item| item.number.as_deref() == Some(number.as_str()));
    let by_product =
        || items.iter().filter(|_| alone).find(|item| item.number.is_none() && item.product.as_deref() == Some(service.code));
    let item = by_number.or_else(by_product).ok_or(Drop::Strange)?;
    match item.refusal() {
        None => Ok(item),
        // These codes are mistakes in our request; with any other the service does not carry the parcel.
        Some(refusal) if refusal.code.starts_with("ERP-") && !matches!(refusal.code.as_str(), "ERP-010" | "ERP-054") => {
            tracing::debug!(provider = NAME, service = service.code, code = refusal.code, "a service does not carry this");
            Err(Drop::NotCarried)
        }
        Some(refusal) => Err(Drop::Refused { code: refusal.code, message: refusal.message }),
    }
}

/// With the longest side as length and the shortest as height, each at least the minimum.
fn rounded_up(volume: &Volume, min: MinBox) -> Volume {
    let mut sides = [volume.height_cm, volume.width_cm, volume.length_cm];
    sides.sort_unstable();
    let [height, width, length] = sides;
    Volume {
        height_cm: height.max(min.height_cm),
        width_cm: width.max(min.width_cm),
        length_cm: length.max(min.length_cm),
        weight_grams: volume.weight_grams.max(1),
    }
}
