//! Labels: put in the cart, pay from the balance, generate, print, follow, cancel.
//!
//! Melhor Envio has no idempotency keys. We use the tag: it is stored with the label in the cart, and finds the label again
//! after a lost answer. Whether a label is paid is read from the order's status, never from the answer to a payment.

use secrecy::ExposeSecret;
use serde_json::Value;
use serde_json::value::RawValue;
use vitrine_kit::breaker::Lane;
use vitrine_kit::http::{Call, Forbidding};
use vitrine_kit::{Money, ProviderError, TaxId};

use crate::label::{Label, NewLabel};
use crate::{MelhorEnvio, NAME, label_wire, wire};

/// Most pages of a list that are read.
const PAGES: u32 = 50;
/// Most readings of a list with several pages until two of them agree.
const READINGS: usize = 4;

/// A list of labels.
struct List<'a> {
    path: &'static str,
    /// The search text. A search without results may be answered with 404.
    q: Option<&'a str>,
    name: &'static str,
}

impl<'a> List<'a> {
    const CART: Self = Self { path: "/api/v2/me/cart", q: None, name: "the cart" };
    /// All bought labels.
    const ORDERS: Self = Self { path: "/api/v2/me/orders", q: None, name: "the list of what was bought" };

    fn search(q: &'a str) -> Self {
        Self { path: "/api/v2/me/orders/search", q: Some(q), name: "what their search finds" }
    }
}

impl MelhorEnvio {
    /// Nobody waits for a label, and a token may lack the permission for one kind of call: a 403 stops no other.
    fn authorized(&self, call: Call) -> Call {
        call.bearer(self.token.expose_secret()).refusals(wire::refusal).lane(Lane::Background)
    }

    /// A call about one label, which may have been bought with another account's token: their 403 to that is a refusal.
    fn of_one(&self, call: Call) -> Call {
        self.authorized(call).forbidding(Forbidding::OneThing)
    }

