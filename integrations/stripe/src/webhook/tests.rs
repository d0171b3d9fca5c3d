use serde_json::{Value, json};
use vitrine_kit::dispute::{Contested, Stage};
use vitrine_kit::pix::RefundStatus;
use vitrine_kit::refund::{Nature, Retry};

use super::*;
use crate::tests::{ORDER, PAYMENT, REFUND, at, id, stripe};

const SUCCEEDED: &str = include_str!("../../fixtures/succeeded.json");
const DISPUTE: &str = include_str!("../../fixtures/dispute.json");
const SECRET: &[u8] = b"whsec_test_secret";
const AT: i64 = 1_790_000_000;
/// Known: what signs it under the test secret at `AT` is `RIGHT`.
const BODY: &str = r#"{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}"#;
const RIGHT: &str = "7b8113cd94f67490d14bb1393d2cd3ce02f73dcd8718d3c17e15ad4856bb0476";

fn open_at(body: &str, header: Option<&str>, now: i64) -> Result<Event, Forged> {
    let headers = header.map(|h| ("Stripe-Signature".to_owned(), h.to_owned()));
    let delivery = Delivery::new(Bytes::from(body.to_owned()), headers.into_iter().collect(), "");
    stripe("http://stripe").open(&delivery, at(now))
}

fn open(body: &str, header: &str) -> Result<Event, Forged> {
    open_at(body, Some(header), AT)
}

fn opened(body: &str) -> Event {
    let mac = signature::hmac_sha256_hex(SECRET, format!("{AT}.{body}").as_bytes());
    open(body, &format!("t={AT},v1={mac}")).expect("well signed")
}

fn news(kind: &str, object: &Value) -> CardNews {
    opened(&json!({"id": "evt_1", "type": kind, "created": AT, "livemode": false, "data": {"object": object}}).to_string()).news
}

#[test]
fn the_known_signature_opens() {
    let event = open(BODY, &format!("t={AT},v1={RIGHT}")).expect("well signed");
    assert_eq!((event.event_id.as_str(), event.event.as_str()), ("evt_1", "payment_intent.succeeded"));
    assert_eq!((event.news, event.body), (CardNews::Other, Bytes::from(BODY))); // it says nothing of an intent
}

#[test]
fn one_right_signature_among_several_is_enough() {
    let wrong = RIGHT.replace('7', "8");
    for header in [
        format!("t={AT},v1={wrong},v1={RIGHT}"),
        format!("t={AT},v1={RIGHT},v1={wrong}"),
        format!("v0={wrong},v1={RIGHT},v9=x,t={AT}"),
        format!("t={AT}, v1={RIGHT}"),
    ] {
        assert!(open(BODY, &header).is_ok(), "{header}");
    }
}

#[test]
fn a_delivery_is_good_for_five_minutes_and_from_a_clock_ahead_of_ours() {
    let header = format!("t={AT},v1={RIGHT}");
    for (now, is_good) in [(AT - 86_400, true), (AT - 301, true), (AT + 300, true), (AT + 301, false)] {
        assert_eq!(open_at(BODY, Some(&header), now).is_ok(), is_good, "{now}");
    }
}

#[test]
fn anything_else_is_forged() {
    assert_eq!(open_at(BODY, None, AT), Err(Forged));
    let other_key = signature::hmac_sha256_hex(b"whsec_other", format!("{AT}.{BODY}").as_bytes());
    for bad in [
        String::new(),
        format!("t={AT}"),
        format!("v1={RIGHT}"),
        format!("t={AT},v1="),
        format!("t={AT},v1={}", &RIGHT[..63]),
        format!("t={AT},v1={RIGHT}0"),
        format!("t={AT},v1={}", RIGHT.to_uppercase()),
        format!("t={AT},v0={RIGHT}"),
        format!("t={AT},v1={other_key}"),
        format!("t={},v1={RIGHT}", AT + 1),
        format!("t=0{AT},v1={RIGHT}"), // the text is signed, not the number
        format!("t=now,v1={RIGHT}"),
        format!("t={AT}.0,v1={RIGHT}"),
        format!("t=9999999999999999999999,v1={RIGHT}"),
        format!("t={AT};v1={RIGHT}"),
    ] {
        assert_eq!(open(BODY, &bad), Err(Forged), "{bad}");
    }
}

#[test]
fn the_bytes_are_signed_and_not_what_they_mean() {
    let header = format!("t={AT},v1={RIGHT}");
    let reencoded = serde_json::to_string_pretty(&serde_json::from_str::<Value>(BODY).expect("JSON")).expect("JSON");
    for body in [&BODY[..BODY.len() - 1], &format!("{BODY}\n"), &BODY.replace(':', ": "), &reencoded, ""] {
        assert_eq!(open(body, &header), Err(Forged), "{body}");
    }
}

