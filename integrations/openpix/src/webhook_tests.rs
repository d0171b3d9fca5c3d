use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use vitrine_kit::Money;
use vitrine_kit::dispute::{Contested, Stage, State};
use vitrine_kit::pix::PixNews;

use super::*;

const PAYMENT: &str = "0192f0c1-aa5b-7c3e-8d1f-2a3b4c5d6e7f";
const END_TO_END: &str = "E18236120202610011502s0266295234";
const REFUND: &str = "01930000-0000-7000-8000-000000000002";
const PING: &str = include_str!("../fixtures/ping.json");
const PAID: &str = include_str!("../fixtures/paid_event.json");
const REFUND_SENT: &str = include_str!("../fixtures/refund_sent_event.json");
const DISPUTE: &str = include_str!("../fixtures/dispute_event.json");
/// A key of ours, and what it makes of `PAID`.
const OUR_KEY: &str = include_str!("../fixtures/webhook_key.pem");
const OUR_SIGNATURE: &str = include_str!("../fixtures/webhook_signature.txt");
/// The documentation's sample, signed with the platform's key.
const SAMPLE: &str = include_str!("../fixtures/signed_sample.json");
const SAMPLE_SIGNATURE: &str = "lL2nnXgmLFGgxJ8+jCDguqouU4ucrIxYJcU5SPrJFaNcJajTJHYVldqc/z4YFIjAjtPEALe699WosgPY08W7CLpidvtm06Qwa4YMB0l/DcTS93O91NdSH/adjugEKiOb76Zj/0jB8mqOmWCFYbweOBa17bssuEkd5Lw7Q5L314Y=";

fn id(text: &str) -> Uuid {
    text.parse().expect("a test writes it well")
}

fn openpix(secret: Option<&str>, key: Option<&str>) -> OpenPix {
    let config = OpenPixConfig {
        base_url: "http://openpix".to_owned(),
        app_id: "app".into(),
        webhook_secret: secret.map(SecretString::from),
        public_key_pem: key.map(str::to_owned),
        timeout: Duration::from_secs(5),
        calls_per_second: 100_000,
        breaker: BreakerConfig::default(),
    };
    OpenPix::new(config).expect("a good key")
}

fn delivery(body: &str, headers: &[(&str, &str)]) -> Delivery {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Delivery::new(Bytes::from(body.to_owned()), headers, "")
}

fn mac(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, body.as_bytes()))
}

fn opened(body: &str) -> Vec<Notice> {
    let openpix = openpix(Some("hmac-secret-key"), None);
    let notices = openpix.open(&delivery(body, &[("X-OpenPix-Signature", &mac("hmac-secret-key", body))])).expect("well signed");
    for notice in &notices {
        assert_eq!(openpix.reread(&notice.body), vec![notice.clone()], "what is kept can be read again");
    }
    notices
}

fn only(body: &str) -> Notice {
    let notices = opened(body);
    assert_eq!(notices.len(), 1, "{notices:?}");
    notices.into_iter().next().expect("one")
}

#[test]
fn a_paid_event_is_a_hint_about_its_charge() {
    let expected = Notice {
        event_id: format!("OPENPIX:CHARGE_COMPLETED:{PAYMENT}:E18236120202610011502s0266295234"),
        event: "OPENPIX:CHARGE_COMPLETED".to_owned(),
        news: PixNews::Look { payment_id: id(PAYMENT) },
        body: PAID.into(),
    };
    assert_eq!(only(PAID), expected);
}

