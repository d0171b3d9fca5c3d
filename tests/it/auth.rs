//! Registration, sign-in, sign-out, and the end of sessions.

use std::time::Instant;

use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Answer, CPF, Request, Shop};

pub const PASSWORD: &str = "girassol na janela";

/// A person with a real password, signed in.
pub async fn sign_up(shop: &Shop, email: &str) -> Answer {
    let answer = shop.post("/api/auth/register", &json!({"name": "Ana Silva", "email": email, "password": PASSWORD})).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer
}

pub async fn log_in(shop: &Shop, email: &str, password: &str) -> Answer {
    shop.post("/api/auth/login", &json!({"email": email, "password": password})).await
}

pub fn signed(shop: &Shop, session: &Answer, method: &str, path: &str) -> Request {
    shop.request(method, path).header("Authorization", &format!("Bearer {}", session.body["token"].as_str().unwrap()))
}

pub async fn me(shop: &Shop, session: &Answer) -> u16 {
    signed(shop, session, "GET", "/api/users/me").send().await.status
}

pub async fn refresh(shop: &Shop, session: &Answer) -> Answer {
    shop.post("/api/auth/refresh", &json!({"refresh_token": session.body["refresh_token"]})).await
}

/// The parts of a problem that must be equal in two refusals.
fn told(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    json!([answer.status, body])
}

#[actix_web::test]
async fn who_registers_is_signed_in_and_the_document_is_never_shown_whole() {
    let shop = Shop::open().await;
    let new =
        json!({"name": " Ana Silva ", "email": "Ana@Example.com", "password": PASSWORD, "cpf": CPF, "phone": "(11) 99999-0000"});
    let session = shop.post("/api/auth/register", &new).await;
    assert_eq!(session.status, 201, "{}", session.body);
    assert_eq!((&session.body["token_type"], &session.body["expires_in"]), (&json!("Bearer"), &json!(86_400)));
    let user = &session.body["user"];
    assert_eq!((&user["name"], &user["email"], &user["role"]), (&json!("Ana Silva"), &json!("ana@example.com"), &json!("user")));
    assert_eq!((&user["cpf"], &user["phone"]), (&json!("***.982.247-**"), &json!("+5511999990000")));
    assert_eq!(session.header("cache-control"), Some("no-store"));
    for path in ["/api/users/me", "/api/auth/me", "/api/v1/users/me"] {
        assert_eq!(&signed(&shop, &session, "GET", path).send().await.body, user, "{path}");
    }
    let kept: String = shop.sql("SELECT row_to_json(u)::text || encode(u.tax_id_sealed, 'escape') FROM users u").await;
    assert!(!kept.contains("52998224725") && !kept.contains(PASSWORD) && kept.contains("$argon2id$"));
    shop.close().await;
}

#[actix_web::test]
async fn the_refresh_cookie_cannot_be_read_by_scripts_and_goes_nowhere_else() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let cookies: Vec<&str> = session
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .filter(|c| !c.starts_with("vitrine_device="))
        .collect();
    let token = session.body["refresh_token"].as_str().unwrap();
    let cookie = |path: &str| format!("vitrine_refresh={token}; HttpOnly; SameSite=Lax; Path={path}; Max-Age=604800");
    assert_eq!(cookies, [cookie("/api/auth"), cookie("/api/v1/auth")]);
    shop.close().await;

    let shop = Shop::open_with(&[("PUBLIC_URL", "https://loja.test")]).await;
    let session = sign_up(&shop, "ana@example.com").await;
    assert!(session.header("set-cookie").unwrap().contains("; Secure"), "behind https the cookie never travels in the clear");
    shop.close().await;
}

#[actix_web::test]
async fn a_registration_with_wrong_fields_names_them_and_leaves_nothing() {
    let shop = Shop::open().await;
    sign_up(&shop, "taken@example.com").await;
    let before = shop.row_counts().await;
    let good = json!({"name": "Ana", "email": "ana@example.com", "password": PASSWORD});
    let long = "a".repeat(1001);
    for (field, value) in [
        ("name", json!("  ")),
        ("name", json!("a\nb")),
        ("email", json!("ana")),
        ("password", json!("1234567")),
        ("password", json!(long)),
        ("password", json!("password123")),
        ("password", json!("Ana@example.com")),
        ("cpf", json!("529.982.247-24")),
        ("phone", json!("123")),
        ("role", json!("admin")),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer = shop.post("/api/auth/register", &body).await;
        assert_eq!((answer.status, answer.invalid_fields()), (422, vec![field]), "{}", answer.body);
    }
    let taken =
        shop.post("/api/auth/register", &json!({"name": "Eva", "email": "TAKEN@example.com", "password": PASSWORD})).await;
    assert_eq!((taken.status, taken.slug()), (409, "conflict"));
    assert_eq!(shop.row_counts().await, before);
    shop.close().await;
}

