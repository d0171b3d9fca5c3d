use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use vitrine_kit::pix::PixNews;

use super::tests::{PAYMENT, PIX_KEY, REFUND, bacen, id};
use super::*;

const PAID: &str = include_str!("../fixtures/webhook.json");
const REFUNDED: &str = include_str!("../fixtures/webhook_refund.json");
const END_TO_END: &str = "E12345678202610011502abcdef12345";

static BACEN: LazyLock<Bacen> = LazyLock::new(|| bacen("http://bank"));

fn open(query: &str, body: &str) -> Result<Vec<Notice>, Forged> {
    BACEN.open(&Delivery::new(Bytes::from(body.to_owned()), Vec::new(), query))
}

fn opened(body: &str) -> Vec<Notice> {
    let notices = open("hmac=s3gredo&ignorar=/pix", body).expect("the right secret");
    for notice in &notices {
        assert_eq!(BACEN.reread(&notice.body), vec![notice.clone()], "what is kept can be read again");
    }
    notices
}

fn ids_and_news(body: &str) -> Vec<(String, PixNews)> {
    opened(body).into_iter().map(|notice| (notice.event_id, notice.news)).collect()
}

fn look() -> PixNews {
    PixNews::Look { payment_id: id(PAYMENT) }
}

fn look_at_refund(refund_id: Option<&str>) -> PixNews {
    PixNews::LookAtRefund { refund_id: refund_id.map(id), payment_id: Some(id(PAYMENT)) }
}

#[test]
fn only_the_secret_in_the_address_opens_a_delivery() {
    for right in [
        "hmac=s3gredo",
        "hmac=s3gredo&ignorar=/pix",
        "hmac=s3gredo&ignorar=",
        "a=b&hmac=s3gredo",
        "hmac=s3gredo/pix",
        "hmac=%733gredo",
    ] {
        assert!(open(right, PAID).is_ok(), "{right}");
    }
    for wrong in [
        "",
        "hmac=",
        "hmac",
        "hmac=s3gred",
        "hmac=s3gredoo",
        "hmac=S3GREDO",
        "ignorar=s3gredo",
        "hmac=outro&hmac=s3gredo",
        "hmac=/pix",
    ] {
        assert_eq!(open(wrong, PAID), Err(Forged), "{wrong}");
        assert_eq!(open(wrong, "nonsense"), Err(Forged), "{wrong}");
    }
}

#[test]
fn a_secret_with_signs_in_it_may_be_pasted_raw_or_encoded() {
    let config = BacenConfig { webhook_secret: "a+b/c==".into(), ..super::tests::config("http://bank") };
    let bacen = Bacen::new(config).expect("a good address");
    let open = |query: &str| bacen.open(&Delivery::new(Bytes::from_static(PAID.as_bytes()), Vec::new(), query)).is_ok();
    assert!(open("hmac=a+b/c==&ignorar=/pix") && open("hmac=a%2Bb%2Fc%3D%3D") && !open("hmac=a b/c=="));
}

#[test]
fn a_received_pix_is_a_hint_about_its_payment() {
    let notices = opened(PAID);
    let sent: Value = serde_json::from_str(PAID).expect("JSON");
    let expected =
        Notice { event_id: END_TO_END.to_owned(), event: "pix".to_owned(), news: look(), body: sent.to_string().into() };
    assert_eq!(notices, [expected]);
}

#[test]
fn a_return_is_a_hint_of_its_own_and_tells_the_payment_again() {
    assert_eq!(
        ids_and_news(REFUNDED),
        [
            (END_TO_END.to_owned(), look()),
            (format!("{END_TO_END}:01930000000070008000000000000002:DEVOLVIDO"), look_at_refund(Some(REFUND))),
            (format!("{END_TO_END}:painel7:NAO_REALIZADO"), look_at_refund(None)),
        ]
    );
}

/// As the standard's `pixWebhook1` has it.
#[test]
fn a_single_return_may_stand_without_its_list() {
    let body = json!({"pix": [{"endToEndId": END_TO_END, "txid": id(PAYMENT).simple().to_string(), "valor": "110.00", "horario":
        "2026-10-01T15:02:00.358Z", "infoPagador": "0123456789", "devolucoes": {"id": "123ABC", "rtrId": "Dxxxxxxxx202009091221kkkkkkkkkkk",
        "valor": "10.00", "horario": {"solicitacao": "2026-10-01T15:02:00.358Z"}, "status": "EM_PROCESSAMENTO"}}]});
    let expected = [(END_TO_END.to_owned(), look()), (format!("{END_TO_END}:123ABC:EM_PROCESSAMENTO"), look_at_refund(None))];
    assert_eq!(ids_and_news(&body.to_string()), expected);
}

