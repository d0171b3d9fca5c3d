//! Invoices that are undone: cancelled in time, given back by a return invoice when it is too late; and corrections.

use std::time::Duration;

use serde_json::{Value, json};
use vitrine_sandbox::{Fault, FaultOrder, Nfe, NfeStatus};

use crate::invoices::{goes_on, open};
use crate::seller::buys;
use crate::shop::{Product, Shop};

/// A guest buys these and pays: the order's id.
async fn paid(shop: &Shop, items: &[(&Product, i32)]) -> String {
    let order = buys(shop, items).await;
    shop.pays(&order).await;
    order
}

async fn cancel(shop: &Shop, order: &str) {
    let answer = shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn ship(shop: &Shop, order: &str) {
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    let answer = shop.admin().await.patch(&format!("/api/orders/{order}/tracking"), &tracking).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

async fn refund(shop: &Shop, order: &str, body: &Value) -> u16 {
    let request = shop.admin().await.request("POST", &format!("/api/orders/{order}/refund"));
    request.header("Idempotency-Key", &uuid::Uuid::new_v4().to_string()).json(body).send().await.status
}

async fn listed(shop: &Shop) -> Vec<Value> {
    shop.admin().await.get("/api/admin/invoices").await.body["items"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_cancelled_order_s_invoice_is_cancelled_once() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let order = paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        shop.control().next_calls(provider, Fault::DropAfterRequest, 3);
        cancel(&shop, &order).await;
        goes_on(&shop).await;
        let nfes = shop.control().nfes();
        assert_eq!((nfes.len(), nfes[0].status), (1, NfeStatus::Cancelled), "{provider}");
        let seen = &listed(&shop).await[0];
        assert_eq!((&seen["status"], &seen["cancel_refused"]), (&json!("cancelled"), &Value::Null), "{seen}");
        assert!(shop.sql::<bool>("SELECT cancellation_xml IS NOT NULL FROM invoices").await, "the proof of it is kept");
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_order_cancelled_before_its_invoice_was_sent_has_none() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    cancel(&shop, &order).await;
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes().len(), 0);
    shop.close().await;
}

#[actix_web::test]
async fn an_order_whose_money_all_goes_back_before_its_invoice_was_made_has_none() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "desistiu"})).await, 201);
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes().len(), 0);
    shop.close().await;
}

/// Requests a refund that the bank will refuse, and holds the bank's decision until `meanwhile` is over.
async fn refund_fails_after(shop: &Shop, order: &str, body: &Value, meanwhile: impl Future<Output = ()>) {
    shop.control().fail_refunds(1);
    assert_eq!(refund(shop, order, body).await, 201);
    shop.execute("UPDATE jobs SET run_at = now() + interval '1 day' WHERE kind = 'send_refund'").await;
    meanwhile.await;
    shop.execute("UPDATE jobs SET run_at = now() WHERE kind = 'send_refund'").await;
    shop.drain().await;
    assert!(shop.control().settled(Duration::from_secs(20)).await, "the news of it came");
    shop.drain_ahead(jiff::SignedDuration::from_mins(1)).await;
    let status: String = shop.sql("SELECT status FROM refunds ORDER BY id DESC LIMIT 1").await;
    assert_eq!(status, "failed");
    shop.control().clear_faults();
    let made = async || (shop.control().nfes().len(), shop.control().parcels().len());
    let before = made().await;
    goes_on(shop).await;
    assert_eq!(made().await, before, "nothing is sent or invoiced by itself");
}

/// The shop says that the sale goes on.
async fn resume(shop: &Shop, order: &str) {
    let resumed = shop.admin().await.post(&format!("/api/admin/orders/{order}/resume"), &json!({})).await;
    assert_eq!((resumed.status, &resumed.body["on_hold"]), (200, &json!(false)), "{}", resumed.body);
    goes_on(shop).await;
}

fn standing(shop: &Shop) -> usize {
    shop.control().nfes().iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count()
}

async fn labels(shop: &Shop) -> (i64, i64) {
    let count = |what: &str| format!("SELECT count(*) FROM shipments WHERE status {what}");
    (shop.sql(&count("= 'generated'")).await, shop.sql(&count("= 'cancelled'")).await)
}

#[actix_web::test]
async fn a_sale_whose_refund_failed_has_its_invoice_and_label_once_the_shop_says_that_it_goes_on() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    let not_yet = async {
        shop.drain().await;
        assert_eq!((shop.control().nfes().len(), labels(&shop).await), (0, (0, 0)), "all its money is on its way back");
    };
    refund_fails_after(&shop, &order, &json!({"reason": "desistiu"}), not_yet).await;
    assert_eq!((standing(&shop), labels(&shop).await), (0, (0, 0)), "whoever wanted it back does not want the goods");
    resume(&shop, &order).await;
    assert_eq!((standing(&shop), labels(&shop).await), (1, (1, 0)), "the shop says that it stands");
    shop.close().await;
}