#[test]
fn a_success_is_read_whole() {
    let news = CardNews::Succeeded(Paid {
        intent_id: "pi_3Q".to_owned(),
        payment_id: Some(id(PAYMENT)),
        order_id: Some(id(ORDER)),
        amount_received: Money::from_cents(18_500),
        currency: "brl".to_owned(),
        paid_at: Some(at(1_790_000_121)),
        charge: Some("ch_1".to_owned()),
    });
    let event = opened(SUCCEEDED);
    let expected = Event {
        event_id: "evt_1".to_owned(),
        event: "payment_intent.succeeded".to_owned(),
        livemode: Some(false),
        news,
        body: SUCCEEDED.into(),
    };
    assert_eq!(event, expected);
    assert_eq!(stripe("http://stripe").reread(&event.body), event);
    assert_eq!(opened(&SUCCEEDED.replace("\"livemode\":false", "\"livemode\":true")).livemode, Some(true));
}

#[test]
fn what_is_not_succeeded_by_its_own_word_is_no_success() {
    for status in ["processing", "requires_payment_method", "dreaming"] {
        assert_eq!(opened(&SUCCEEDED.replace("\"succeeded\"", &format!("\"{status}\""))).news, CardNews::Other);
    }
}

#[test]
fn events_of_an_intent_have_their_meaning() {
    let error = json!({"code": "card_declined", "decline_code": "insufficient_funds", "message": "No money."});
    let intent = json!({"id": "pi_3Q", "amount": 1, "currency": "brl", "status": "requires_payment_method",
        "metadata": {"payment_id": PAYMENT}, "last_payment_error": error});
    let (intent_id, payment_id) = ("pi_3Q".to_owned(), Some(id(PAYMENT)));
    let (code, message) = ("insufficient_funds".to_owned(), "No money.".to_owned());
    let failed = CardNews::Failed { intent_id: intent_id.clone(), payment_id, code, message };
    assert_eq!(news("payment_intent.payment_failed", &intent), failed);
    let canceled = CardNews::Canceled { intent_id: intent_id.clone(), payment_id };
    assert_eq!(news("payment_intent.canceled", &intent), canceled);
    assert_eq!(news("payment_intent.processing", &intent), CardNews::Processing { intent_id, payment_id });
    for without_effect in
        ["payment_intent.created", "payment_intent.requires_action", "payment_intent.dreamt", "charge.succeeded"]
    {
        assert_eq!(news(without_effect, &intent), CardNews::Other);
    }
}

#[test]
fn events_of_a_refund_have_their_meaning_whole_or_linked() {
    let expected = |status, said: Option<&str>| CardNews::Refund {
        intent_id: Some("pi_3Q".to_owned()),
        charge: Some("ch_1".to_owned()),
        refund: TheirRefund {
            refund_id: Some(id(REFUND)),
            reference: "re_1".to_owned(),
            status,
            amount: Money::from_cents(500),
            nature: Nature::Original,
            said: said.map(str::to_owned),
        },
    };
    for (kind, word, status) in [
        ("refund.created", "pending", RefundStatus::Processing),
        ("refund.updated", "succeeded", RefundStatus::Done),
        ("refund.failed", "failed", RefundStatus::Failed(Retry::Unsaid)),
        ("charge.refund.updated", "canceled", RefundStatus::Failed(Retry::Never)),
    ] {
        for intent in [json!("pi_3Q"), json!({"id": "pi_3Q", "object": "payment_intent"})] {
            let refund = json!({"id": "re_1", "amount": 500, "status": word, "payment_intent": intent, "charge": "ch_1",
                "metadata": {"refund_id": REFUND}});
            let said = matches!(status, RefundStatus::Failed(_)).then_some(word);
            assert_eq!(news(kind, &refund), expected(status, said), "{kind}");
        }
    }
    let charge = json!({"id": "ch_1", "amount": 18500, "amount_refunded": 500, "payment_intent": "pi_3Q", "refunded": false});
    let refunded = |intent: Option<&str>| CardNews::Refunded {
        intent_id: intent.map(str::to_owned),
        charge: "ch_1".to_owned(),
        amount_refunded: Money::from_cents(500),
    };
    assert_eq!(news("charge.refunded", &charge), refunded(Some("pi_3Q")));
    assert_eq!(news("charge.refunded", &json!({"id": "ch_1", "amount_refunded": 500, "payment_intent": null})), refunded(None));
    assert_eq!(news("charge.refunded", &json!({"id": "ch_1"})), CardNews::Other);
}

