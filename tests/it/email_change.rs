//! A new e-mail for an account, and the notices about what a thief would change.

use futures_util::future::join;
use serde_json::{Value, json};

use crate::auth::{PASSWORD, log_in, sign_up, signed};
use crate::shop::{Answer, Shop};

const OLD: &str = "ana@example.com";
const NEW: &str = "ana.nova@example.com";

async fn change(shop: &Shop, session: &Answer, body: &Value) -> Answer {
    signed(shop, session, "PATCH", "/api/users/me").json(body).send().await
}

fn to_new() -> Value {
    json!({"email": NEW, "current_password": PASSWORD})
}

fn subjects(shop: &Shop, to: &str) -> Vec<String> {
    shop.control().mails_to(to).into_iter().map(|mail| mail.subject).collect()
}

/// The token in the newest mail with such a link.
fn mailed_token(shop: &Shop, to: &str, page: &str) -> String {
    let start = format!("/{page}?token=");
    let mails = shop.control().mails_to(to);
    let text = mails.iter().rev().filter_map(|mail| mail.text.as_deref()).find(|text| text.contains(&start)).expect("a link");
    text.split_once(&start).unwrap().1.split_whitespace().next().unwrap().to_owned()
}

async fn confirm(shop: &Shop, token: &str) -> Answer {
    shop.post("/api/auth/verify-email", &json!({"token": token})).await
}

#[actix_web::test]
async fn a_new_email_counts_once_its_mailbox_was_read_and_the_old_one_is_told() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, OLD).await;
    let begun = change(&shop, &session, &to_new()).await;
    assert_eq!(
        (begun.status, &begun.body["email"], &begun.body["pending_email"]),
        (200, &json!(OLD), &json!(NEW)),
        "{}",
        begun.body
    );
    let seen = signed(&shop, &session, "GET", "/api/users/me").send().await;
    assert_eq!((&seen.body["email"], &seen.body["pending_email"]), (&json!(OLD), &json!(NEW)));
    shop.drain().await;
    assert_eq!(log_in(&shop, NEW, PASSWORD).await.status, 401, "it is nobody's yet");
    assert_eq!(subjects(&shop, OLD).len(), 1, "the welcome alone");
    shop.post("/api/auth/forgot-password", &json!({"email": OLD})).await;
    let token = mailed_token(&shop, NEW, "confirmar-email");
    let kept: Option<String> = shop.sql("SELECT body FROM messages WHERE kind = 'email_confirm'").await;
    assert_eq!(kept, None, "whoever reads the table cannot confirm it");
    assert_eq!(confirm(&shop, &token).await.status, 204);
    shop.drain().await;
    assert_eq!(log_in(&shop, NEW, PASSWORD).await.status, 200);
    assert_eq!(log_in(&shop, OLD, PASSWORD).await.status, 401);
    let told = subjects(&shop, OLD);
    assert!(told.last().unwrap().starts_with("Seu e-mail foi alterado"), "{told:?}");
    let notice = shop.control().mails_to(OLD).pop().unwrap().text.unwrap();
    assert!(!notice.contains(NEW) && notice.contains("@example.com"), "the new address is masked: {notice}");
    let resets: i64 = shop.sql("SELECT count(*) FROM password_resets WHERE used_at IS NULL").await;
    assert_eq!(resets, 0, "a reset that was mailed to the old address ends");
    let again = confirm(&shop, &token).await;
    assert_eq!((again.status, again.invalid_fields()), (422, vec!["token"]));
    shop.close().await;
}