#[actix_web::test]
async fn what_was_given_up_for_a_refund_that_failed_is_made_anew_once_the_shop_says_so() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let order = paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        let given_up = async {
            goes_on(&shop).await;
            assert_eq!((standing(&shop), labels(&shop).await), (0, (0, 1)), "{provider}");
        };
        refund_fails_after(&shop, &order, &json!({"reason": "desistiu"}), given_up).await;
        assert_eq!((standing(&shop), labels(&shop).await), (0, (0, 1)), "{provider}");
        resume(&shop, &order).await;
        assert_eq!((standing(&shop), labels(&shop).await), (1, (1, 1)), "{provider}");
        let key: String = shop.sql("SELECT chave FROM invoices WHERE status = 'authorized'").await;
        let parcel = shop.control().parcels().into_iter().find(|parcel| parcel.canceled_at.is_none()).unwrap();
        assert_eq!(parcel.invoice_key.as_deref(), Some(key.as_str()), "the new label travels under the new invoice");
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_invoice_that_is_being_cancelled_when_the_refund_fails_is_followed_by_another_once_the_sale_goes_on() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    let on_its_way = async {
        let (provider, path_contains) = ("focusnfe".to_owned(), Some("DELETE".to_owned()));
        let away = FaultOrder { provider, fault: Fault::Status(503), count: 100, path_contains };
        shop.control().order_fault(away).unwrap();
        shop.drain().await;
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM invoices WHERE given_up AND status = 'authorized'").await, 1);
    };
    refund_fails_after(&shop, &order, &json!({"reason": "desistiu"}), on_its_way).await;
    resume(&shop, &order).await;
    assert_eq!((standing(&shop), shop.control().nfes().len(), labels(&shop).await), (1, 2, (1, 1)));
    shop.close().await;
}

#[actix_web::test]
async fn goods_that_are_on_the_shelf_again_are_not_sold_by_a_refund_that_failed() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    let given_up = async { goes_on(&shop).await };
    refund_fails_after(&shop, &order, &json!({"reason": "desistiu", "restock": true}), given_up).await;
    assert_eq!((standing(&shop), labels(&shop).await), (0, (0, 1)));
    let again = shop.admin().await.post(&format!("/api/admin/orders/{order}/invoice"), &json!({})).await;
    assert_eq!(again.status, 409, "{}", again.body);
    assert_eq!(refund(&shop, &order, &json!({"reason": "de novo"})).await, 201);
    shop.close().await;
}

#[actix_web::test]
async fn one_cancelled_while_the_authority_thinks_is_cancelled_as_soon_as_it_stands() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    let order = paid(&shop, &[(&ware, 2)]).await;
    shop.drain().await;
    assert_eq!(listed(&shop).await[0]["status"], "processing");
    cancel(&shop, &order).await;
    shop.drain().await;
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes()[0].status, NfeStatus::Cancelled);
    shop.close().await;
}

/// Key and item number of each item that a return gives back.
fn refers_to(back: &Nfe) -> Vec<(String, Option<u32>)> {
    assert_eq!(back.draft.referenced, None, "not in the head as well");
    back.draft.items.iter().filter_map(|item| item.referenced.clone()).map(|of| (of.key, of.item)).collect()
}

/// The sale's invoice and its return.
fn sale_and_return(nfes: &[Nfe]) -> (&Nfe, &Nfe) {
    let is_return = |nfe: &&Nfe| nfe.draft.purpose == 4;
    (nfes.iter().find(|nfe| nfe.draft.purpose == 1).unwrap(), nfes.iter().find(is_return).expect("a return invoice"))
}

#[actix_web::test]
async fn too_late_to_cancel_the_sale_is_given_back() {
    for refused_by_us in [true, false] {
        let (shop, ware) = open("focusnfe").await;
        let order = paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        let reference = shop.control().nfes()[0].reference.clone();
        if refused_by_us {
            shop.execute("UPDATE invoices SET authorized_at = authorized_at - interval '24 hours'").await;
        } else {
            shop.control().age_nfe(&reference, Duration::from_secs(25 * 3600)).unwrap();
        }
        cancel(&shop, &order).await;
        goes_on(&shop).await;
        let nfes = shop.control().nfes();
        let (sale, back) = sale_and_return(&nfes);
        assert_eq!((sale.status, back.status), (NfeStatus::Authorized, NfeStatus::Authorized));
        assert_eq!((refers_to(back), back.total_cents), (vec![(sale.key.clone().unwrap(), Some(1))], sale.total_cents));
        assert_eq!((back.draft.is_entry, back.draft.items[0].cfop.as_str()), (true, "1202"));
        assert_eq!(shop.alerted().await, ["invoice-not-cancelled 1"]);
        shop.close().await;
    }
}

