use bytes::Bytes;
use secrecy::SecretString;
use vitrine_kit::shipping::Stage;
use vitrine_kit::{Delivery, Forged};

use super::*;

const WEBHOOK: &str = include_str!("../fixtures/webhook.json");

fn secret() -> SecretString {
    "app-secret".into()
}

fn delivery(body: &str, signature: Option<&str>) -> Delivery {
    let headers = signature.map(|s| ("X-ME-Signature".to_owned(), s.to_owned())).into_iter().collect();
    Delivery::new(Bytes::from(body.to_owned()), headers, "")
}

fn now() -> jiff::Timestamp {
    "2026-10-09T00:00:00Z".parse().expect("a time")
}

fn news(body: &str) -> News {
    reread(&Bytes::from(body.to_owned()), now())
}

#[test]
fn the_documented_signature_is_believed_and_no_other() {
    let body = r#"{"event":"order.posted","data":{"id":"9a1b"}}"#;
    let signature = "INtUwD4jnwWiFltC+9HLj9yHC3mnoGJMC0VSmMkP684=";
    let opened = open_webhook(&secret(), &delivery(body, Some(signature)), now());
    assert!(matches!(opened, Ok(Notice::News(ref news)) if news.event == "order.posted"), "{opened:?}");
    let hex = "20db54c03e239f05a2165b42fbd1cb8fdc870b79a7a0624c0b4552985c90f3af";
    for (body, given) in [(body, ""), (body, hex), (body, &signature[..20]), (&body[1..], signature), ("", signature)] {
        assert_eq!(open_webhook(&secret(), &delivery(body, Some(given)), now()), Err(Forged), "{given}");
    }
    assert_eq!(open_webhook(&"other".into(), &delivery(body, Some(signature)), now()), Err(Forged));
}

#[test]
fn without_a_signature_it_is_only_tried_out() {
    for body in ["", WEBHOOK, "{}"] {
        assert_eq!(open_webhook(&secret(), &delivery(body, None), now()), Ok(Notice::Ping));
    }
}

#[test]
fn news_tell_whose_they_are_what_happened_and_when() {
    let News { event_id, event, label, tells, .. } = news(WEBHOOK);
    assert_eq!(event_id, "9a1b7d5e-1f77-4a0c-9f13-5cf6a1a6f001:order.posted:2026-10-02T19:20:00Z");
    let label = label.expect("a label");
    assert_eq!(
        (event.as_str(), label.tags.as_slice()),
        ("order.posted", ["0192aaaa-0000-7000-8000-000000000001".to_owned()].as_slice())
    );
    assert_eq!((label.status, label.tracking.as_deref()), (LabelStatus::Posted, Some("AA123456785BR")));
    let tells = tells.expect("news for the buyer");
    assert_eq!(
        (tells.code.as_str(), tells.stage, tells.happened_at.to_string().as_str()),
        ("posted", Some(Stage::Posted), "2026-10-02T19:20:00Z")
    );
}

#[test]
fn a_repeat_is_the_same_event_and_another_day_another_one() {
    let again = WEBHOOK.replace(r#""status":"posted""#, r#""status":"generated""#); // their status may lag behind
    assert_eq!(news(WEBHOOK).event_id, news(&again).event_id);
    assert_ne!(news(WEBHOOK).event_id, news(&WEBHOOK.replace("19:20", "19:21")).event_id);
    // An event without a time is identified by its bytes.
    let tried = |day: &str| {
        format!(r#"{{"event":"order.undelivered","data":{{"id":"9a1b","status":"undelivered","updated_at":"{day}"}}}}"#)
    };
    assert_eq!(news(&tried("2026-10-08 10:00:00")).event_id, news(&tried("2026-10-08 10:00:00")).event_id);
    assert_ne!(news(&tried("2026-10-08 10:00:00")).event_id, news(&tried("2026-10-09 10:00:00")).event_id);
    let tells = news(&tried("2026-10-08 10:00:00")).tells.expect("news");
    assert_eq!((tells.stage, tells.happened_at.to_string().as_str()), (Some(Stage::Undelivered), "2026-10-08T13:00:00Z"));
}

#[test]
fn what_concerns_the_shop_alone_or_makes_no_sense_is_kept_and_tells_nobody() {
    for event in ["order.created", "order.pending", "order.released", "order.cancelled", "order.ready-to-print"] {
        let news = news(&format!(r#"{{"event":"{event}","data":{{"id":"9a1b"}}}}"#));
        assert_eq!((news.event.as_str(), news.tells, news.label.is_some()), (event, None, true));
    }
    for strange in [
        "",
        "[]",
        "{}",
        r#"{"event":"order.posted"}"#,
        r#"{"event":"order.posted","data":{}}"#,
        r#"{"event":7,"data":{"id":"9"}}"#,
    ] {
        let news = news(strange);
        assert_eq!((news.event.as_str(), news.tells, news.label), ("unknown", None, None), "{strange}");
    }
    assert_ne!(news("{}").event_id, news("[]").event_id);
}

#[test]
fn the_event_says_more_than_a_status_that_lags_behind() {
    let status = |event: &str| news(&format!(r#"{{"event":"{event}","data":{{"id":"9","status":"generated"}}}}"#)).status;
    assert_eq!(status("order.delivered"), LabelStatus::Delivered);
    assert_eq!(status("order.ready-to-print"), LabelStatus::Generated);
}
