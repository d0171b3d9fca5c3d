use std::io::Write;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;
use vitrine_sandbox::{SandboxConfig, start};

use crate::harness::{Client, LIMIT, Shop, ask, config, payment, refund, text};

/// A file of its own for each test, gone afterwards.
struct TempFile(PathBuf);

impl TempFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("vitrine-sandbox-{}.jsonl", uuid::Uuid::now_v7())))
    }

    fn config(&self) -> SandboxConfig {
        SandboxConfig { journal: Some(self.0.clone()), ..config() }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn open(file: &TempFile) -> Client {
    Client::new(start(file.config()).await.expect("a readable journal"))
}

fn mail(client: &Client, key: &str) -> reqwest::RequestBuilder {
    let body = json!({"from": "Loja <oi@loja.test>", "to": "ana@example.com", "subject": "Oi", "text": "Oi"});
    let call = client.call(Method::POST, "/resend/emails").header("idempotency-key", key).json(&body);
    call.bearer_auth(SandboxConfig::default().resend_api_key)
}

#[actix_web::test]
async fn the_books_and_the_pending_webhooks_survive_a_restart() {
    let file = TempFile::new();
    let client = open(&file).await;
    let body = payment(1_000);
    ask(client.create(&body)).await;
    let paid = client.paid_charge(2_000).await;
    ask(client.refund(&paid, &refund(500))).await;
    let (_, first_mail) = ask(mail(&client, "order/1")).await;
    let control = client.sandbox.control().clone();
    let (charges, refunds, mails, deliveries) = (control.charges(), control.refunds(), control.mails(), control.deliveries());
    assert_eq!((charges.len(), refunds.len(), mails.len(), deliveries.len()), (2, 1, 1, 2));
    client.sandbox.stop().await;

    let client = open(&file).await;
    let control = client.sandbox.control();
    assert_eq!(control.charges(), charges);
    assert_eq!(control.refunds(), refunds);
    assert_eq!(control.mails(), mails);
    assert_eq!(control.deliveries(), deliveries);
    assert_eq!(ask(client.create(&body)).await.0, 200);
    assert_eq!(ask(mail(&client, "order/1")).await.1, first_mail);

    let shop = Shop::open();
    client.sandbox.set_shop_url(&shop.url);
    assert!(control.settled(LIMIT).await);
    let mut told: Vec<String> = shop.told().into_iter().map(|told| told.body).collect();
    let mut expected: Vec<String> = deliveries.into_iter().map(|d| d.body).collect();
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

#[actix_web::test]
async fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
    let file = TempFile::new();
    let client = open(&file).await;
    let first = client.charge(100).await;
    client.sandbox.stop().await;
    let whole = std::fs::read(&file.0).expect("a journal");
    let mut journal = std::fs::OpenOptions::new().append(true).open(&file.0).expect("a journal");
    journal.write_all(&whole[..whole.len() / 2]).expect("written");
    drop(journal);

    let client = open(&file).await;
    assert_eq!(std::fs::read(&file.0).expect("a journal"), whole);
    let second = client.charge(200).await;
    client.sandbox.stop().await;

    let client = open(&file).await;
    let ids: Vec<String> = client.sandbox.control().charges().into_iter().map(|c| c.payment_id).collect();
    assert_eq!(ids, [first, second]);
}

#[actix_web::test]
async fn a_damaged_journal_and_one_in_use_are_refused() {
    let file = TempFile::new();
    let client = open(&file).await;
    let error = start(file.config()).await.expect_err("in use");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    client.sandbox.stop().await;

    std::fs::write(&file.0, "{\"kind\":\"charge\"\n{}\n").expect("written");
    let error = start(file.config()).await.expect_err("damaged");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[actix_web::test]
async fn the_last_line_of_a_thing_wins() {
    let file = TempFile::new();
    let client = open(&file).await;
    let id = client.charge(100).await;
    ask(client.propay(Method::DELETE, &format!("/v1/payments/{id}"))).await;
    drop(client); // as abrupt as it gets in one process
    let client = loop {
        match start(file.config()).await {
            Ok(sandbox) => break Client::new(sandbox),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    };
    assert_eq!(text(&ask(client.propay(Method::GET, &format!("/v1/payments/{id}"))).await.1["status"]), "cancelled");
    assert_eq!(client.sandbox.control().charges().len(), 1);
}

#[actix_web::test]
async fn cards_and_their_keys_survive_a_restart() {
    let file = TempFile::new();
    let form = [("amount", "500"), ("currency", "brl"), ("metadata[payment_id]", "card-1")];
    let create = |client: &Client| {
        let call = client.call(Method::POST, "/stripe/v1/payment_intents").form(&form).header("idempotency-key", "pay-1");
        call.bearer_auth(SandboxConfig::default().stripe_secret_key)
    };
    let client = open(&file).await;
    let (_, made) = ask(create(&client)).await;
    client.sandbox.control().decline("card-1", "expired_card").expect("open");
    let charges = client.sandbox.control().charges();
    client.sandbox.stop().await;

    let client = open(&file).await;
    assert_eq!(client.sandbox.control().charges(), charges);
    assert_eq!(ask(create(&client)).await.1, made);
    assert_eq!(client.sandbox.control().charges().len(), 1);
}