#[actix_web::test]
async fn too_late_to_cancel_a_sale_whose_money_all_goes_back_is_given_back_as_well() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    shop.execute("UPDATE invoices SET authorized_at = authorized_at - interval '24 hours'").await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "desistiu"})).await, 201);
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    let (sale, back) = sale_and_return(&nfes);
    assert_eq!((back.status, back.total_cents), (NfeStatus::Authorized, sale.total_cents));
    assert_eq!(labels(&shop).await, (0, 1), "and nothing is sent");
    let id = listed(&shop).await.iter().find(|one| one["purpose"] == "sale").unwrap()["id"].as_str().unwrap().to_owned();
    let reason = json!({"reason": "Cancelar também, por engano"});
    let cancel = shop.admin().await.post(&format!("/api/admin/invoices/{id}/cancel"), &reason).await;
    assert_eq!(cancel.status, 409, "never both cancelled and given back");
    shop.close().await;
}

#[actix_web::test]
async fn what_was_given_back_for_a_refund_that_failed_is_not_given_back() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    shop.execute("UPDATE invoices SET authorized_at = authorized_at - interval '24 hours'").await;
    let given_back = async {
        goes_on(&shop).await;
        assert_eq!(standing(&shop), 2, "the sale and its return");
    };
    refund_fails_after(&shop, &order, &json!({"reason": "desistiu"}), given_back).await;
    resume(&shop, &order).await;
    let nfes = shop.control().nfes();
    let (sale, back) = sale_and_return(&nfes);
    assert_eq!((sale.status, back.status, nfes.len()), (NfeStatus::Authorized, NfeStatus::Cancelled, 2));
    assert_eq!(labels(&shop).await, (1, 1));
    shop.close().await;
}

#[actix_web::test]
async fn money_that_all_went_back_in_the_dashboard_takes_the_invoice_and_the_label_with_it() {
    let (shop, ware) = open("focusnfe").await;
    let cart = shop.guest_cart(&[(&ware, 2)]).await;
    let mut order = shop.guest_order(&[(&ware, 2)], crate::shop::CPF).await;
    order["pay"] = json!({"method": "credit_card"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let order = placed.body["id"].as_str().unwrap().to_owned();
    shop.pays(&order).await;
    goes_on(&shop).await;
    assert_eq!((standing(&shop), labels(&shop).await), (1, (1, 0)));
    let intent = shop.control().charge(&order).unwrap().txid;
    let secret = shop.app.config.stripe.as_ref().unwrap().secret_key.clone();
    let made = reqwest::Client::new()
        .post(format!("{}/stripe/v1/refunds", shop.sandbox.url()))
        .bearer_auth(secrecy::ExposeSecret::expose_secret(&secret))
        .form(&[("payment_intent", intent.as_str())])
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 200);
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    goes_on(&shop).await;
    assert_eq!((standing(&shop), labels(&shop).await), (0, (0, 1)));
    shop.close().await;
}

#[actix_web::test]
async fn the_night_s_state_has_two_hours_and_the_settings_outweigh_it() {
    let (shop, ware) = open("focusnfe").await;
    shop.set("taxes", &json!({"products": {"csosn": "102"}, "cancel_hours": 2})).await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    shop.execute("UPDATE invoices SET authorized_at = authorized_at - interval '2 hours'").await;
    cancel(&shop, &order).await;
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes().len(), 2, "given back rather than cancelled");
    shop.close().await;
}

#[actix_web::test]
async fn goods_that_come_back_are_given_back_line_by_line_and_never_twice() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, shirt) = open(provider).await;
        let mug = shop.ware("SKU-2", 3_333).await;
        let order = paid(&shop, &[(&shirt, 2), (&mug, 3)]).await;
        goes_on(&shop).await;
        ship(&shop, &order).await;
        let line: uuid::Uuid = shop.sql("SELECT id FROM order_lines WHERE sku = 'SKU-2'").await;
        let some = json!({"amount_cents": 6_666, "reason": "troca", "restock_items": [{"line_id": line, "quantity": 2}]});
        assert_eq!(refund(&shop, &order, &some).await, 201);
        goes_on(&shop).await;
        let first = shop.control().nfes().into_iter().find(|nfe| nfe.draft.purpose == 4).expect("a return invoice");
        assert_eq!((first.draft.items.len(), first.total_cents), (1, 6_666), "the goods alone, without the freight");
        assert_eq!(refers_to(&first)[0].1, Some(2), "the second item of the sale, though the first that came back");
        assert_eq!(refund(&shop, &order, &json!({"reason": "tudo de volta"})).await, 201);
        goes_on(&shop).await;
        let nfes = shop.control().nfes();
        let back: Vec<_> = nfes.iter().filter(|nfe| nfe.draft.purpose == 4).collect();
        let (sale, _) = sale_and_return(&nfes);
        assert_eq!(back.len(), 2);
        let goods: i64 = back.iter().map(|nfe| nfe.total_cents).sum();
        assert_eq!(goods, sale.total_cents, "all the goods came back, and the freight with the last of them");
        assert_eq!((first.draft.totals.freight, back[1].draft.totals.freight), (0, sale.draft.totals.freight));
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_whole_order_that_came_back_is_returned_with_its_freight() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &[(&ware, 2)]).await;
    goes_on(&shop).await;
    ship(&shop, &order).await;
    assert_eq!(refund(&shop, &order, &json!({"reason": "arrependimento", "restock": true})).await, 201);
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    let (sale, back) = sale_and_return(&nfes);
    assert_eq!((back.total_cents, nfes.len()), (sale.total_cents, 2));
    let status: String = shop.sql("SELECT status FROM orders").await;
    assert_eq!(status, "returned");
    shop.close().await;
}

