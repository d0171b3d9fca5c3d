//! Passwords that are forgotten, reset and changed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use vitrine::ids::{EmailChangeId, ResetId};

use crate::auth::{PASSWORD, log_in, me, refresh, sign_up, signed};
use crate::shop::{Answer, Shop};

/// The newest reset's token, as the mail carries it.
async fn reset_token(shop: &Shop) -> String {
    shop.app.keys.reset_token(ResetId(shop.sql("SELECT id FROM password_resets ORDER BY id DESC LIMIT 1").await))
}

async fn forget(shop: &Shop, email: &str) {
    let answer = shop.post("/api/auth/forgot-password", &json!({"email": email})).await;
    assert_eq!((answer.status, answer.bytes.len()), (202, 0));
}

async fn reset(shop: &Shop, token: &str, password: &str) -> Answer {
    shop.post("/api/auth/reset-password", &json!({"token": token, "password": password})).await
}

#[actix_web::test]
async fn a_forgotten_password_is_replaced_once_and_every_session_ends() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    assert_eq!(me(&shop, &session).await, 200);
    forget(&shop, "ana@example.com").await;
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE kind = 'mail_password_reset'").await, 1);
    let token = reset_token(&shop).await;
    let kept: String = shop.sql("SELECT row_to_json(r)::text FROM password_resets r").await;
    assert!(!kept.contains(&token), "the token itself is kept nowhere");

    let weak = reset(&shop, &token, "password123").await;
    assert_eq!((weak.status, weak.invalid_fields()), (422, vec!["password"]), "a weak password does not use the token up");
    let answers = join_all((0..3).map(|_| reset(&shop, &token, "uma senha bem nova"))).await;
    assert_eq!(answers.iter().filter(|a| a.status == 204).count(), 1);
    assert_eq!(answers.iter().filter(|a| a.status == 422 && a.invalid_fields() == ["token"]).count(), 2);
    assert_eq!((me(&shop, &session).await, refresh(&shop, &session).await.status), (401, 401));
    assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 401);
    assert_eq!(log_in(&shop, "ana@example.com", "uma senha bem nova").await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn a_reset_token_that_is_forged_old_or_overtaken_does_nothing() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    forget(&shop, "ana@example.com").await;
    let overtaken = reset_token(&shop).await;
    forget(&shop, "ana@example.com").await;
    let token = reset_token(&shop).await;
    let (id, mac) = token.split_once('.').unwrap();
    let forged = [
        overtaken.clone(),
        format!("{id}.{}", overtaken.split_once('.').unwrap().1),
        format!("{id}."),
        mac.to_owned(),
        "x".into(),
    ];
    for token in &forged {
        assert_eq!(reset(&shop, token, "uma senha bem nova").await.invalid_fields(), ["token"], "{token}");
    }
    shop.execute("UPDATE password_resets SET expires_at = now() - interval '1 second'").await;
    assert_eq!(reset(&shop, &token, "uma senha bem nova").await.status, 422, "after an hour");

    forget(&shop, "ana@example.com").await;
    let token = reset_token(&shop).await;
    let new = json!({"email": "nova@example.com", "current_password": PASSWORD});
    let moved = signed(&shop, &session, "PATCH", "/api/users/me").json(&new).send().await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    let confirm = shop.app.keys.email_change_token(EmailChangeId(shop.sql("SELECT id FROM email_changes").await));
    assert_eq!(shop.post("/api/auth/verify-email", &json!({"token": confirm})).await.status, 204);
    assert_eq!(
        reset(&shop, &token, "uma senha bem nova").await.status,
        422,
        "it was mailed to an address that is not hers any more"
    );
    assert_eq!(log_in(&shop, "nova@example.com", PASSWORD).await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn asking_for_a_reset_does_not_tell_who_has_an_account_nor_flood_a_mailbox() {
    let shop = Shop::open().await;
    sign_up(&shop, "ana@example.com").await;
    sign_up(&shop, "blocked@example.com").await;
    shop.execute("UPDATE users SET blocked_at = now() WHERE email = 'blocked@example.com'").await;
    let before = shop.row_counts().await;
    for email in ["nobody@example.com", "blocked@example.com"] {
        let start = Instant::now();
        forget(&shop, email).await;
        assert!(start.elapsed() >= Duration::from_millis(200), "no answer comes sooner than the slow one");
    }
    assert_eq!(shop.row_counts().await, before);
    for _ in 0..7 {
        forget(&shop, "ana@example.com").await;
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM password_resets").await, 5);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM password_resets WHERE used_at IS NULL").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn changing_the_password_keeps_this_session_and_ends_the_others() {
    let shop = Shop::open().await;
    let here = sign_up(&shop, "ana@example.com").await;
    let there = log_in(&shop, "ana@example.com", PASSWORD).await;
    assert_eq!(me(&shop, &there).await, 200);
    let change = |current: &str, new: &str| {
        signed(&shop, &here, "POST", "/api/auth/change-password")
            .json(&json!({"current_password": current, "password": new}))
            .send()
    };
    let wrong = change("another password", "uma senha bem nova").await;
    assert_eq!((wrong.status, wrong.invalid_fields()), (422, vec!["current_password"]));
    assert_eq!(change(PASSWORD, "12345678").await.invalid_fields(), ["password"]);
    assert_eq!(me(&shop, &there).await, 200, "a refused change ends nothing");
    assert_eq!(change(PASSWORD, "uma senha bem nova").await.status, 204);
    assert_eq!((me(&shop, &here).await, me(&shop, &there).await, refresh(&shop, &there).await.status), (200, 401, 401));
    assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 401);
    assert_eq!(log_in(&shop, "ana@example.com", "uma senha bem nova").await.status, 200);
    shop.close().await;
}
