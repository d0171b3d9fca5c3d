//! Labels: into the cart, paid from the balance, made, printed, followed, given back.
//!
//! They know no idempotency keys. What is ours is the tag: it goes into the cart with the label, and finds it again when an
//! answer was lost. What was paid is told by the order's own status, never by the answer to a payment.

use secrecy::ExposeSecret;
use serde_json::Value;
use serde_json::value::RawValue;
use vitrine_kit::http::Call;
use vitrine_kit::{Money, ProviderError, TaxId};

use crate::label::{Label, NewLabel};
use crate::{MelhorEnvio, NAME, label_wire, wire};

/// So many pages of a list are looked through.
const PAGES: u32 = 50;
/// So often a list of several pages is looked through until it keeps still.
const READINGS: usize = 4;

/// Where labels are looked for.
struct List<'a> {
    path: &'static str,
    /// What is searched for: there, nothing found may be a 404.
    q: Option<&'a str>,
    name: &'static str,
}

impl<'a> List<'a> {
    const CART: Self = Self { path: "/api/v2/me/cart", q: None, name: "the cart" };
    /// All that was bought.
    const ORDERS: Self = Self { path: "/api/v2/me/orders", q: None, name: "the list of what was bought" };

    fn search(q: &'a str) -> Self {
        Self { path: "/api/v2/me/orders/search", q: Some(q), name: "what their search finds" }
    }
}

impl MelhorEnvio {
    fn authorized(&self, call: Call) -> Call {
        call.bearer(self.token.expose_secret()).refusals(wire::refusal)
    }

    /// Puts a label into the cart. It costs nothing there, and is **not** idempotent: after `Unknown` look for the tag first.
    pub async fn put_in_cart(&self, new: &NewLabel) -> Result<Label, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/cart")).json(&label_wire::cart(new));
        let answer: Box<RawValue> = call.send().await?;
        // Whatever else it says, it is in their cart now: not being able to read it is not knowing.
        label_wire::label(&answer).ok_or_else(|| ProviderError::Unknown {
            provider: NAME,
            reason: "the answer to a label for the cart makes no sense".to_owned(),
        })
    }

    /// The label that carries this tag, in the cart or bought. `document`: the recipient's. `None`: there is none, for sure.
    ///
    /// Their search knows documents, and promises nothing of tags. So it is asked for both, and an absence is believed only
    /// where both say so; who has no document any more is looked for among all that was bought.
    pub async fn find_by_tag(&self, tag: &str, document: Option<&TaxId>) -> Result<Option<Label>, ProviderError> {
        // What is paid meanwhile goes from the cart to the orders, never back: in this order it is not missed.
        let by_document = document.map_or(List::ORDERS, |document| List::search(document.as_str()));
        for list in [List::CART, List::search(tag), by_document] {
            if let Some(found) = self.find_in(&list, tag).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A label that leaves a list moves those behind it up, past whoever is turning the pages: only two readings that are
    /// the same prove that a tag is not there.
    async fn find_in(&self, list: &List<'_>, tag: &str) -> Result<Option<Label>, ProviderError> {
        let mut before = None;
        for _ in 0..READINGS {
            let (labels, pages) = self.read_list(list).await?;
            let seen: Vec<String> = labels.iter().map(|label| label.id.clone()).collect();
            // Of several, one that still counts.
            let found = labels.into_iter().filter(|label| label.has_tag(tag)).min_by_key(Label::has_ended);
            if found.is_some() || pages == 1 || before.as_ref() == Some(&seen) {
                return Ok(found);
            }
            before = Some(seen);
        }
        Err(not_now(&format!("{} changes while it is looked through", list.name)))
    }

    /// The labels of all its pages, and how many these were.
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

    /// Pays labels of the cart from the balance. After anything but a clear yes, only [`MelhorEnvio::read`] knows.
    pub async fn checkout(&self, labels: &[&str]) -> Result<(), ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/checkout"));
        call.json(&label_wire::orders(labels)).send::<Value>().await.map(drop)
    }

    /// Has paid labels made; they are ready when their status says `generated`. Those that are made already stay so.
    pub async fn generate(&self, labels: &[&str]) -> Result<(), ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/generate"));
        // "Already generated" is an answer, not a second label.
        call.json(&label_wire::orders(labels)).repeatable().send::<Value>().await.map(drop)
    }

    /// A link to the labels, which opens without signing in to them: whoever packs needs no account.
    pub async fn print(&self, labels: &[&str]) -> Result<String, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/print"));
        let body = label_wire::print(labels);
        let answer: Value = call.json(&body).read_only().repeatable().send().await?; // only a link is made
        let url = answer.get("url").and_then(Value::as_str).filter(|url| url.starts_with("http"));
        url.map(str::to_owned).ok_or_else(|| nonsense("a link to a label"))
    }

    /// A label by their id, bought or in the cart. `None`: they know none.
    pub async fn read(&self, id: &str) -> Result<Option<Label>, ProviderError> {
        let (bought, in_cart) = (format!("/api/v2/me/orders/{id}"), format!("/api/v2/me/cart/{id}"));
        // Once more among the bought: it may be paid between the two looks.
        for place in [&bought, &in_cart, &bought] {
            if let Some(label) = self.read_at(place).await? {
                return Ok(Some(label));
            }
        }
        Ok(None)
    }

    async fn read_at(&self, path: &str) -> Result<Option<Label>, ProviderError> {
        let answer = self.authorized(self.labels.get(path)).repeatable().send_raw().await?; // a read
        match answer.status {
            404 => Ok(None),
            _ if answer.is_success() => {
                let body = answer.read::<Box<RawValue>>()?;
                label_wire::label(&body).map(Some).ok_or_else(|| nonsense("a label"))
            }
            _ => Err(answer.refused(wire::refusal(&answer.body))),
        }
    }

    /// The state of several labels at once. It may be an hour old. Those that they do not know are left out.
    pub async fn track(&self, ids: &[&str]) -> Result<Vec<Label>, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/tracking")).json(&label_wire::orders(ids));
        let answer: Box<RawValue> = call.read_only().repeatable().send().await?; // they only look
        label_wire::tracked(&answer).ok_or_else(|| nonsense("the state of labels"))
    }

    /// Whether a paid label can still be given back.
    pub async fn is_cancellable(&self, id: &str) -> Result<bool, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/cancellable")).json(&label_wire::orders(&[id]));
        let answer: Value = call.read_only().repeatable().send().await?; // they only look
        Ok(answer.get(id).and_then(|one| one.get("cancellable")).is_some_and(label_wire::is_true))
    }

    /// Gives a paid label back. `false`: they say no.
    pub async fn cancel(&self, id: &str, why: &str) -> Result<bool, ProviderError> {
        let call = self.authorized(self.labels.post("/api/v2/me/shipment/cancel")).json(&label_wire::cancel(id, why));
        let answer: Value = call.repeatable().send().await?; // a label that is given back is given back
        Ok(answer.get(id).and_then(|one| one.get("canceled")).is_some_and(label_wire::is_true))
    }

    /// Takes a label out of the cart. One that is not there any more is no error.
    pub async fn remove_from_cart(&self, id: &str) -> Result<(), ProviderError> {
        let call = self.authorized(self.labels.delete(&format!("/api/v2/me/cart/{id}")));
        let answer = call.repeatable().send_raw().await?; // what is out is out
        if answer.is_success() || answer.status == 404 { Ok(()) } else { Err(answer.refused(wire::refusal(&answer.body))) }
    }

    /// What is left to buy labels with.
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