    /// Puts a label into the cart. It costs nothing there, and is **not** idempotent: after `Unknown` look for the tag first.
    pub async fn put_in_cart(&self, new: &NewLabel) -> Result<Label, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/cart")).json(&label_wire::cart(new));
        let answer: Box<RawValue> = call.send().await?;
        // The label is in their cart, whatever the answer says: an answer that cannot be read is unknown.
        label_wire::label(&answer).ok_or_else(|| ProviderError::Unknown {
            provider: NAME,
            reason: "the answer to a label for the cart makes no sense".to_owned(),
        })
    }

    /// The label with this tag, in the cart or bought. `document`: the recipient's. `None`: there certainly is none.
    ///
    /// Their search finds documents, and promises nothing about tags. So both are searched for, and an absence counts only if
    /// both say so. Without a document, all bought labels are read.
    pub async fn find_by_tag(&self, tag: &str, document: Option<&TaxId>) -> Result<Option<Label>, ProviderError> {
        // A label that is paid meanwhile moves from the cart to the orders, never back: in this order it is not missed.
        let by_document = document.map_or(List::ORDERS, |document| List::search(document.as_str()));
        for list in [List::CART, List::search(tag), by_document] {
            if let Some(found) = self.find_in(&list, tag).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// If a label leaves a list, those behind it move up, and a reader of pages misses some. Only two equal readings prove that
    /// a tag is not there.
    async fn find_in(&self, list: &List<'_>, tag: &str) -> Result<Option<Label>, ProviderError> {
        let mut before = None;
        for _ in 0..READINGS {
            let (labels, pages) = self.read_list(list).await?;
            let seen: Vec<String> = labels.iter().map(|label| label.id.clone()).collect();
            // Of several, one that has not ended.
            let found = labels.into_iter().filter(|label| label.has_tag(tag)).min_by_key(Label::has_ended);
            if found.is_some() || pages == 1 || before.as_ref() == Some(&seen) {
                return Ok(found);
            }
            before = Some(seen);
        }
        Err(not_now(&format!("{} changes while it is looked through", list.name)))
    }

    /// The labels of all pages, and the number of pages.
    async fn read_list(&self, list: &List<'_>) -> Result<(Vec<Label>, u32), ProviderError> {
        let (mut labels, mut page) = (Vec::new(), 0);
        loop {
            page += 1;
            let (more, last) = self.read_page(list, page).await?;
            labels.extend(more);
            if last > PAGES {
                return Err(not_now(&format!(
                    "{} is too long to be looked through (a cart is emptied in their panel)",
                    list.name
                )));
            }
            if page >= last {
                return Ok((labels, page));
            }
        }
    }

    async fn read_page(&self, list: &List<'_>, page: u32) -> Result<(Vec<Label>, u32), ProviderError> {
        let page = page.to_string();
        let query = [("page", page.as_str()), ("q", list.q.unwrap_or_default())];
        let query = if list.q.is_some() { &query[..] } else { &query[..1] };
        let call = self.authorized(self.labels.get(list.path)).query(query);
        let answer = call.repeatable().send_raw().await?; // a read
        match answer.status {
            404 if list.q.is_some() => Ok((Vec::new(), 1)),
            _ if answer.is_success() => {
                label_wire::page(&answer.read::<Box<RawValue>>()?).ok_or_else(|| nonsense("a list of labels"))
            }
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    /// Pays labels of the cart from the balance. After anything but a clear success, ask [`MelhorEnvio::read`].
    pub async fn checkout(&self, labels: &[&str]) -> Result<(), ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/checkout"));
        call.json(&label_wire::orders(labels)).send::<Value>().await.map(drop)
    }

    /// Generates paid labels; they are ready when their status is `generated`. Generating one again changes nothing.
    pub async fn generate(&self, labels: &[&str]) -> Result<(), ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/generate"));
        // "Already generated" is an answer; it makes no second label.
        call.json(&label_wire::orders(labels)).repeatable().send::<Value>().await.map(drop)
    }

    /// A link to the labels that opens without a sign-in: the person who packs needs no account.
    pub async fn print(&self, labels: &[&str]) -> Result<String, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/print"));
        let body = label_wire::print(labels);
        let answer: Value = call.json(&body).read_only().repeatable().send().await?; // it only makes a link
        let url = answer.get("url").and_then(Value::as_str).filter(|url| url.starts_with("http"));
        url.map(str::to_owned).ok_or_else(|| nonsense("a link to a label"))
    }

    /// A label by its id, bought or in the cart. `None`: there is none.
    pub async fn read(&self, id: &str) -> Result<Option<Label>, ProviderError> {
        let (bought, in_cart) = (format!("/api/v2/me/orders/{id}"), format!("/api/v2/me/cart/{id}"));
        // Bought labels are read twice: the label may be paid between the first two reads.
        for place in [&bought, &in_cart, &bought] {
            if let Some(label) = self.read_at(place).await? {
                return Ok(Some(label));
            }
        }
        Ok(None)
    }

    async fn read_at(&self, path: &str) -> Result<Option<Label>, ProviderError> {
        let answer = self.of_one(self.labels.get(path)).repeatable().send_raw().await?; // a read
        match answer.status {
            404 => Ok(None),
            _ if answer.is_success() => {
                let body = answer.read::<Box<RawValue>>()?;
                label_wire::label(&body).map(Some).ok_or_else(|| nonsense("a label"))
            }
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    /// The state of several labels at once, up to an hour old. Unknown labels are left out.
    pub async fn track(&self, ids: &[&str]) -> Result<Vec<Label>, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/tracking")).json(&label_wire::orders(ids));
        let answer: Box<RawValue> = call.read_only().repeatable().send().await?; // a read
        label_wire::tracked(&answer).ok_or_else(|| nonsense("the state of labels"))
    }

    /// Whether a paid label can still be cancelled.
    pub async fn is_cancellable(&self, id: &str) -> Result<bool, ProviderError> {
        let call = self.of_one(self.labels.post("/api/v2/me/shipment/cancellable")).json(&label_wire::orders(&[id]));
        let answer: Value = call.read_only().repeatable().send().await?; // a read
        Ok(answer.get(id).and_then(|one| one.get("cancellable")).is_some_and(label_wire::is_true))
    }

    /// Cancels a paid label; its price goes back to the balance. `false`: it was refused.
    pub async fn cancel(&self, id: &str, why: &str) -> Result<bool, ProviderError> {
        let call = self.of_one(self.labels.post("/api/v2/me/shipment/cancel")).json(&label_wire::cancel(id, why));
        let answer: Value = call.repeatable().send().await?; // cancelling twice is the same as once
        Ok(answer.get(id).and_then(|one| one.get("canceled")).is_some_and(label_wire::is_true))
    }

    /// Removes a label from the cart. One that is not there is no error.
    pub async fn remove_from_cart(&self, id: &str) -> Result<(), ProviderError> {
        let call = self.of_one(self.labels.delete(&format!("/api/v2/me/cart/{id}")));
        let answer = call.repeatable().send_raw().await?; // removing twice is the same as once
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(answer.refused(wire::refusal(&answer.body))) }
    }

    /// The balance for buying labels.
    pub async fn balance(&self) -> Result<Money, ProviderError> {
        let answer: Box<RawValue> = self.authorized(self.labels.get("/api/v2/me/balance")).repeatable().send().await?; // a read
        label_wire::balance(&answer).ok_or_else(|| nonsense("a balance"))
    }
}

fn nonsense(what: &str) -> ProviderError {
    not_now(&format!("{what} that makes no sense"))
}

fn not_now(reason: &str) -> ProviderError {
    ProviderError::Unavailable { provider: NAME, reason: reason.to_owned(), retry_after_s: None }
}
