//! Refunds: made once, looked up, and all that went back of an intent or on a day.

use jiff::Timestamp;
use vitrine_kit::ProviderError;
use vitrine_kit::breaker::Lane;
use vitrine_kit::pix::{NewRefund, Refund, Returns, TheirRefund};

use crate::exchange::{unsure, unsure_before};
use crate::requests::{self, Created};
use crate::{NAME, Stripe, failed, known, unclear, wire};

/// Most keys for one refund: Stripe also repeats a refusal because of the balance for a day.
const REFUND_KEYS: u32 = 24;
/// Most pages of 100 refunds of one payment.
const REFUND_PAGES: usize = 5;
/// Most pages of 100 refunds of one day.
const RETURN_PAGES: usize = 100;

impl Stripe {
    /// Makes a refund, once per `refund_id`. `attempt` is as in [`crate::NewIntent`]. Another key is used only once the answer of the
    /// earlier key is final (a 500, or a stored failure) and Stripe's books hold no refund of ours. A stored refusal for now made
    /// no refund: the next key asks again.
    pub async fn refund(&self, new: &NewRefund, attempt: u32) -> Result<Refund, ProviderError> {
        let request = requests::new_refund(new)?;
        if attempt > 1
            && let Some(made) = self.read_refund(new).await.map_err(unsure_before)?
        {
            return Ok(made);
        }
        let mut last_failure = None;
        let keys = attempt.clamp(1, REFUND_KEYS);
        for n in 1..=keys {
            let sent = self.post(Lane::Background, &request, &format!("refund-{}-{n}", new.refund_id)).await;
            let answer = if last_failure.is_some() { sent.map_err(unsure)? } else { sent? };
            match answer.status {
                500.. => {
                    last_failure = Some(answer.status);
                    if answer.status != 500 && answer.header("idempotent-replayed") != Some("true") {
                        break; // the answer is a gateway's: Stripe may still be processing the call
                    }
                    if let Some(made) = self.read_refund(new).await.map_err(unsure)? {
                        return Ok(made);
                    }
                }
                400 => {
                    let refused = self.refused(&answer).of_refund(wire::retry);
                    if n < keys && refused.is_transient() && answer.header("idempotent-replayed") == Some("true") {
                        continue;
                    }
                    // Often because it is done already.
                    return match self.read_refund(new).await {
                        Ok(Some(made)) => Ok(made),
                        _ => Err(refused),
                    };
                }
                _ => {
                    let made = self.made(&answer).map_err(|error| error.of_refund(wire::retry))?;
                    return same_refund(new, &made);
                }
            }
        }
        Err(failed(last_failure))
    }

    /// `None`: they do not know it.
    pub async fn read_refund(&self, refund: &NewRefund) -> Result<Option<Refund>, ProviderError> {
        if let Some(id) = &refund.refund_ref {
            let request = requests::refund(id)?;
            return known(self.get::<wire::Refund>(Lane::Background, request).await)?
                .map(|found| same_refund(refund, &found))
                .transpose();
        }
        let refunds = self.list_refunds(requests::paid_by(refund)?).await?;
        let ours = refunds.iter().find(|theirs| theirs.refund_id() == Some(refund.refund_id));
        ours.map(|found| same_refund(refund, found)).transpose()
    }

    /// All refunds of an intent, also those made in the Dashboard.
    pub async fn refunds_of(&self, intent_id: &str) -> Result<Vec<TheirRefund>, ProviderError> {
        Ok(self.list_refunds(intent_id).await?.iter().map(TheirRefund::from).collect())
    }

    /// All refunds that were made in `[from, to)`, also in the Dashboard, as they stand now.
    pub async fn returns(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Returns>, ProviderError> {
        let created = Created { from, to: Some(to) };
        let page = |after: Option<&str>| requests::refunds_made(created, after);
        let refunds = self.list_up_to(Lane::Background, RETURN_PAGES, page, |_| false).await?;
        let too_many = || {
            let message = format!("there are more than {RETURN_PAGES} pages of refunds");
            ProviderError::Rejected { provider: NAME, code: "too_many_pages".to_owned(), message }
        };
        Ok(wire::returns(&refunds.ok_or_else(too_many)?))
    }

    async fn list_refunds(&self, intent_id: &str) -> Result<Vec<wire::Refund>, ProviderError> {
        requests::check_id(intent_id)?;
        self.list(Lane::Background, REFUND_PAGES, |after: Option<&str>| requests::refunds_of(intent_id, after), |_| false).await
    }
}

fn same_refund(new: &NewRefund, theirs: &wire::Refund) -> Result<Refund, ProviderError> {
    if theirs.refund_id().is_some_and(|id| id != new.refund_id) || theirs.amount != new.amount.cents() {
        return Err(unclear("answered about another refund"));
    }
    let (their_name, said) = (Some(theirs.id.clone()), theirs.said());
    Ok(Refund { refund_id: new.refund_id, status: theirs.status(), amount: new.amount, end_to_end_id: their_name, said })
}