#[actix_web::test]
async fn a_new_email_needs_the_password_and_nothing_else_of_a_refused_change_is_made() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, OLD).await;
    for body in
        [json!({"email": NEW, "name": "Outra"}), json!({"email": NEW, "name": "Outra", "current_password": "not the password"})]
    {
        let refused = change(&shop, &session, &body).await;
        assert_eq!((refused.status, refused.invalid_fields()), (422, vec!["current_password"]), "{}", refused.body);
        let put = signed(&shop, &session, "PUT", "/api/users/me").json(&body).send().await;
        assert_eq!((put.status, put.invalid_fields()), (422, vec!["current_password"]));
    }
    let kept: String = shop.sql("SELECT name || ' ' || email FROM users").await;
    assert_eq!(kept, format!("Ana Silva {OLD}"));
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM email_changes").await, 0);
    let same = change(&shop, &session, &json!({"email": "ANA@example.com", "name": "Ana Souza"})).await;
    assert_eq!((same.status, &same.body["pending_email"]), (200, &Value::Null), "the same e-mail is no change");
    shop.close().await;
}

#[actix_web::test]
async fn whether_an_email_has_an_account_is_not_learnt_by_changing_to_it() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, OLD).await;
    sign_up(&shop, NEW).await;
    shop.drain().await;
    let before = subjects(&shop, NEW).len();
    let begun = change(&shop, &session, &to_new()).await;
    assert_eq!((begun.status, &begun.body["pending_email"]), (200, &json!(NEW)), "as for a free one");
    shop.drain().await;
    assert_eq!(subjects(&shop, NEW).len(), before, "nobody is written to");
    shop.close().await;
}

#[actix_web::test]
async fn of_several_changes_only_the_last_link_works_and_for_an_hour() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, OLD).await;
    change(&shop, &session, &to_new()).await;
    shop.drain().await;
    let first = mailed_token(&shop, NEW, "confirmar-email");
    change(&shop, &session, &json!({"email": "terceira@example.com", "current_password": PASSWORD})).await;
    shop.drain().await;
    assert_eq!(confirm(&shop, &first).await.status, 422);
    let second = mailed_token(&shop, "terceira@example.com", "confirmar-email");
    shop.execute("UPDATE email_changes SET expires_at = now() - interval '1 second'").await;
    assert_eq!(confirm(&shop, &second).await.status, 422);
    for _ in 0..3 {
        assert_eq!(change(&shop, &session, &to_new()).await.status, 200);
    }
    assert_eq!(change(&shop, &session, &to_new()).await.status, 429, "five an hour");
    shop.close().await;
}

#[actix_web::test]
async fn two_accounts_that_confirm_one_email_at_once_do_not_both_get_it() {
    let shop = Shop::open().await;
    let mut tokens = Vec::new();
    for email in [OLD, "eva@example.com"] {
        let session = sign_up(&shop, email).await;
        change(&shop, &session, &to_new()).await;
        shop.drain().await;
        tokens.push(mailed_token(&shop, NEW, "confirmar-email"));
    }
    let (one, other) = join(confirm(&shop, &tokens[0]), confirm(&shop, &tokens[1])).await;
    let mut got = [one.status, other.status];
    got.sort_unstable();
    assert_eq!(got, [204, 409], "{} {}", one.body, other.body);
    assert_eq!(shop.sql::<i64>(&format!("SELECT count(*) FROM users WHERE email = '{NEW}'")).await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_changed_password_is_told_whichever_way_it_was_changed() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, OLD).await;
    let new = json!({"current_password": PASSWORD, "password": "uma senha bem nova"});
    assert_eq!(signed(&shop, &session, "POST", "/api/auth/change-password").json(&new).send().await.status, 204);
    shop.drain().await;
    shop.post("/api/auth/forgot-password", &json!({"email": OLD})).await;
    shop.drain().await;
    let reset = json!({"token": mailed_token(&shop, OLD, "redefinir-senha"), "password": "outra senha bem nova"});
    assert_eq!(shop.post("/api/auth/reset-password", &reset).await.status, 204);
    shop.drain().await;
    let told = subjects(&shop, OLD).into_iter().filter(|subject| subject.starts_with("Sua senha foi alterada")).count();
    assert_eq!(told, 2);
    shop.close().await;
}