#[test]
fn every_event_of_a_dispute_tells_how_it_stands() {
    let opening = Dispute {
        reference: "dp_1".to_owned(),
        payment: Contested { payment_id: None, provider_ref: Some("pi_3Q".to_owned()), end_to_end_id: Some("ch_1".to_owned()) },
        amount: Some(Money::from_cents(18_500)),
        currency: Some("BRL".to_owned()),
        stage: Stage::Contested,
        state: State::Open,
        status: "needs_response".to_owned(),
        reason: "fraudulent".to_owned(),
        opened_at: None,
        due_by: Some(at(1_790_600_000)),
        evidence_ref: Some("dp_1".to_owned()),
    };
    assert_eq!(opened(DISPUTE).news, CardNews::Dispute(opening.clone()));
    let moved = r#""metadata":{},"balance_transactions":[{"amount":-18500}]"#;
    let unmoved = r#""metadata":{},"balance_transactions":[]"#;
    for (status, balance, stage, state) in [
        ("needs_response", moved, Stage::Contested, State::Open),
        ("under_review", moved, Stage::Contested, State::UnderReview),
        ("won", moved, Stage::Contested, State::Won),
        ("lost", moved, Stage::Contested, State::Lost),
        ("warning_needs_response", unmoved, Stage::Inquiry, State::Open),
        ("warning_under_review", unmoved, Stage::Inquiry, State::UnderReview),
        ("warning_closed", unmoved, Stage::Inquiry, State::Closed),
        ("warning_of_a_new_kind", unmoved, Stage::Inquiry, State::Unclear),
        ("charge_refunded", unmoved, Stage::Inquiry, State::Closed),
        ("prevented", unmoved, Stage::Inquiry, State::Closed),
        ("prevented", moved, Stage::Contested, State::Unclear),
        ("prevented", r#""metadata":{}"#, Stage::Contested, State::Unclear),
        ("", moved, Stage::Contested, State::Unclear),
        ("forgiven", unmoved, Stage::Contested, State::Unclear),
    ] {
        let body = DISPUTE.replace("needs_response", status).replace(r#""metadata":{}"#, balance);
        let expected = |state| CardNews::Dispute(Dispute { status: status.to_owned(), stage, state, ..opening.clone() });
        for event in ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"] {
            let body = body.replace("dispute.created", &format!("dispute.{event}"));
            let state = if event == "closed" && state.is_open() { State::Unclear } else { state };
            assert_eq!(opened(&body).news, expected(state), "{event} {status} {balance}");
        }
    }
    let bare = Dispute {
        reference: "dp_1".to_owned(),
        payment: Contested::default(),
        amount: None,
        currency: None,
        stage: Stage::Contested,
        state: State::Unclear,
        status: String::new(),
        reason: String::new(),
        opened_at: Some(at(1_790_000_400)),
        due_by: None, // 0: the bank takes no answer
        evidence_ref: Some("dp_1".to_owned()),
    };
    let object = json!({"id": "dp_1", "amount": null, "created": 1_790_000_400, "evidence_details": {"due_by": 0}});
    assert_eq!(news("charge.dispute.created", &object), CardNews::Dispute(bare));
    assert_eq!(news("charge.dispute.dreamt", &object), CardNews::Other);
}

#[test]
fn what_is_signed_but_strange_is_kept_under_one_id() {
    let (first, again, other) = (opened("{}"), opened("{}"), opened("nonsense"));
    assert_eq!((first.news.clone(), first.event.as_str(), first.livemode), (CardNews::Other, "unreadable", None));
    assert_eq!(first, again);
    assert_ne!(first.event_id, other.event_id);
    for strange in [json!(null), json!([]), json!("pi_3Q"), json!({"id": 7})] {
        assert_eq!(news("payment_intent.succeeded", &strange), CardNews::Other, "{strange}");
    }
    let event = opened(r#"{"id":"evt_2","type":"ping","livemode":"?","created":"now"}"#);
    assert_eq!((event.event_id.as_str(), event.news, event.livemode), ("evt_2", CardNews::Other, None));
}

#[test]
fn without_a_secret_nothing_opens() {
    let unset = Stripe { webhook_secret: "".into(), ..stripe("http://stripe") };
    let mac = signature::hmac_sha256_hex(b"", format!("{AT}.{BODY}").as_bytes());
    let headers = vec![("stripe-signature".to_owned(), format!("t={AT},v1={mac}"))];
    assert_eq!(unset.open(&Delivery::new(Bytes::from(BODY), headers, ""), at(AT)), Err(Forged));
}
