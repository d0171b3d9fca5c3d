//! `/api/admin/users`: search, roles and blocking.

use serde_json::{Value, json};

use crate::auth::{PASSWORD, log_in, sign_up, signed};
use crate::shop::{Customer, Shop};

async fn names(admin: &Customer<'_>, query: &str) -> (Vec<String>, Value) {
    let list = admin.get(&format!("/api/admin/users{query}")).await;
    assert_eq!(list.status, 200, "{}", list.body);
    let names = list.body["items"].as_array().unwrap().iter().map(|u| u["name"].as_str().unwrap().to_owned()).collect();
    (names, list.body)
}

#[actix_web::test]
async fn people_are_found_by_name_e_mail_and_role() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for (n, name) in ["João Conceição", "Maria 100% Real", "Eva"].iter().enumerate() {
        let person = shop.customer().await;
        shop.execute(&format!(
            "UPDATE users SET name = '{name}', created_at = now() + interval '{n} seconds', email = 'p{n}@loja.test' WHERE id = '{}'",
            person.id
        ))
        .await;
    }
    let (all, body) = names(&admin, "").await;
    assert_eq!(all, ["Eva", "Maria 100% Real", "João Conceição", "Ana Silva"], "the newest first");
    assert_eq!((&body["total"], &body["next_cursor"]), (&json!(4), &Value::Null));
    for (query, expected) in [
        ("?q=conceicao", vec!["João Conceição"]),
        ("?q=JO%C3%83O", vec!["João Conceição"]),
        ("?q=P1%40loja", vec!["Maria 100% Real"]),
        ("?q=0%25", vec!["Maria 100% Real"]),
        ("?q=_", vec![]),
        ("?role=admin", vec!["Ana Silva"]),
        ("?role=admin&q=eva", vec![]),
        ("?limit=2&offset=1", vec!["Maria 100% Real", "João Conceição"]),
    ] {
        assert_eq!(names(&admin, query).await.0, expected, "{query}");
    }
    let (mut walked, mut query) = (Vec::new(), "?limit=1".to_owned());
    for _ in 0..4 {
        let (page, body) = names(&admin, &query).await;
        walked.extend(page);
        query = format!("?limit=1&cursor={}", body["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!(walked, all, "the cursor neither skips nor repeats");
    assert!(query.ends_with("cursor="), "and ends");
    for bad in ["?role=king", "?limit=0", "?cursor=x", "?unknown=1"] {
        assert_eq!(admin.get(&format!("/api/admin/users{bad}")).await.status, 422, "{bad}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn only_administrators_see_or_change_people() {
    let shop = Shop::open().await;
    let (ana, eva) = (shop.customer().await, shop.customer().await);
    let one = format!("/api/admin/users/{}", ana.id);
    for (method, path) in [
        ("GET", "/api/admin/users".to_owned()),
        ("GET", one.clone()),
        ("PATCH", format!("{one}/role")),
        ("PUT", format!("{one}/role")),
        ("POST", format!("{one}/block")),
        ("PATCH", format!("{one}/block")),
        ("POST", format!("{one}/unblock")),
        ("PATCH", format!("{one}/unblock")),
    ] {
        let body = json!({"role": "admin"});
        assert_eq!(eva.request(method, &path).json(&body).send().await.status, 403, "{method} {path}");
        assert_eq!(shop.request(method, &path).json(&body).send().await.status, 401, "{method} {path}");
    }
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM users WHERE role <> 'user' OR blocked_at IS NOT NULL").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_new_role_counts_at_once_and_is_told_in_the_log() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let id = session.body["user"]["id"].as_str().unwrap();
    let role = format!("/api/admin/users/{id}/role");
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 200);
    let promoted = admin.patch(&role, &json!({"role": "admin"})).await;
    assert_eq!((promoted.status, &promoted.body["role"]), (200, &json!("admin")));
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 401, "the old session had the old role");
    let session = log_in(&shop, "ana@example.com", PASSWORD).await;
    assert_eq!(signed(&shop, &session, "GET", "/api/admin/users").send().await.status, 200);

    assert_eq!(admin.put(&role, &json!({"role": "admin"})).await.status, 200, "again: nothing to do");
    assert_eq!(signed(&shop, &session, "GET", "/api/admin/users").send().await.status, 200);
    assert_eq!(admin.patch(&role, &json!({"role": "king"})).await.invalid_fields(), ["role"]);
    let told: String =
        shop.sql("SELECT string_agg(concat_ws(' ', actor, action, entity_id, before, after), ';') FROM audit_log").await;
    assert_eq!(told, format!("admin:{} user.role {id} {{\"role\": \"user\"}} {{\"role\": \"admin\"}}", admin.id));
    shop.close().await;
}

#[actix_web::test]
async fn a_blocked_person_is_out_at_once_until_unblocked() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let one = format!("/api/admin/users/{}", session.body["user"]["id"].as_str().unwrap());
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 200);
    let blocked = admin.post(&format!("{one}/block"), &json!({})).await;
    assert_eq!(blocked.status, 200, "{}", blocked.body);
    assert!(blocked.body["blocked_at"].is_string());
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 401);
    let refresh = json!({"refresh_token": session.body["refresh_token"]});
    assert_eq!(shop.post("/api/auth/refresh", &refresh).await.status, 401);
    assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 401);

    assert_eq!(admin.patch(&format!("{one}/unblock"), &json!({})).await.body["blocked_at"], Value::Null);
    assert_eq!(log_in(&shop, "ana@example.com", PASSWORD).await.status, 200);
    assert_eq!(signed(&shop, &session, "GET", "/api/users/me").send().await.status, 401, "what was ended stays ended");
    let actions: String = shop.sql("SELECT string_agg(action, ' ' ORDER BY id) FROM audit_log").await;
    assert_eq!(actions, "user.block user.unblock");
    assert_eq!(admin.post("/api/admin/users/0192f0bb-0000-7000-8000-000000000001/block", &json!({})).await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn the_shop_never_loses_its_last_administrator() {
    let shop = Shop::open().await;
    let (ana, eva) = (shop.admin().await, shop.admin().await);
    let role = |id| format!("/api/admin/users/{id}/role");
    let user = json!({"role": "user"});
    for answer in
        [ana.patch(&role(ana.id), &user).await, ana.post(&format!("/api/admin/users/{}/block", ana.id), &json!({})).await]
    {
        assert_eq!((answer.status, answer.slug()), (409, "conflict"));
    }
    // Both pass the check for administrators before either takes the lock.
    let (a, b) = (role(eva.id), role(ana.id));
    let mut db = shop.app.db().await.unwrap();
    let door = db.transaction().await.unwrap();
    door.query("SELECT FROM users FOR UPDATE", &[]).await.unwrap();
    let open = async {
        while shop
            .sql::<i64>("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
            .await
            < 2
        {}
        door.commit().await.unwrap();
    };
    let (first, second, ()) = futures_util::join!(ana.patch(&a, &user), eva.patch(&b, &user), open);
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "whoever came second is no administrator any more");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM users WHERE role = 'admin'").await, 1);
    shop.close().await;
}
