//! Invoices in doubt: lost answers and webhooks, reads that are behind, refusals of the account. In the end our state is the
//! provider's.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use vitrine::ids::InvoiceId;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{Chaos, Fault, FaultOrder, NfeStatus, Taxpayer};

use crate::invoices::{goes_on, invoices_of, open};
use crate::seller::buys;
use crate::shop::{Product, Shop};

async fn paid(shop: &Shop, ware: &Product) -> String {
    let order = buys(shop, &[(ware, 2)]).await;
    shop.pays(&order).await;
    order
}

async fn cancel(shop: &Shop, order: &str) {
    let answer = shop.admin().await.patch(&format!("/api/orders/{order}/cancel"), &json!({})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// No provider of invoices sends webhooks.
fn lose_the_news(shop: &Shop) {
    let providers = vec!["focusnfe".to_owned(), "enotas".to_owned()];
    shop.control().begin_chaos(Chaos { webhook_lost_per_mille: 1_000, providers, ..Chaos::default() }).unwrap();
}

fn fail_calls(shop: &Shop, fault: Fault, path_contains: &str, count: u32) {
    let path_contains = Some(path_contains.to_owned());
    shop.control().order_fault(FaultOrder { provider: "focusnfe".to_owned(), fault, count, path_contains }).unwrap();
}

async fn admin_post(shop: &Shop, invoice: &Value, what: &str, body: &Value) -> u16 {
    let path = format!("/api/admin/invoices/{}/{what}", invoice["id"].as_str().unwrap());
    shop.admin().await.post(&path, body).await.status
}

/// Sets the state of the one invoice back, as a read would that was behind.
async fn believed(shop: &Shop, status: &str) {
    let moved = shop
        .execute(&format!(
            "WITH before AS (SELECT id, order_id, status FROM invoices),
                  told AS (INSERT INTO order_history (order_id, subject, subject_id, from_state, to_state, actor, cause)
                           SELECT order_id, 'invoice', id, status, '{status}', 'system', 'job:test' FROM before)
             UPDATE invoices SET status = '{status}' WHERE status <> '{status}'"
        ))
        .await;
    assert_eq!(moved, 1);
}

async fn status(shop: &Shop) -> String {
    invoices_of(shop).await[0]["status"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn files_that_come_late_are_found_without_any_news() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let order = paid(&shop, &ware).await;
        lose_the_news(&shop);
        goes_on(&shop).await;
        let seen = &invoices_of(&shop).await[0];
        assert_eq!((&seen["has_xml"], &seen["has_danfe"]), (&json!(true), &json!(true)), "{provider}: {seen}");
        cancel(&shop, &order).await;
        goes_on(&shop).await;
        assert!(shop.sql::<bool>("SELECT cancellation_xml IS NOT NULL FROM invoices").await, "{provider}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn what_may_have_been_sent_is_not_refused_here_for_settings_that_were_changed_later() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    fail_calls(&shop, Fault::DropAfterRequest, "/v2/nfe", 1_000);
    paid(&shop, &ware).await;
    lose_the_news(&shop);
    shop.drain().await;
    assert_eq!((status(&shop).await.as_str(), shop.control().nfes().len()), ("pending", 1), "it was sent, and no answer came");
    shop.execute("UPDATE products SET ncm = NULL").await;
    shop.control().clear_faults();
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    assert_eq!(status(&shop).await, "authorized");
    shop.close().await;
}

#[actix_web::test]
async fn what_never_arrived_is_given_up_when_the_provider_has_said_so_twice() {
    for state in ["pending", "processing"] {
        let (shop, ware) = open("focusnfe").await;
        fail_calls(&shop, Fault::DropBeforeRequest, "/v2/nfe", 1_000);
        let order = paid(&shop, &ware).await;
        shop.drain().await;
        if state == "processing" {
            believed(&shop, state).await;
        }
        cancel(&shop, &order).await;
        shop.drain().await;
        shop.control().clear_faults();
        shop.drain_ahead(jiff::SignedDuration::from_hours(1)).await;
        shop.drain_ahead(jiff::SignedDuration::from_secs(30)).await;
        assert_eq!(status(&shop).await, state, "a reading may be behind");
        goes_on(&shop).await;
        assert_eq!((status(&shop).await.as_str(), shop.control().nfes().len()), ("cancelled", 0), "{state}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn one_that_was_given_up_here_and_stands_there_ends_cancelled_there() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    let order = paid(&shop, &ware).await;
    shop.drain().await;
    cancel(&shop, &order).await;
    believed(&shop, "cancelled").await;
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    goes_on(&shop).await;
    assert_eq!(shop.control().nfes()[0].status, NfeStatus::Cancelled);
    let seen = &invoices_of(&shop).await[0];
    assert_eq!((&seen["status"], seen["chave"].is_string()), (&json!("cancelled"), true), "{seen}");
    shop.close().await;
}

#[actix_web::test]
async fn one_that_was_rejected_here_and_stands_there_stands() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    paid(&shop, &ware).await;
    lose_the_news(&shop);
    shop.drain().await;
    believed(&shop, "rejected").await;
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    goes_on(&shop).await;
    assert_eq!(status(&shop).await, "authorized");
    let labels: i64 = shop.sql("SELECT count(*) FROM shipments WHERE status = 'generated'").await;
    assert_eq!(labels, 1, "and its label is bought");
    shop.close().await;
}

/// Both wait for the invoice, the retry first: the job has read the rejection of the try before.
#[actix_web::test]
async fn a_rejection_that_was_read_before_a_retry_does_not_end_it() {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let (shop, ware) = open("focusnfe").await;
    shop.control().reject_next_nfes(1, "778", "Rejeição: Informado NCM inexistente");
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let rejected = invoices_of(&shop).await[0].clone();
    assert_eq!(rejected["status"], "rejected");
    let invoice: InvoiceId = rejected["id"].as_str().unwrap().parse().unwrap();
    jobs::push_now(&shop.app.db().await.unwrap(), Job::SendInvoice { invoice }).await.unwrap();

    let mut holder = shop.app.db().await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("SELECT FROM invoices FOR UPDATE").await.unwrap();
    let until_waiting = async |count: i64| while shop.sql::<i64>(WAITING).await < count {};
    let look_again = async {
        until_waiting(1).await;
        shop.drain().await
    };
    let let_go = async {
        until_waiting(2).await;
        lock.rollback().await.unwrap();
    };
    let no_change = json!({});
    let (retried, _, ()) = tokio::join!(admin_post(&shop, &rejected, "retry", &no_change), look_again, let_go);
    assert_eq!(retried, 200);
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts, nfes[0].status), (1, 2, NfeStatus::Authorized));
    assert_eq!(status(&shop).await, "authorized");
    let rejections = "SELECT count(*) FROM order_history WHERE subject = 'invoice' AND to_state = 'rejected'";
    assert_eq!(shop.sql::<i64>(rejections).await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_rejected_one_that_is_cancelled_makes_room_for_another_when_it_certainly_does_not_stand() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().reject_next_nfes(1, "778", "Rejeição: Informado NCM inexistente");
    let order = paid(&shop, &ware).await;
    goes_on(&shop).await;
    let rejected = invoices_of(&shop).await[0].clone();
    assert_eq!(admin_post(&shop, &rejected, "cancel", &json!({"reason": "Pedido refeito com outro produto"})).await, 200);
    let again = format!("/api/admin/orders/{order}/invoice");
    assert_eq!(shop.admin().await.post(&again, &json!({})).await.status, 409, "it may stand yet");
    assert_eq!(admin_post(&shop, &rejected, "retry", &json!({})).await, 409, "nobody wants it");
    goes_on(&shop).await;
    assert_eq!(status(&shop).await, "cancelled");
    assert_eq!(shop.admin().await.post(&again, &json!({})).await.status, 202);
    goes_on(&shop).await;
    assert_eq!(status(&shop).await, "authorized");
    shop.close().await;
}

#[actix_web::test]
async fn a_cancellation_that_was_done_and_not_heard_of_is_not_given_back_as_well() {
    let (shop, ware) = open("focusnfe").await;
    let order = paid(&shop, &ware).await;
    goes_on(&shop).await;
    lose_the_news(&shop);
    fail_calls(&shop, Fault::DropAfterRequest, "DELETE", 1_000);
    fail_calls(&shop, Fault::DropBeforeRequest, "GET", 1_000);
    cancel(&shop, &order).await;
    shop.drain().await;
    assert_eq!(shop.control().nfes()[0].status, NfeStatus::Cancelled, "it was done");
    assert_eq!(status(&shop).await, "authorized", "and nobody here knows");
    shop.execute("UPDATE invoices SET authorized_at = authorized_at - interval '24 hours'").await;
    shop.control().clear_faults();
    goes_on(&shop).await;
    assert_eq!((status(&shop).await.as_str(), shop.control().nfes().len()), ("cancelled", 1));
    shop.close().await;
}

#[actix_web::test]
async fn what_the_provider_refuses_of_a_cancellation_is_shown_and_a_newer_reason_counts() {
    let (shop, ware) = open("focusnfe").await;
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let invoice = invoices_of(&shop).await[0].clone();
    let only_emoji = json!({"reason": "🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁🎁"});
    assert_eq!(admin_post(&shop, &invoice, "cancel", &only_emoji).await, 422, "nothing of it would be left");
    fail_calls(&shop, Fault::Status(400), "DELETE", 1);
    assert_eq!(admin_post(&shop, &invoice, "cancel", &json!({"reason": "Endereço do comprador errado"})).await, 200);
    goes_on(&shop).await;
    let seen = &invoices_of(&shop).await[0];
    assert_eq!(seen["status"], "authorized");
    assert!(seen["cancel_refused"].as_str().is_some_and(|why| why.contains("requisicao_invalida")), "{seen}");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    assert_eq!(admin_post(&shop, &invoice, "cancel", &json!({"reason": "Mercadoria trocada por outra"})).await, 200);
    goes_on(&shop).await;
    let nfe = &shop.control().nfes()[0];
    assert_eq!((nfe.status, nfe.reason.as_deref()), (NfeStatus::Cancelled, Some("Mercadoria trocada por outra")));
    shop.close().await;
}

#[actix_web::test]
async fn a_letter_that_the_provider_refuses_makes_room_for_another() {
    let (shop, ware) = open("focusnfe").await;
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let invoice = invoices_of(&shop).await[0].clone();
    fail_calls(&shop, Fault::Status(415), "carta_correcao", 1);
    for (text, status) in [("O bairro correto é Cerqueira César", "refused"), ("O bairro correto é Bela Vista", "accepted")] {
        assert_eq!(admin_post(&shop, &invoice, "corrections", &json!({"text": text})).await, 202, "{status}");
        goes_on(&shop).await;
        let letters = invoices_of(&shop).await[0]["corrections"].clone();
        assert_eq!((letters[0]["status"].as_str(), letters[0]["sequence"].as_i64()), (Some(status), Some(1)), "{letters}");
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn while_the_token_is_not_accepted_invoices_wait_and_the_shop_is_told_in_one_alert() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.control().revoke_key(provider).unwrap();
        for _ in 0..2 {
            paid(&shop, &ware).await;
            shop.drain().await;
        }
        let seen = invoices_of(&shop).await;
        assert_eq!((&seen[0]["status"], &seen[1]["status"]), (&json!("pending"), &json!("pending")), "{provider}: {seen}");
        assert!(
            seen[0]["message"].as_str().is_some_and(|why| why.contains("does not accept our credentials")),
            "{provider}: {seen}"
        );
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
        assert_eq!(shop.alerted().await, ["provider-refuses-us 2"], "{provider}: one for both invoices");
        shop.control().restore_key(provider).unwrap();
        goes_on(&shop).await;
        let standing = shop.control().nfes().iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count();
        assert_eq!(standing, 2, "{provider}: mended, they go out by themselves");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_certificate_that_ended_is_no_invoice_s_fault() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().reject_next_nfes(1, "281", "Rejeição: Certificado Transmissor Data Validade");
    paid(&shop, &ware).await;
    goes_on(&shop).await;
    let nfes = shop.control().nfes();
    assert_eq!((nfes.len(), nfes[0].attempts, nfes[0].status), (1, 2, NfeStatus::Authorized), "tried again by itself");
    assert_eq!(shop.alerted().await, ["invoice-account 1"]);
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    shop.close().await;
}

#[actix_web::test]
async fn what_the_receita_holds_against_the_shop_stops_no_invoice_for_good() {
    for (holds, code) in [(Taxpayer::Unknown, "178"), (Taxpayer::Irregular, "179"), (Taxpayer::OtherRegime, "180")] {
        let (shop, ware) = open("focusnfe").await;
        shop.control().register_taxpayer(crate::seller::CNPJ, Some(holds));
        for _ in 0..2 {
            paid(&shop, &ware).await;
        }
        for _ in 0..3 {
            shop.drain_ahead(SignedDuration::from_mins(1)).await;
            assert!(shop.control().settled(Duration::from_secs(20)).await);
        }
        let seen = invoices_of(&shop).await;
        assert_eq!((&seen[0]["status"], &seen[1]["status"]), (&json!("pending"), &json!("pending")), "{code}: {seen}");
        assert!(seen[0]["message"].as_str().is_some_and(|why| why.contains(code)), "{seen}");
        let alerted: String = shop.sql("SELECT string_agg(DISTINCT key, ',') FROM alert_occurrences").await;
        assert_eq!(alerted, "invoice-account:focusnfe");
        shop.control().register_taxpayer(crate::seller::CNPJ, None);
        goes_on(&shop).await;
        let standing = shop.control().nfes().iter().filter(|nfe| nfe.status == NfeStatus::Authorized).count();
        assert_eq!(standing, 2, "{code}: mended, they go out by themselves");
        assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE state = 'dead'").await, 0);
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_cnpj_that_is_not_in_order_is_a_question_to_the_buyer_or_about_the_place() {
    let (buyer, place) = ("Peça ao comprador", "local de retirada ou de entrega");
    for (code, words, asked) in [
        ("181", "não cadastrado", buyer),
        ("182", "em situação irregular", buyer),
        ("183", "não cadastrado", place),
        ("186", "em situação irregular", place),
    ] {
        let (shop, ware) = open("focusnfe").await;
        shop.control().reject_next_nfes(1, code, &format!("Rejeição: CNPJ do destinatário {words}"));
        paid(&shop, &ware).await;
        goes_on(&shop).await;
        assert_eq!(invoices_of(&shop).await[0]["status"], "rejected");
        assert_eq!(shop.alerted().await, ["invoice-rejected 1"]);
        let text: String = shop.sql("SELECT text FROM alerts").await;
        assert!(text.contains(words) && text.contains(asked), "{code}: {text}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn an_authorisation_with_a_remark_is_one_and_a_code_of_four_digits_is_a_rejection() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.control().remark_next_nfes(1, "Autorizado o uso da NF-e, com alerta");
        paid(&shop, &ware).await;
        goes_on(&shop).await;
        assert_eq!(invoices_of(&shop).await[0]["status"], "authorized", "{provider}");
        shop.control().reject_next_nfes(1, "1278", "Rejeição: Valor do item difere do somatório");
        paid(&shop, &ware).await;
        goes_on(&shop).await;
        let seen = invoices_of(&shop).await;
        let rejected: Vec<_> = seen.as_array().unwrap().iter().filter(|one| one["status"] == "rejected").collect();
        assert_eq!((rejected.len(), &rejected[0]["code"]), (1, &json!("1278")), "{provider}: {seen}");
        shop.close().await;
    }
}

#[actix_web::test]
async fn a_refusal_without_a_reason_is_told_without_an_empty_one() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        shop.control().reject_next_nfes(1, "999", "");
        paid(&shop, &ware).await;
        goes_on(&shop).await;
        let number: String = shop.sql("SELECT number FROM orders").await;
        assert_eq!(shop.alerted().await, ["invoice-rejected 1"], "{provider}");
        let text: String = shop.sql("SELECT text FROM alerts").await;
        assert_eq!(text, format!("Nota do pedido {number}: 999"), "{provider}");
        shop.close().await;
    }
}
