//! Returns that a bank makes by itself (MED), as the Pix API shows them: an entry of `devolucoes` like any other, by its `natureza`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use vitrine_sandbox::{ChargeStatus, Nature, RefundOrigin, SendWebhook, TakeBack};

use crate::bacen::{Bank, bank};
use crate::harness::{LIMIT, Shop, ask};

/// The returns of a Pix, wherever it is shown.
async fn everywhere(bank: &Bank, txid: &str, e2eid: &str) -> Vec<Value> {
    let now = Timestamp::now();
    let window = format!("inicio={}&fim={}", now - SignedDuration::from_hours(2), now + SignedDuration::from_hours(1));
    let (_, pix) = bank.get(&format!("/pix/{e2eid}")).await;
    let (_, cob) = bank.get(&format!("/cob/{txid}")).await;
    let (_, list) = bank.get(&format!("/pix?{window}&txid={txid}")).await;
    vec![pix["devolucoes"].clone(), cob["pix"][0]["devolucoes"].clone(), list["pix"][0]["devolucoes"].clone()]
}

#[actix_web::test]
async fn a_return_by_the_bank_is_shown_with_its_nature_wherever_its_pix_is() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2eid) = bank.paid(1_000).await;
    bank.put(&format!("/pix/{e2eid}/devolucao/r1"), &json!({"valor": "1.00"})).await;
    assert!(control.settled(LIMIT).await);
    let told = shop.told().len();
    let natures = [Nature::MedOperacional, Nature::MedFraude, Nature::MedPixAutomatico];
    for (at, nature) in natures.into_iter().enumerate() {
        let back = TakeBack::of(&txid, &format!("MED{at}"), 200).nature(nature).motivo("Fundada suspeita");
        control.take_back_as(&back).expect("there is money");
    }
    assert!(control.settled(LIMIT).await);
    let seen = everywhere(&bank, &txid, &e2eid).await;
    for devolucoes in &seen {
        let shown: Vec<_> =
            devolucoes.as_array().expect("a list").iter().map(|d| [&d["id"], &d["natureza"], &d["motivo"]]).collect();
        assert_eq!(
            json!(shown),
            json!([
                ["r1", "ORIGINAL", null],
                ["MED0", "MED_OPERACIONAL", "Fundada suspeita"],
                ["MED1", "MED_FRAUDE", "Fundada suspeita"],
                ["MED2", "MED_PIX_AUTOMATICO", "Fundada suspeita"],
            ])
        );
        assert!(devolucoes.as_array().expect("a list").iter().all(|d| d["status"] == "DEVOLVIDO"));
    }
    assert_eq!(shop.told().len(), told + 3, "each is told");
    let kept: Vec<_> = control.refunds().iter().map(|refund| (refund.origin, refund.amount_cents)).collect();
    let bank_took = (RefundOrigin::Bank, 200);
    assert_eq!(kept, [(RefundOrigin::Shop, 100), bank_took, bank_took, bank_took]);
    assert_eq!(
        control.charge(&txid).map(|charge| (charge.status, charge.refunded_cents)),
        Some((ChargeStatus::PartiallyRefunded, 700))
    );
    let more = TakeBack::of(&txid, "MED9", 301);
    assert!(control.take_back_as(&more).is_err(), "there is no more than 3.00 left");
    assert!(control.take_back(&txid, "MED1", 1).is_err(), "the name is taken");
}

