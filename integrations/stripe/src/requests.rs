//! The requests, in async-stripe's types, with only the parameters that are needed: each one more could be refused.

use std::collections::HashMap;

use jiff::Timestamp;
use stripe_client_core::{RequestBuilder, StripeRequest};
use stripe_core::PaymentIntentAllowedPaymentMethodTypes;
use stripe_core::dispute::{ListDispute, RetrieveDispute};
use stripe_core::payment_intent::{CancelPaymentIntent, CreatePaymentIntent, ListPaymentIntent, RetrievePaymentIntent};
use stripe_core::refund::{CreateRefund, ListRefund, RetrieveRefund};
use stripe_types::{Currency, RangeBoundsTs, RangeQueryTs};
use vitrine_kit::ProviderError;
use vitrine_kit::pix::NewRefund;

use crate::{NAME, NewIntent};

/// The largest page of Stripe.
const PAGE: i64 = 100;
/// A smaller page for intents with their charge, so that the answer is well below the limit on its size.
const WIDE_PAGE: i64 = 50;
/// The longest value that metadata holds, in characters.
const METADATA_LIMIT: usize = 500;

/// Of cards alone: whatever else is switched on in their dashboard, a buyer who chose a card pays by card.
pub(crate) fn new_intent(new: &NewIntent) -> RequestBuilder {
    let ids = [("order_id", new.order_id), ("payment_id", new.payment_id)];
    let metadata: HashMap<String, String> = ids.map(|(name, id)| (name.to_owned(), id.to_string())).into();
    let mut request = CreatePaymentIntent::new(new.amount.cents(), Currency::BRL)
        .metadata(metadata)
        .allowed_payment_method_types([PaymentIntentAllowedPaymentMethodTypes::Card]);
    if let Some(description) = &new.description {
        request = request.description(description);
    }
    if let Some(email) = &new.receipt_email {
        request = request.receipt_email(email.as_str());
    }
    request.build()
}

pub(crate) fn intent(id: &str) -> Result<RequestBuilder, ProviderError> {
    check_id(id)?;
    Ok(RetrievePaymentIntent::new(id).build())
}

/// When they were created: in `[from, to)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Created {
    pub(crate) from: Timestamp,
    pub(crate) to: Option<Timestamp>,
}

impl Created {
    fn bounds(self) -> RangeQueryTs {
        let to = self.to.map(Timestamp::as_second);
        RangeQueryTs::Bounds(RangeBoundsTs { gte: Some(self.from.as_second()), lt: to, ..Default::default() })
    }
}

/// The next page of intents after that one; the newest come first. `with_charges`: each brings its last charge along.
pub(crate) fn intents(created: Created, with_charges: bool, after: Option<&str>) -> RequestBuilder {
    let mut list = ListPaymentIntent::new().created(created.bounds()).limit(if with_charges { WIDE_PAGE } else { PAGE });
    if with_charges {
        list = list.expand(["data.latest_charge".to_owned()]);
    }
    match after {
        Some(after) => list.starting_after(after).build(),
        None => list.build(),
    }
}

pub(crate) fn cancel(id: &str) -> Result<RequestBuilder, ProviderError> {
    check_id(id)?;
    Ok(CancelPaymentIntent::new(id).build())
}

/// The reason goes into the metadata: Stripe's own `reason` has only three values, and one of them blocks the card.
pub(crate) fn new_refund(new: &NewRefund) -> Result<RequestBuilder, ProviderError> {
    let reason: String = new.reason.chars().take(METADATA_LIMIT).collect();
    let mut metadata = HashMap::from([("refund_id".to_owned(), new.refund_id.to_string())]);
    if !reason.is_empty() {
        metadata.insert("reason".to_owned(), reason);
    }
    let request = CreateRefund::new().payment_intent(paid_by(new)?).amount(new.amount.cents());
    Ok(request.metadata(metadata).build())
}

pub(crate) fn refund(id: &str) -> Result<RequestBuilder, ProviderError> {
    check_id(id)?;
    Ok(RetrieveRefund::new(id).build())
}

pub(crate) fn refunds_of(intent_id: &str, after: Option<&str>) -> RequestBuilder {
    let list = ListRefund::new().payment_intent(intent_id).limit(PAGE);
    match after {
        Some(after) => list.starting_after(after).build(),
        None => list.build(),
    }
}

/// The next page of refunds after that one, of all intents; the newest come first.
pub(crate) fn refunds_made(created: Created, after: Option<&str>) -> RequestBuilder {
    let list = ListRefund::new().created(created.bounds()).limit(PAGE);
    match after {
        Some(after) => list.starting_after(after).build(),
        None => list.build(),
    }
}

pub(crate) fn dispute(id: &str) -> Result<RequestBuilder, ProviderError> {
    check_id(id)?;
    Ok(RetrieveDispute::new(id).build())
}

/// The disputes that began in that time; the newest come first.
pub(crate) fn disputes(created: Created, after: Option<&str>) -> RequestBuilder {
    let list = ListDispute::new().created(created.bounds()).limit(PAGE);
    match after {
        Some(after) => list.starting_after(after).build(),
        None => list.build(),
    }
}

/// The intent that a refund is of.
pub(crate) fn paid_by(refund: &NewRefund) -> Result<&str, ProviderError> {
    let intent_id = refund.payment_ref.as_deref().unwrap_or_default();
    check_id(intent_id)?;
    Ok(intent_id)
}

/// Ids become part of the path.
pub(crate) fn check_id(id: &str) -> Result<(), ProviderError> {
    if !id.is_empty() && id.len() <= 255 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
        return Ok(());
    }
    let message = "what we keep as their id is none".to_owned();
    Err(ProviderError::Rejected { provider: NAME, code: "bad_id".to_owned(), message })
}