#[test]
fn every_event_of_a_charge_is_a_hint_of_its_own() {
    let mut ids = Vec::new();
    for event in [
        "CHARGE_CREATED",
        "CHARGE_COMPLETED",
        "CHARGE_EXPIRED",
        "CHARGE_COMPLETED_NOT_SAME_CUSTOMER_PAYER",
        "TRANSACTION_RECEIVED",
    ] {
        let notice = only(&PAID.replace("CHARGE_COMPLETED", event));
        assert_eq!(notice.news, PixNews::Look { payment_id: id(PAYMENT) });
        ids.push(notice.event_id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn news_of_money_that_is_not_ours_is_kept_without_effect() {
    for body in [
        json!({"event": "OPENPIX:TRANSACTION_RECEIVED", "charge": null, "pix": {"endToEndId": "E1", "value": 100}}),
        json!({"event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": "another-shop-7"}}),
        json!({"event": "OPENPIX:MOVEMENT_CONFIRMED", "payment": {"correlationID": PAYMENT}}),
        json!({"event": "OPENPIX:CHARGE_COMPLETED"}),
        json!({}),
        json!([]),
        json!("teste_webhook"),
    ] {
        assert_eq!(only(&body.to_string()).news, PixNews::Other, "{body}");
    }
    assert_eq!(only("nonsense").news, PixNews::Other);
}

#[test]
fn a_refunds_event_is_a_hint_about_the_refund_where_it_names_it() {
    let notice = only(REFUND_SENT);
    assert_eq!(notice.event_id, "PIX_TRANSACTION_REFUND_SENT_CONFIRMED:D18236120202610011510s0266295235");
    assert_eq!(notice.news, PixNews::Other); // their sample names neither the refund nor the charge
    let named = json!({"event": "PIX_TRANSACTION_REFUND_SENT_REJECTED", "refundTransaction": {"correlationID": REFUND},
        "charge": {"correlationID": PAYMENT}});
    let look = |refund_id: Option<&str>| PixNews::LookAtRefund { refund_id: refund_id.map(id), payment_id: Some(id(PAYMENT)) };
    assert_eq!(only(&named.to_string()).news, look(Some(REFUND)));
    let charge = json!({"event": "OPENPIX:TRANSACTION_REFUND_RECEIVED", "charge": {"correlationID": PAYMENT},
        "pix": {"endToEndId": "D231144"}, "refunds": []});
    assert_eq!(only(&charge.to_string()).news, look(None));
}

#[test]
fn a_dispute_is_a_hint_about_the_pix_that_it_names_without_the_payers_data() {
    let notice = only(DISPUTE);
    assert_eq!(notice.event_id, "OPENPIX:DISPUTE_CREATED:E18236120202610011502s0266295234:OPENED");
    let opened = Dispute {
        reference: END_TO_END.to_owned(),
        payment: Contested { end_to_end_id: Some(END_TO_END.to_owned()), ..Contested::default() },
        amount: Some(Money::from_cents(18_500)),
        currency: Some("BRL".to_owned()),
        stage: Stage::Contested,
        state: State::Open,
        status: "OPENED".to_owned(),
        reason: "Golpe".to_owned(),
        opened_at: None,
        due_by: None,
        evidence_ref: None,
    };
    assert_eq!(notice.news, PixNews::Disputed(opened.clone()));
    let told = |event: &str, dispute: Value| {
        let body = json!({"event": format!("OPENPIX:DISPUTE_{event}"), "dispute": dispute}).to_string();
        match only(&body).news {
            PixNews::Disputed(dispute) => Some(dispute),
            PixNews::Other => None,
            other => panic!("{other:?}"),
        }
    };
    for (event, status, state) in [
        ("CREATED", "IN_REVIEW", State::UnderReview),
        ("ACCEPTED", "ACCEPTED", State::Lost),
        ("REJECTED", "REJECTED", State::Won),
        ("CANCELED", "CANCELED", State::Closed),
        ("CREATED", "DREAMING", State::Unclear),
    ] {
        let seen = told(event, json!({"endToEndId": END_TO_END, "status": status, "id": "6a0c3f2e9b1d"})).expect("named");
        assert_eq!((seen.state, seen.status.as_str(), seen.evidence_ref.as_deref()), (state, status, Some("6a0c3f2e9b1d")));
        assert_eq!((seen.amount, seen.reason.as_str()), (None, ""));
    }
    // Their name of the event stands in for a state that is left out; an amount may be a text.
    let bare = told("ACCEPTED", json!({"endToEndId": END_TO_END, "value": "10000"})).expect("named");
    assert_eq!((bare.state, bare.amount), (State::Lost, Some(Money::from_cents(10_000))));
    for value in [json!("100,00"), json!(-1), json!(1.5), json!(null)] {
        assert_eq!(told("CREATED", json!({"endToEndId": END_TO_END, "value": value})).expect("named").amount, None);
    }
    for unnamed in [json!({}), json!(null), json!({"endToEndId": ""}), json!({"endToEndId": "E1/../2"}), json!({"id": "1"})] {
        assert_eq!(told("CREATED", unnamed.clone()), None, "{unnamed}");
    }
}

#[test]
fn a_ping_is_answered_and_does_nothing() {
    let newer = PING.replace(r#""evento":"teste_webhook","#, "");
    for ping in [PING, newer.as_str()] {
        assert_eq!(opened(ping), vec![], "{ping}");
        assert_eq!(openpix(None, None).open(&delivery(ping, &[])), Ok(vec![]), "{ping}");
    }
    let chatty = json!({"evento": "teste_webhook", "event": "OPENPIX:CHARGE_COMPLETED", "company": {"id": "1"}});
    assert_eq!(opened(&chatty.to_string()), vec![]);
}

#[test]
fn only_a_bare_ping_may_come_unsigned() {
    let openpix = openpix(Some("hmac-secret-key"), None);
    let with_charge =
        json!({"evento": "teste_webhook", "event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": PAYMENT}});
    for body in [
        PAID,
        DISPUTE,
        "{}",
        "[]",
        "",
        r#"{"event":"OPENPIX:CHARGE_COMPLETED"}"#,
        r#"{"evento":"outro"}"#,
        &with_charge.to_string(),
    ] {
        assert_eq!(openpix.open(&delivery(body, &[])), Err(Forged), "{body}");
    }
    let room = webhook::LONGEST_PING - PING.len();
    assert_eq!(openpix.open(&delivery(&format!("{PING}{}", " ".repeat(room)), &[])), Ok(vec![]));
    let long = format!("{PING}{}", " ".repeat(room + 1));
    assert_eq!(openpix.open(&delivery(&long, &[])), Err(Forged), "what anybody may send is not read however long it is");
    for header in ["X-OpenPix-Signature", "x-webhook-signature"] {
        assert_eq!(openpix.open(&delivery(PING, &[(header, "bm8=")])), Err(Forged), "a wrong signature is worse than none");
    }
}

#[test]
fn the_documented_mac_opens_a_delivery_and_no_other_does() {
    const RIGHT: &str = "/ea7YAJjvmfnRfuV+Xzl/HE8QDw=";
    let openpix = openpix(Some("hmac-secret-key"), None);
    let ping = PING.trim_end();
    let open = |body: &str, given: &str| openpix.open(&delivery(body, &[("x-openpix-signature", given)]));
    assert_eq!(mac("hmac-secret-key", ping), RIGHT);
    assert_eq!(open(ping, RIGHT), Ok(vec![]));
    for wrong in ["", "=", &RIGHT[..26], "AAAA", &mac("other", ping), "fde6bb600263be67e745fb95f97ce5fc713c403c"] {
        assert_eq!(open(ping, wrong), Err(Forged), "{wrong}");
    }
    assert_eq!(open(&ping[1..], RIGHT), Err(Forged));
}

#[test]
fn the_platforms_key_opens_its_own_sample() {
    let openpix = openpix(None, None);
    let open = |body: &str, given: &str| openpix.open(&delivery(body, &[("X-Webhook-Signature", given)]));
    let notices = open(SAMPLE, SAMPLE_SIGNATURE).expect("signed by them");
    assert_eq!(notices[0].news, PixNews::Look { payment_id: id("417bae21-3d08-4cdb-9c2d-fee63c89e9e4") });
    assert_eq!(open(&SAMPLE.replace("1000", "1001"), SAMPLE_SIGNATURE), Err(Forged));
    for wrong in ["", "AAAA", &SAMPLE_SIGNATURE[..168], OUR_SIGNATURE] {
        assert_eq!(open(SAMPLE, wrong), Err(Forged), "{wrong}");
    }
}

#[test]
fn another_key_can_be_set_in_one_line_too() {
    let one_line = OUR_KEY.replace('\n', "\\n");
    for key in [OUR_KEY, &one_line] {
        let openpix = openpix(None, Some(key));
        assert!(openpix.open(&delivery(PAID, &[("x-webhook-signature", OUR_SIGNATURE)])).is_ok());
        assert_eq!(openpix.open(&delivery(SAMPLE, &[("x-webhook-signature", SAMPLE_SIGNATURE)])), Err(Forged));
    }
}

#[test]
fn where_a_secret_was_used_it_decides_alone() {
    let right_mac = mac("s", PAID);
    let rsa = ("x-webhook-signature", OUR_SIGNATURE);
    let both = |secret: Option<&str>, given: &str| {
        openpix(secret, Some(OUR_KEY)).open(&delivery(PAID, &[("x-openpix-signature", given), rsa])).is_ok()
    };
    assert!(both(Some("s"), &right_mac));
    assert!(!both(Some("s"), "bm8="), "a right platform signature does not make up for a wrong MAC");
    assert!(both(None, "bm8="), "without a secret the MAC says nothing");
    assert!(openpix(Some("s"), Some(OUR_KEY)).open(&delivery(PAID, &[rsa])).is_ok());
}

#[test]
fn strange_words_neither_break_an_id_nor_reach_the_operator() {
    let huge =
        json!({"event": "OPENPIX:DISPUTE_CREATED", "dispute": {"endToEndId": "E".repeat(5000), "disputeReason": "a\u{0}b\nc"}});
    let notice = only(&huge.to_string());
    assert!(notice.event_id.starts_with("body:") && notice.event_id.len() == 69, "{}", notice.event_id);
    assert_eq!(notice.news, PixNews::Other);
    let strange = json!({"event": "OPENPIX:DISPUTE_CREATED",
        "dispute": {"endToEndId": END_TO_END, "status": "X".repeat(500), "disputeReason": "a\u{0}b\nc"}});
    let PixNews::Disputed(dispute) = only(&strange.to_string()).news else { panic!("{strange}") };
    assert_eq!((dispute.reason.as_str(), dispute.status), ("abc", "X".repeat(80)));
    let event = only(&json!({"event": format!("\u{0}{}", "X".repeat(500)), "charge": {"correlationID": PAYMENT}}).to_string());
    assert_eq!(event.event, "X".repeat(80));
}

proptest! {
    #[test]
    fn no_body_breaks_it_and_a_repeat_has_the_same_id(body in "\\PC{0,120}") {
        let first = webhook::notices(&Bytes::from(body.clone()));
        prop_assert_eq!(first, webhook::notices(&Bytes::from(body)));
    }

    #[test]
    fn no_header_breaks_the_check(given in "\\PC{0,200}") {
        static OPENPIX: LazyLock<OpenPix> = LazyLock::new(|| openpix(Some("hmac-secret-key"), None));
        for header in ["x-openpix-signature", "x-webhook-signature"] {
            prop_assert_eq!(OPENPIX.open(&delivery(PAID, &[(header, &given)])), Err(Forged));
        }
    }
}