#[actix_web::test]
async fn of_two_who_register_one_e_mail_at_once_one_gets_it() {
    let shop = Shop::open().await;
    let new = json!({"name": "Ana", "email": "ana@example.com", "password": PASSWORD});
    let mut statuses: Vec<u16> =
        join_all((0..4).map(|_| shop.post("/api/auth/register", &new))).await.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    shop.close().await;
}

#[actix_web::test]
async fn a_passphrase_of_a_thousand_bytes_works() {
    let shop = Shop::open().await;
    let long = "x".repeat(1000);
    let new = json!({"name": "Ana", "email": "ana@example.com", "password": long});
    assert_eq!(shop.post("/api/auth/register", &new).await.status, 201);
    assert_eq!(log_in(&shop, "ana@example.com", &long).await.status, 200);
    assert_eq!(log_in(&shop, "ana@example.com", &long[..999]).await.status, 401);
    shop.close().await;
}

#[actix_web::test]
async fn whoever_may_not_sign_in_is_told_the_same() {
    let shop = Shop::open().await;
    for email in ["ana@example.com", "blocked@example.com", "totp@example.com"] {
        sign_up(&shop, email).await;
    }
    shop.execute("UPDATE users SET blocked_at = now() WHERE email = 'blocked@example.com'").await;
    shop.execute("UPDATE users SET totp_sealed = '\\x00', totp_key = 1 WHERE email = 'totp@example.com'").await;
    let wrong = log_in(&shop, "ana@example.com", "another password").await;
    assert_eq!((wrong.status, wrong.slug()), (401, "unauthorized"));
    for email in ["nobody@example.com", "blocked@example.com", "totp@example.com"] {
        assert_eq!(told(&log_in(&shop, email, PASSWORD).await), told(&wrong), "{email}");
    }
    let with_code = json!({"email": "ana@example.com", "password": PASSWORD, "totp": "123456"});
    assert_eq!(shop.post("/api/auth/login", &with_code).await.status, 200, "the field is accepted");
    shop.close().await;
}

#[actix_web::test]
async fn an_unknown_e_mail_takes_as_long_as_a_wrong_password() {
    let shop = Shop::open().await;
    sign_up(&shop, "ana@example.com").await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        for (email, times) in [("ana@example.com", &mut known), ("nobody@example.com", &mut unknown)] {
            let start = Instant::now();
            assert_eq!(log_in(&shop, email, "another password").await.status, 401);
            times.push(start.elapsed());
        }
    }
    known.sort_unstable();
    unknown.sort_unstable();
    // Without the decoy hash an unknown e-mail would take a hundredth of the time.
    assert!(unknown[2] * 2 > known[2] && known[2] * 2 > unknown[2], "{unknown:?} {known:?}");
    shop.close().await;
}

#[actix_web::test]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_family() {
    let shop = Shop::open().await;
    let first = sign_up(&shop, "ana@example.com").await;
    let elsewhere = log_in(&shop, "ana@example.com", PASSWORD).await;
    let second = refresh(&shop, &first).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert_eq!(second.body["user"], first.body["user"]);
    let third = refresh(&shop, &second).await;
    assert_eq!((third.status, me(&shop, &third).await, me(&shop, &first).await), (200, 200, 200));

    let stolen = refresh(&shop, &first).await;
    assert_eq!((stolen.status, stolen.slug()), (401, "unauthorized"));
    assert_eq!(refresh(&shop, &third).await.status, 401, "the newest token of the family is dead too");
    for ended in [&first, &second, &third] {
        assert_eq!(me(&shop, ended).await, 401, "and so are its access tokens, at once");
    }
    assert_eq!((me(&shop, &elsewhere).await, refresh(&shop, &elsewhere).await.status), (200, 200), "other devices go on");
    let reason: String = shop.sql("SELECT revoked_reason FROM sessions WHERE revoked_at IS NOT NULL").await;
    assert_eq!(reason, "reuse");
    shop.close().await;
}