#[test]
fn fifty_pix_in_one_call_are_fifty_notices_and_a_bad_one_does_not_stop_the_others() {
    let pix = |n: usize| json!({"endToEndId": format!("E{n:031}"), "txid": id(PAYMENT).simple().to_string(), "valor": "1.00"});
    let mut items: Vec<Value> = (0..50).map(pix).collect();
    items[20] = json!({"valor": 7});
    items[21] = json!("nonsense");
    let news = ids_and_news(&json!({"pix": items}).to_string());
    assert_eq!(news.len(), 50);
    assert_eq!(news.iter().filter(|(_, news)| *news == look()).count(), 48);
    assert_eq!((&news[20].1, &news[21].1), (&PixNews::Other, &PixNews::Other));
    let mut ids: Vec<_> = news.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn money_of_another_key_or_without_our_txid_is_kept_without_effect() {
    let pix = |field: &str, value: Value| {
        let mut body: Value = serde_json::from_str(PAID).expect("JSON");
        body["pix"][0][field] = value;
        ids_and_news(&body.to_string())
    };
    for other in [
        pix("chave", json!("outra@loja.com.br")),
        pix("chave", json!(7)),
        pix("txid", json!("outraloja0000000000000000001")),
        pix("txid", json!(null)),
    ] {
        assert_eq!(other, [(END_TO_END.to_owned(), PixNews::Other)]);
    }
    assert_eq!(pix("chave", json!(PIX_KEY.to_uppercase())), [(END_TO_END.to_owned(), look())]);
    let refund = REFUNDED.replace(PIX_KEY, "outra@loja.com.br");
    assert!(ids_and_news(&refund).iter().all(|(_, news)| *news == PixNews::Other));
}

#[test]
fn an_older_bank_that_does_not_name_the_key_is_believed_as_a_hint() {
    let mut body: Value = serde_json::from_str(PAID).expect("JSON");
    body["pix"][0].as_object_mut().expect("an object").remove("chave");
    assert_eq!(ids_and_news(&body.to_string()), [(END_TO_END.to_owned(), look())]);
}

#[test]
fn a_test_of_the_address_has_no_effect() {
    assert_eq!(opened(r#"{"evento":"teste_webhook","data_criacao":"2026-10-01T12:00:00.000Z"}"#), []);
    assert_eq!(opened(r#"{"pix":[]}"#), []);
}

#[test]
fn strange_bodies_are_kept_without_effect_under_one_id() {
    let long = json!({"pix": [{"endToEndId": "E".repeat(5000)}]}).to_string();
    let nul = json!({"pix": [{"endToEndId": "E\u{0}1"}]}).to_string();
    let half = json!({"pix": [{"endToEndId": "E1", "devolucoes": [{"id": "r1"}]}]}).to_string();
    for body in ["nonsense", "", "{}", "[]", r#"{"pix":7}"#, &long, &nul] {
        let (first, again) = (opened(body), opened(body));
        assert_eq!((first.len(), &first[0].news, first[0].event.as_str()), (1, &PixNews::Other, "unreadable"), "{body}");
        assert!(first == again && first[0].event_id.len() == 69, "{first:?}");
    }
    assert_eq!(ids_and_news(&half).iter().filter(|(id, _)| id.starts_with("body:")).count(), 1);
}

proptest! {
    #[test]
    fn no_body_breaks_it(body in "\\PC{0,120}") {
        opened(&body);
    }

    #[test]
    fn no_item_breaks_it(item in "[\\[\\]{}\":,a-zA-Z0-9]{0,60}") {
        opened(&format!(r#"{{"pix":[{item}]}}"#));
        opened(&format!(r#"{{"pix":[{{"endToEndId":"E1","devolucoes":[{item}]}}]}}"#));
    }

    #[test]
    fn no_address_breaks_the_check(query in "\\PC{0,80}") {
        prop_assert_eq!(open(&query, PAID), Err(Forged));
    }
}