#[actix_web::test]
async fn a_return_may_come_without_a_word_and_months_later() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2eid) = bank.paid(1_000).await;
    assert!(control.settled(LIMIT).await);
    let order = |path: &'static str, body: Value| ask(bank.client.call(Method::POST, &format!("/control{path}")).json(&body));
    let (status, aged) = order("/age", json!({"txid": txid, "days": 85})).await;
    assert_eq!((status, &aged["status"]), (200, &json!("paid")));
    let body = json!({"txid": txid, "name": "MED1", "amount_cents": 400, "natureza": "MED_OPERACIONAL", "webhook": "lost"});
    let (status, made) = order("/refunds/take-back", body).await;
    assert_eq!((status, &made["origin"], &made["status"]), (200, &json!("bank"), &json!("done")), "{made}");
    assert!(control.settled(LIMIT).await);
    assert_eq!(shop.told().len(), 1, "the payment alone was told");
    let (_, pix) = bank.get(&format!("/pix/{e2eid}")).await;
    assert_eq!(pix["devolucoes"][0]["natureza"], "MED_OPERACIONAL");

    let day = |ago: i64| Timestamp::now() - SignedDuration::from_hours(24 * ago);
    let list = async |from: i64, to: i64| {
        let (_, list) = bank.get(&format!("/pix?inicio={}&fim={}", day(from), day(to))).await;
        list["pix"].as_array().map(Vec::len)
    };
    assert_eq!([list(86, 84).await, list(83, 0).await], [Some(1), Some(0)], "by the day on which it was paid");
    control.age_charge(&txid, Duration::from_secs(3600)).expect("known");
    let panel = json!({"txid": txid, "name": "panel1", "amount_cents": 1, "natureza": "ORIGINAL"});
    let (status, made) = order("/refunds/take-back", panel).await;
    assert_eq!((status, &made["origin"]), (200, &json!("dashboard")), "somebody used the bank's own pages: {made}");
    let strange = json!({"txid": txid, "name": "x", "amount_cents": 1, "natureza": "RETIRADA"});
    assert_eq!(order("/refunds/take-back", strange).await.0, 422);
}

#[actix_web::test]
async fn a_return_may_be_in_process_until_it_is_decided() {
    let (bank, shop) = (bank().await, Shop::open());
    let control = bank.client.sandbox.control();
    control.set_shop_url(&shop.url);
    let (txid, e2eid) = bank.paid(1_000).await;
    assert!(control.settled(LIMIT).await);
    let order = |path: &'static str, body: Value| ask(bank.client.call(Method::POST, &format!("/control{path}")).json(&body));
    let status_of = async |at: usize| bank.get(&format!("/pix/{e2eid}")).await.1["devolucoes"][at]["status"].clone();
    for (at, (done, word)) in [(true, "DEVOLVIDO"), (false, "NAO_REALIZADO")].into_iter().enumerate() {
        let body = json!({"txid": txid, "name": format!("MED{at}"), "amount_cents": 400, "held": true});
        let (status, made) = order("/refunds/take-back", body).await;
        assert_eq!((status, &made["status"]), (200, &json!("processing")), "{made}");
        assert!(control.settled(LIMIT).await);
        assert_eq!((status_of(at).await, shop.told().len()), (json!("EM_PROCESSAMENTO"), 1 + at), "nobody is told yet");
        let decide = json!({"refund_id": made["refund_id"], "done": done});
        assert_eq!(order("/refunds/decide", decide.clone()).await.0, 200);
        assert!(control.settled(LIMIT).await);
        assert_eq!((status_of(at).await, shop.told().len()), (json!(word), 2 + at));
        assert_eq!(order("/refunds/decide", decide).await.0, 422, "it is decided once");
    }
    assert_eq!(control.charge(&txid).map(|charge| charge.refunded_cents), Some(400));
}

#[actix_web::test]
async fn the_list_shows_returns_on_the_page_of_their_pix() {
    let bank = bank().await;
    let control = bank.client.sandbox.control();
    let mut paid = Vec::new();
    for _ in 0..3 {
        paid.push(bank.paid(1_000).await);
    }
    let late = TakeBack::of(&paid[2].0, "MED1", 1_000).webhook(SendWebhook::Lost);
    control.take_back_as(&late).expect("there is money");
    let now = Timestamp::now();
    let window = format!("inicio={}&fim={}", now - SignedDuration::from_hours(1), now + SignedDuration::from_hours(1));
    let page = async |number: usize| {
        let pages = format!("paginacao.itensPorPagina=2&paginacao.paginaAtual={number}");
        bank.get(&format!("/pix?{window}&{pages}")).await.1
    };
    let (first, second) = (page(0).await, page(1).await);
    assert_eq!(first["pix"].as_array().map(Vec::len), Some(2));
    assert!(first["pix"].as_array().expect("a list").iter().all(|pix| pix["devolucoes"].is_null()));
    assert_eq!(second["pix"][0]["devolucoes"][0]["natureza"], "MED_FRAUDE");
    assert_eq!(second["parametros"]["paginacao"]["quantidadeDePaginas"], 2);
}