#[actix_web::test]
async fn twenty_tabs_that_refresh_at_once_get_the_same_next_token_and_stay_signed_in() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let answers = join_all((0..20).map(|_| refresh(&shop, &session))).await;
    let next = &answers[0].body["refresh_token"];
    for answer in &answers {
        assert_eq!((answer.status, &answer.body["refresh_token"]), (200, next), "{}", answer.body);
        assert_eq!(me(&shop, answer).await, 200);
    }
    assert_ne!(next, &session.body["refresh_token"]);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM refresh_tokens").await, 2);
    assert_eq!(refresh(&shop, &answers[19]).await.status, 200, "and any of them goes on");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM sessions WHERE revoked_at IS NOT NULL").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_refresh_token_that_is_used_again_later_was_copied_and_nobody_keeps_the_session() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let next = refresh(&shop, &session).await;
    shop.execute("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'").await;
    assert_eq!(refresh(&shop, &session).await.status, 401);
    assert_eq!((refresh(&shop, &next).await.status, me(&shop, &next).await), (401, 401));
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM sessions WHERE revoked_reason = 'reuse'").await, 1);
    shop.close().await;
}

#[actix_web::test]
async fn a_twin_of_somebody_who_was_blocked_or_signed_out_meanwhile_gets_nothing() {
    let shop = Shop::open().await;
    for end in ["UPDATE users SET blocked_at = now()", "UPDATE sessions SET revoked_at = now(), revoked_reason = 'logout'"] {
        shop.execute("UPDATE users SET blocked_at = NULL").await;
        let session = sign_up(&shop, &format!("ana{}@example.com", end.len())).await;
        assert_eq!(refresh(&shop, &session).await.status, 200);
        shop.execute(&format!("{end} WHERE {}", if end.contains("users") { "true" } else { "revoked_at IS NULL" })).await;
        assert_eq!(refresh(&shop, &session).await.status, 401, "{end}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_cookie_refreshes_as_well_as_the_body() {
    let shop = Shop::open().await;
    let mut token = sign_up(&shop, "ana@example.com").await.body["refresh_token"].as_str().unwrap().to_owned();
    for (path, body) in [("/api/auth/refresh", None), ("/api/v1/auth/refresh", Some(json!({})))] {
        let mut request = shop.request("POST", path).header("Cookie", &format!("vitrine_refresh={token}"));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        token = answer.body["refresh_token"].as_str().unwrap().to_owned();
    }
    assert_eq!(shop.request("POST", "/api/auth/refresh").send().await.status, 401);
    let unknown = shop.post("/api/auth/refresh", &json!({"token": token})).await;
    assert_eq!((unknown.status, unknown.invalid_fields()), (422, vec!["token"]));
    shop.close().await;
}

#[actix_web::test]
async fn an_expired_refresh_token_is_refused_and_ends_nothing() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    shop.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'").await;
    assert_eq!((refresh(&shop, &session).await.status, me(&shop, &session).await), (401, 200));
    shop.close().await;
}

#[actix_web::test]
async fn logging_out_ends_this_session_alone() {
    let shop = Shop::open().await;
    let here = sign_up(&shop, "ana@example.com").await;
    let there = log_in(&shop, "ana@example.com", PASSWORD).await;
    assert_eq!(me(&shop, &here).await, 200);
    let out = signed(&shop, &here, "POST", "/api/auth/logout").send().await;
    assert_eq!(out.status, 204);
    assert!(
        out.header("set-cookie").unwrap().starts_with("vitrine_refresh=; ")
            && out.header("set-cookie").unwrap().contains("Max-Age=0")
    );
    assert_eq!((me(&shop, &here).await, refresh(&shop, &here).await.status), (401, 401));
    assert_eq!((me(&shop, &there).await, refresh(&shop, &there).await.status), (200, 200));
    assert_eq!(shop.request("POST", "/api/auth/logout").send().await.status, 401);
    shop.close().await;
}

#[actix_web::test]
async fn a_token_that_we_did_not_make_for_now_and_for_this_is_refused() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let real = session.body["token"].as_str().unwrap();
    let claims = shop.app.tokens.read(real).unwrap();
    let now = jiff::Timestamp::now().as_second();
    let good = json!({"sub": claims.sub, "role": "user", "sid": claims.sid, "aud": ["vitrine"], "iat": now, "exp": now + 60, "jti": Uuid::new_v4()});
    let key = EncodingKey::from_secret(shop.app.config.auth.jwt_secret.expose_secret().as_bytes());
    let make = |alg, claims: &Value, key: &EncodingKey| encode(&Header::new(alg), claims, key).unwrap();
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        claims
    };
    let parts: Vec<&str> = real.split('.').collect();
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]); // {"alg":"none","typ":"JWT"}
    let forged = [
        none,
        make(Algorithm::HS384, &good, &key),
        make(Algorithm::HS256, &good, &EncodingKey::from_secret(b"another secret of some thirty-two bytes")),
        make(Algorithm::HS256, &with("aud", json!(["other"])), &key),
        make(Algorithm::HS256, &with("aud", Value::Null), &key),
        make(Algorithm::HS256, &with("exp", json!(now - 60)), &key),
        make(Algorithm::HS256, &with("sid", json!(Uuid::now_v7())), &key),
        make(Algorithm::HS256, &with("sub", json!(Uuid::now_v7())), &key),
        String::new(),
    ];
    let ask = |token: &str| shop.request("GET", "/api/users/me").header("Authorization", &format!("Bearer {token}")).send();
    for token in &forged {
        assert_eq!(ask(token).await.status, 401, "{token}");
    }
    assert_eq!(ask(&make(Algorithm::HS256, &good, &key)).await.status, 200, "the forgeries fail by what is wrong with them");
    assert_eq!(ask(&make(Algorithm::HS256, &with("role", json!("admin")), &key)).await.status, 200);
    let escalated = make(Algorithm::HS256, &with("role", json!("admin")), &key);
    let list = shop.request("GET", "/api/admin/users").header("Authorization", &format!("Bearer {escalated}")).send().await;
    assert_eq!(list.status, 403, "the role is the database's, not the token's");
    shop.close().await;
}

