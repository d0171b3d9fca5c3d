//! Money that arrives on time, late, twice, too little or too much, with its webhook once, never, twice or a week late, at every
//! PIX provider: it ends in a paid order or is refunded, once. Refunds made without us are entered in our books. (What a payer's
//! bank takes back is a dispute: `disputes_med.rs`.)

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use vitrine_sandbox::{Control, Nature, Pay, RefundStatus, SendWebhook, TakeBack};

use crate::shop::{Customer, Product, Shop};

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Arrival {
    OnTime,
    AfterExpiry,
    AfterCancel,
    /// Its stock was sold to another buyer meanwhile.
    AfterExpiryAndSoldOut,
    /// A first charge expired and was replaced; both are paid.
    Twice,
    Short,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Webhook {
    Once,
    Lost,
    Doubled,
    AWeekLate,
}

use Arrival::*;
use Webhook::*;

const ARRIVALS: [Arrival; 7] = [OnTime, AfterExpiry, AfterCancel, AfterExpiryAndSoldOut, Twice, Short, Over];
const WEBHOOKS: [Webhook; 4] = [Once, Lost, Doubled, AWeekLate];

/// One order of the matrix.
struct Case {
    arrival: Arrival,
    webhook: Webhook,
    order: String,
    product: String,
    /// The charges made for it, the oldest first.
    charges: Vec<String>,
    total: i64,
}

impl Case {
    async fn begin(ana: &Customer<'_>, arrival: Arrival, webhook: Webhook) -> Self {
        let name = format!("{arrival:?} {webhook:?}");
        let product: Product = ana.shop.product(&name).stock(1).create().await;
        let placed = ana.buy(&[(&product, 1)]).await;
        assert_eq!(placed.status, 201, "{}", placed.body);
        let order = placed.body["id"].as_str().unwrap().to_owned();
        let total = placed.body["total_cents"].as_i64().unwrap();
        let mut case = Self { arrival, webhook, order, product: product.variant_id.to_string(), charges: Vec::new(), total };
        case.charge(ana).await;
        case
    }

    async fn charge(&mut self, ana: &Customer<'_>) {
        let paid = ana.post(&format!("/api/orders/{}/pay", self.order), &json!({"method": "pix"})).await;
        assert_eq!(paid.status, 200, "{}", paid.body);
        self.charges.push(paid.body["payment_id"].as_str().unwrap().to_owned());
    }

    /// What happens to the order before the money comes.
    async fn prepare(&mut self, ana: &Customer<'_>) {
        let shop = ana.shop;
        match self.arrival {
            OnTime | Short | Over => {}
            AfterExpiry | AfterExpiryAndSoldOut => {
                let_time_pass(shop, &self.order).await;
                shop.drain().await;
                assert_eq!(state(shop, &self.order).await, "cancelled/expired");
                if self.arrival == AfterExpiryAndSoldOut {
                    let sold = format!("UPDATE variants SET stock = 0 WHERE id = '{}'", self.product);
                    let told = format!(
                        "INSERT INTO stock_movements (variant_id, delta, reason, cause, actor) VALUES ('{}', -1, 'adjustment', 'test', 'test')",
                        self.product
                    );
                    shop.execute(&sold).await;
                    shop.execute(&told).await;
                }
            }
            AfterCancel => {
                let cancelled = ana.patch(&format!("/api/orders/{}/cancel", self.order), &json!({})).await;
                assert_eq!(cancelled.status, 200, "{}", cancelled.body);
                shop.drain().await;
            }
            Twice => {
                let over =
                    format!("UPDATE payments SET expires_at = now() - interval '1 second' WHERE order_id = '{}'", self.order);
                shop.execute(&over).await;
                self.charge(ana).await;
            }
        }
    }

    fn pay(&self, control: &Control) {
        let webhook = match self.webhook {
            Once => SendWebhook::Once,
            Doubled => SendWebhook::Twice,
            Lost | AWeekLate => SendWebhook::Lost,
        };
        for charge in self.charges.iter().rev() {
            let pay = Pay::of(charge).webhook(webhook).force();
            let pay = match self.arrival {
                Short => pay.amount_cents(self.total - 1),
                Over => pay.amount_cents(self.total + 1),
                _ => pay,
            };
            control.pay(pay).unwrap();
        }
    }

    /// The order's state, and how much of how many charges was refunded.
    fn expected(&self) -> (&'static str, Vec<i64>) {
        match self.arrival {
            OnTime | AfterExpiry | AfterCancel => ("processing/paid", vec![]),
            AfterExpiryAndSoldOut => ("cancelled/expired", vec![self.total]),
            Twice => ("processing/paid", vec![self.total]),
            Short => ("pending/pending_payment", vec![self.total - 1]),
            Over => ("pending/pending_payment", vec![self.total + 1]),
        }
    }
}

async fn state(shop: &Shop, order: &str) -> String {
    shop.sql(&format!("SELECT status || '/' || payment_status FROM orders WHERE id = '{order}'")).await
}

async fn let_time_pass(shop: &Shop, order: &str) {
    let payments =
        "UPDATE payments SET expires_at = now() - interval '1 hour', updated_at = now() - interval '1 hour' WHERE order_id =";
    shop.execute(&format!("{payments} '{order}'")).await;
    shop.execute(&format!("UPDATE orders SET expires_at = now() - interval '55 minutes' WHERE id = '{order}'")).await;
    let due = "UPDATE jobs SET run_at = now() WHERE kind = 'expire_order' AND state = 'waiting' AND payload->>'order' =";
    shop.execute(&format!("{due} '{order}'")).await;
}

/// Runs everything that is due, reconciliation included.
async fn come_to_rest(shop: &Shop) {
    for _ in 0..3 {
        assert!(shop.control().settled(LIMIT).await);
        shop.execute(
            "UPDATE payments SET updated_at = updated_at - interval '11 minutes', checked_at = checked_at - interval '22 minutes'
              WHERE captured_cents = 0",
        )
        .await;
        vitrine::payments::reconcile::reconcile(&shop.app).await.unwrap();
        shop.drain_ahead(SignedDuration::from_secs(90)).await;
    }
}

async fn the_matrix_holds(provider: &str) {
    let shop = Shop::open_with(&[("PIX_PROVIDER", provider)]).await;
    let ana = shop.customer().await;
    let mut cases = Vec::new();
    // OpenPix accepts no other amount than the charge's, and its answers could not show one.
    let can_differ = provider != "openpix";
    for arrival in ARRIVALS.into_iter().filter(|arrival| can_differ || !matches!(arrival, Short | Over)) {
        for webhook in WEBHOOKS {
            let mut case = Case::begin(&ana, arrival, webhook).await;
            case.prepare(&ana).await;
            cases.push(case);
        }
    }
    cases.iter().for_each(|case| case.pay(shop.control()));
    come_to_rest(&shop).await;
    for case in cases.iter().filter(|case| case.webhook == AWeekLate) {
        case.charges.iter().for_each(|charge| {
            shop.control().send_webhook(charge, "payment.paid", SendWebhook::Once).unwrap();
        });
    }
    come_to_rest(&shop).await;
    let refunds = shop.control().refunds();
    for case in &cases {
        let name = format!("{provider} {:?} {:?}", case.arrival, case.webhook);
        let back: Vec<i64> = refunds.iter().filter(|r| case.charges.contains(&r.payment_id)).map(|r| r.amount_cents).collect();
        assert_eq!((state(&shop, &case.order).await.as_str(), back), case.expected(), "{name}");
    }
    assert!(refunds.iter().all(|refund| refund.status == RefundStatus::Done));
    let (captured, returned): (i64, i64) = (
        shop.sql("SELECT sum(amount_cents)::bigint FROM money_movements WHERE kind = 'capture'").await,
        shop.sql("SELECT sum(amount_cents)::bigint FROM money_movements WHERE kind = 'refund'").await,
    );
    let charges = shop.control().charges();
    assert_eq!(captured, charges.iter().filter_map(|c| c.paid_cents).sum::<i64>(), "our books are theirs");
    assert_eq!(returned, charges.iter().map(|c| c.refunded_cents).sum::<i64>());
    shop.close().await;
}

#[actix_web::test]
async fn money_by_propay_ends_in_a_paid_order_or_goes_back() {
    the_matrix_holds("propay").await;
}

#[actix_web::test]
async fn money_by_openpix_ends_in_a_paid_order_or_goes_back() {
    the_matrix_holds("openpix").await;
}

#[actix_web::test]
async fn money_by_a_bank_ends_in_a_paid_order_or_goes_back() {
    the_matrix_holds("bacen").await;
}

/// `reason:amount:status` of an order's refunds, the oldest first.
async fn refunds(shop: &Shop, order: &str) -> Vec<String> {
    let list = "SELECT coalesce(array_agg(reason || ':' || amount_cents || ':' || status ORDER BY id), '{}') FROM refunds";
    shop.sql(&format!("{list} WHERE order_id = '{order}'")).await
}

/// `names`: their ids of what somebody gives back on their own pages.
async fn what_goes_back_without_us_is_in_our_books(provider: &str, names: [&str; 2]) {
    let shop = Shop::open_with(&[("PIX_PROVIDER", provider)]).await;
    let ana = shop.customer().await;
    let case = Case::begin(&ana, OnTime, Doubled).await;
    case.pay(shop.control());
    come_to_rest(&shop).await;
    assert_eq!(state(&shop, &case.order).await, "processing/paid");
    let theirs = |cents: i64| format!("made at the provider:{cents}:done");
    let parts = [300, case.total - 300];
    let mut expected = Vec::new();
    for ((name, cents), after) in names.into_iter().zip(parts).zip(["partially_refunded", "refunded"]) {
        let back = TakeBack::of(&case.charges[0], name, cents).nature(Nature::Original);
        shop.control().take_back_as(&back).unwrap();
        assert!(shop.control().settled(LIMIT).await);
        shop.drain().await; // the webhook is a hint: the bank's books are read now
        expected.push(theirs(cents));
        assert_eq!(state(&shop, &case.order).await, format!("processing/{after}"), "{provider}");
        assert_eq!(refunds(&shop, &case.order).await, expected, "{provider}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn what_is_given_back_on_a_banks_pages_is_in_our_books() {
    what_goes_back_without_us_is_in_our_books("bacen", ["painel1", "deadbeefdeadbeefdeadbeefdeadbeef"]).await;
}

#[actix_web::test]
async fn what_openpix_gives_back_by_itself_is_in_our_books() {
    what_goes_back_without_us_is_in_our_books("openpix", ["MED0001", "MED0002"]).await;
}

#[actix_web::test]
async fn what_went_back_before_we_knew_that_it_came_is_in_our_books_too() {
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    let ana = shop.customer().await;
    let case = Case::begin(&ana, OnTime, Lost).await;
    case.pay(shop.control());
    let back = TakeBack::of(&case.charges[0], "painel1", 300).nature(Nature::Original);
    shop.control().take_back_as(&back).unwrap();
    assert!(shop.control().settled(LIMIT).await);
    shop.drain().await;
    assert_eq!(state(&shop, &case.order).await, "processing/partially_refunded");
    shop.drain_ahead(SignedDuration::from_mins(11)).await;
    assert_eq!(state(&shop, &case.order).await, "processing/partially_refunded");
    assert_eq!(refunds(&shop, &case.order).await, ["made at the provider:300:done"]);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}