#[actix_web::test]
async fn an_invoice_is_corrected_in_words_one_letter_at_a_time() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        paid(&shop, &[(&ware, 2)]).await;
        goes_on(&shop).await;
        let id = listed(&shop).await[0]["id"].as_str().unwrap().to_owned();
        let admin = shop.admin().await;
        let letters = format!("/api/admin/invoices/{id}/corrections");
        assert_eq!(admin.post(&letters, &json!({"text": "curto"})).await.status, 422);
        let text = json!({"text": "O bairro correto do destinatário é Cerqueira César"});
        assert_eq!(admin.post(&letters, &text).await.status, 202, "{provider}");
        assert_eq!(admin.post(&letters, &text).await.status, 409, "one is on its way");
        for _ in 0..5 {
            shop.drain_ahead(jiff::SignedDuration::from_hours(1)).await;
        }
        goes_on(&shop).await;
        assert_eq!(admin.post(&letters, &text).await.status, 202, "{provider}: the next one");
        for _ in 0..5 {
            shop.drain_ahead(jiff::SignedDuration::from_hours(1)).await;
        }
        let seen = &listed(&shop).await[0];
        assert_eq!(
            (&seen["corrections"][0]["status"], &seen["corrections"][1]["sequence"]),
            (&json!("accepted"), &json!(2)),
            "{seen}"
        );
        assert_eq!(shop.control().nfes()[0].letters.len(), 2, "{provider}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn news_without_the_secret_change_nothing_and_with_it_are_only_a_hint() {
    for (provider, path) in [("focusnfe", "/api/webhooks/focusnfe"), ("enotas", "/api/webhooks/enotas")] {
        let (shop, ware) = open(provider).await;
        shop.control().tax_authority_away(true);
        paid(&shop, &[(&ware, 2)]).await;
        shop.drain().await;
        let reference = shop.control().nfes()[0].reference.clone();
        let lie = match provider {
            "focusnfe" => json!({"ref": reference, "status": "autorizado", "cnpj_emitente": crate::seller::CNPJ}),
            _ => json!({"tipo": "NF-e", "empresaId": shop.control().nfes()[0].id, "nfeId": reference, "nfeStatus": "Autorizada"}),
        };
        let before = shop.row_counts().await;
        for token in ["", "?token=errado"] {
            let answer =
                shop.request("POST", &format!("{path}{token}")).header("X-Focus-Token", "errado").json(&lie).send().await;
            assert_eq!(answer.status, 401, "{provider}");
        }
        assert_eq!(shop.row_counts().await, before, "nothing is kept of it");
        let secret = shop.app.config.nfe.provider.as_ref().unwrap().webhook_secret.clone().unwrap();
        let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
        for _ in 0..2 {
            let told = shop.request("POST", &format!("{path}?token={secret}")).json(&lie).send().await;
            assert_eq!(told.status, 200, "{provider}");
        }
        shop.drain().await;
        assert_eq!(listed(&shop).await[0]["status"], "processing", "{provider}: the provider was asked, and says so");
        let kept: i64 = shop.sql(&format!("SELECT count(*) FROM webhook_events WHERE provider = '{provider}'")).await;
        assert_eq!(kept, 1, "{provider}: a repeat is known as one");
        let event: uuid::Uuid = shop.sql(&format!("SELECT id FROM webhook_events WHERE provider = '{provider}'")).await;
        let replay = shop.admin().await.post(&format!("/api/admin/webhooks/{event}/replay"), &json!({})).await;
        assert_eq!(replay.status, 200, "{}", replay.body);
        shop.control().tax_authority_away(false);
        goes_on(&shop).await;
        shop.close().await;
    }
}