#[actix_web::test]
async fn guessing_is_slowed_down_per_address() {
    let limits = [("RATE_LIMIT_LOGIN", "2/1h"), ("RATE_LIMIT_REGISTER", "1/1h"), ("RATE_LIMIT_FORGOT_PASSWORD", "1/1h")];
    let shop = Shop::open_with(&limits).await;
    sign_up(&shop, "ana@example.com").await;
    let over = |answer: Answer| {
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert_eq!((answer.status, answer.slug()), (429, "too-many-requests"));
        assert!((1..=3600).contains(&wait));
    };
    over(shop.post("/api/auth/register", &json!({"name": "Eva", "email": "eva@example.com", "password": PASSWORD})).await);
    for _ in 0..2 {
        assert_eq!(log_in(&shop, "ana@example.com", "another password").await.status, 401);
    }
    over(log_in(&shop, "ana@example.com", PASSWORD).await);
    let forgot = json!({"email": "ana@example.com"});
    assert_eq!(shop.post("/api/auth/forgot-password", &forgot).await.status, 202);
    over(shop.post("/api/auth/forgot-password", &forgot).await);
    shop.close().await;
}

#[actix_web::test]
async fn signing_in_brings_the_guests_cart_along() {
    let shop = Shop::open().await;
    let (shirt, mug) = (shop.product("Camiseta").create().await, shop.product("Caneca").create().await);
    let new = json!({"name": "Ana", "email": "ana@example.com", "password": PASSWORD});
    let first = shop.guest_cart(&[(&shirt, 2)]).await;
    let session = shop.request("POST", "/api/auth/register").header("X-Cart-Token", &first).json(&new).send().await;
    assert_eq!(session.status, 201, "{}", session.body);
    let second = shop.guest_cart(&[(&shirt, 1), (&mug, 1)]).await;
    let session = shop
        .request("POST", "/api/auth/login")
        .header("Cookie", &format!("vitrine_cart={second}"))
        .json(&json!({"email": "ana@example.com", "password": PASSWORD}))
        .send()
        .await;
    assert_eq!(session.status, 200, "{}", session.body);
    let cart = signed(&shop, &session, "GET", "/api/cart").send().await;
    let mut lines: Vec<(&str, i64)> = cart.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| (i["name"].as_str().unwrap(), i["quantity"].as_i64().unwrap()))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, [("Camiseta", 3), ("Caneca", 1)]);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM carts").await, 1, "the guest's carts are gone");

    let third = shop.guest_cart(&[(&mug, 1)]).await;
    shop.execute("ALTER TABLE cart_items RENAME TO cart_items_away").await;
    let answer = shop
        .request("POST", "/api/auth/login")
        .header("X-Cart-Token", &third)
        .json(&json!({"email": "ana@example.com", "password": PASSWORD}))
        .send()
        .await;
    shop.execute("ALTER TABLE cart_items_away RENAME TO cart_items").await;
    assert_eq!(answer.status, 200, "a cart is no reason to refuse somebody in");
    assert_eq!(shop.request("GET", "/api/cart").header("X-Cart-Token", &third).send().await.body["items"][0]["quantity"], 1);
    shop.close().await;
}
