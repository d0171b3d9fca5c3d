//! A person's own data, saved addresses, and CEP look-ups.

use futures_util::future::join_all;
use serde_json::{Value, json};
use vitrine_sandbox::Fault;

use crate::auth::{PASSWORD, sign_up, signed};
use crate::shop::{Answer, CPF, Customer, Shop, address};

#[actix_web::test]
async fn put_replaces_the_profile_and_patch_changes_a_part() {
    let shop = Shop::open().await;
    let (ana, eva) = (shop.customer().await, shop.customer().await);
    let whole = json!({"name": "Ana Souza", "email": ana.email, "cpf": CPF, "phone": "(11) 99999-0000"});
    let put = ana.put("/api/users/me", &whole).await;
    assert_eq!(put.status, 200, "{}", put.body);
    assert_eq!((&put.body["cpf"], &put.body["phone"]), (&json!("***.982.247-**"), &json!("+5511999990000")));

    let patched = ana.patch("/api/users/me", &json!({"phone": null})).await;
    assert_eq!((&patched.body["name"], &patched.body["phone"]), (&json!("Ana Souza"), &Value::Null));
    assert_eq!(patched.body["cpf"], "***.982.247-**", "what is not named stays");

    let cpf_before: Vec<u8> = shop.sql("SELECT tax_id_hash FROM users WHERE tax_id_hash IS NOT NULL").await;
    let back = json!({"name": "Ana Souza", "email": ana.email, "cpf": "***.982.247-**", "phone": null});
    assert_eq!(ana.put("/api/users/me", &back).await.status, 200, "an answer can be sent back as it came");
    let cpf_after: Vec<u8> = shop.sql("SELECT tax_id_hash FROM users WHERE tax_id_hash IS NOT NULL").await;
    assert_eq!(cpf_after, cpf_before);
    let other_mask = ana.patch("/api/users/me", &json!({"cpf": "***.000.000-**"})).await;
    assert_eq!((other_mask.status, other_mask.invalid_fields()), (422, vec!["cpf"]));

    let emptied = ana.put("/api/users/me", &json!({"name": "Ana", "email": ana.email})).await;
    assert_eq!((&emptied.body["cpf"], &emptied.body["phone"]), (&Value::Null, &Value::Null));
    let company = ana.patch("/api/users/me", &json!({"cpf": "12.ABC.345/01DE-35"})).await;
    assert_eq!(company.body["cpf"], "**.ABC.345/01DE-**");

    let unproved = eva.patch("/api/users/me", &json!({"email": "eva.nova@example.com", "name": "Eva"})).await;
    assert_eq!((unproved.status, unproved.invalid_fields()), (422, vec!["current_password"]));
    assert_eq!(eva.get("/api/users/me").await.body["name"], "Ana Silva", "nothing of a refused change is made");
    for (field, body) in [("role", json!({"role": "admin"})), ("email", json!({"email": "x"})), ("cpf", json!({"cpf": "1"}))] {
        assert_eq!(eva.patch("/api/users/me", &body).await.invalid_fields(), [field]);
    }
    assert_eq!(shop.get("/api/users/me").await.status, 401);
    shop.close().await;
}

async fn add(ana: &Customer<'_>, changes: Value) -> Answer {
    let mut body = address("01310-100");
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    ana.post("/api/users/me/addresses", &body).await
}

fn id(answer: &Answer) -> String {
    answer.body["id"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// The ids of the saved addresses, the default first, and which are default.
async fn book(ana: &Customer<'_>) -> (Vec<String>, Vec<String>) {
    let list = ana.get("/api/users/me/addresses").await;
    let items = list.body["items"].as_array().unwrap();
    let text = |a: &Value| a["id"].as_str().unwrap().to_owned();
    (items.iter().map(text).collect(), items.iter().filter(|a| a["is_default"] == true).map(text).collect())
}

#[actix_web::test]
async fn an_address_book_has_exactly_one_default_whatever_happens_to_it() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let first = add(&ana, json!({"label": "Casa", "state": "sp", "phone": "11999990000", "number": "s/n"})).await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(
        (&first.body["cep"], &first.body["state"], &first.body["number"]),
        (&json!("01310-100"), &json!("SP"), &json!("s/n"))
    );
    assert_eq!((&first.body["phone"], &first.body["is_default"]), (&json!("+5511999990000"), &json!(true)));
    let second = id(&add(&ana, json!({})).await);
    let third = id(&add(&ana, json!({"is_default": true})).await);
    let first = id(&first);
    assert_eq!(book(&ana).await, (vec![third.clone(), second.clone(), first.clone()], vec![third.clone()]));

    let path = |id: &str| format!("/api/users/me/addresses/{id}");
    assert_eq!(ana.patch(&format!("{}/default", path(&first)), &json!({})).await.body["is_default"], true);
    assert_eq!(book(&ana).await.1, vec![first.clone()]);
    let own = format!("/api/users/{}/addresses/{second}/default", ana.id);
    assert_eq!(ana.request("PUT", &own).send().await.status, 200, "no body is needed");
    assert_eq!(book(&ana).await.1, vec![second.clone()]);

    let mut body = address("20040-002");
    (body["street"], body["state"]) = (json!("Rua da Quitanda"), json!("RJ"));
    let replaced = ana.put(&path(&second), &body).await;
    assert_eq!((&replaced.body["street"], &replaced.body["is_default"]), (&json!("Rua da Quitanda"), &json!(true)));
    assert_eq!(ana.get(&path(&second)).await.body, replaced.body);

    assert_eq!(ana.delete(&path(&second)).await.status, 204);
    assert_eq!(book(&ana).await, (vec![third.clone(), first.clone()], vec![third.clone()]), "the newest takes its place");
    assert_eq!((ana.delete(&path(&first)).await.status, ana.delete(&path(&third)).await.status), (204, 204));
    assert_eq!(book(&ana).await, (vec![], vec![]));
    assert_eq!(ana.delete(&path(&third)).await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn twenty_changes_at_once_leave_one_default_and_at_most_fifty_addresses() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let added = join_all((0..20).map(|_| add(&ana, json!({"is_default": true})))).await;
    assert!(added.iter().all(|a| a.status == 201));
    assert_eq!(book(&ana).await.1.len(), 1);
    let ids: Vec<String> = added.iter().map(id).collect();
    let mixed =
        join_all(
            ids.iter().enumerate().map(|(i, id)| {
                let path = format!("/api/users/me/addresses/{id}");
                let ana = &ana;
                async move {
                    if i % 2 == 0 { ana.delete(&path).await } else { ana.patch(&format!("{path}/default"), &json!({})).await }
                }
            }),
        )
        .await;
    assert!(mixed.iter().all(|a| a.status == 204 || a.status == 200));
    let (all, defaults) = book(&ana).await;
    assert_eq!((all.len(), defaults.len()), (10, 1));

    let sql = format!(
        "INSERT INTO addresses (id, user_id, recipient, cep, street, number, district, city, state)
         SELECT gen_random_uuid(), '{}', 'Ana', '01310100', 'Rua', '1', 'Centro', 'São Paulo', 'SP' FROM generate_series(1, 39)",
        ana.id
    );
    assert_eq!(shop.execute(&sql).await, 39);
    let mut last = join_all((0..3).map(|_| add(&ana, json!({})))).await.iter().map(|a| a.status).collect::<Vec<_>>();
    last.sort_unstable();
    assert_eq!(last, [201, 409, 409]);
    assert_eq!(book(&ana).await.0.len(), 50, "a list without a limit shows the whole book");
    let page = ana.get("/api/users/me/addresses?limit=7&offset=49").await;
    assert_eq!((page.body["items"].as_array().unwrap().len(), &page.body["total"]), (1, &json!(50)));
    shop.close().await;
}

#[actix_web::test]
async fn a_strangers_address_book_is_not_there() {
    let shop = Shop::open().await;
    let (ana, eva, admin) = (shop.customer().await, shop.customer().await, shop.admin().await);
    let saved = id(&add(&ana, json!({})).await);
    let before: String = shop.sql("SELECT row_to_json(a)::text FROM addresses a").await;
    let rows = shop.row_counts().await;
    let body = address("01310-100");
    for base in [format!("/api/users/{}/addresses", ana.id), "/api/users/me/addresses".to_owned()] {
        let one = format!("{base}/{saved}");
        for answer in [
            eva.get(&one).await,
            eva.put(&one, &body).await,
            eva.delete(&one).await,
            eva.patch(&format!("{one}/default"), &json!({})).await,
            eva.put(&format!("{one}/default"), &json!({})).await,
        ] {
            assert_eq!((answer.status, answer.slug()), (404, "not-found"), "{base}");
        }
    }
    let books = format!("/api/users/{}/addresses", ana.id);
    assert_eq!((eva.get(&books).await.status, eva.post(&books, &body).await.status), (404, 404));
    assert_eq!(shop.get(&books).await.status, 401);
    assert_eq!(admin.get(&books).await.body["total"], 1, "an administrator may look");
    assert_eq!(
        (admin.post(&books, &body).await.status, admin.delete(&format!("{books}/{saved}")).await.status),
        (404, 404),
        "but not touch"
    );
    assert_eq!(shop.sql::<String>("SELECT row_to_json(a)::text FROM addresses a").await, before);
    assert_eq!(shop.row_counts().await, rows);
    shop.close().await;
}

#[actix_web::test]
async fn an_address_with_wrong_fields_names_all_of_them() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    let wrong = json!({"recipient": "", "cep": "123", "street": " ", "number": "", "district": "a\u{7}", "city": "x".repeat(121),
                       "state": "XX", "phone": "1", "label": "x".repeat(61)});
    let answer = ana.post("/api/users/me/addresses", &wrong).await;
    let mut fields = answer.invalid_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["cep", "city", "district", "label", "number", "phone", "recipient", "state", "street"]);
    assert_eq!(add(&ana, json!({"user_id": ana.id})).await.invalid_fields(), ["user_id"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_cep_is_asked_for_once_and_remembered_for_a_month() {
    let shop = Shop::open().await;
    let found = shop.get("/api/cep/01310-100").await;
    assert_eq!(found.status, 200, "{}", found.body);
    assert_eq!(
        (&found.body["cep"], &found.body["city"], &found.body["state"]),
        (&json!("01310-100"), &json!("São Paulo"), &json!("SP"))
    );
    assert_eq!(shop.get("/api/cep/01310100").await.body, found.body);
    assert_eq!(shop.control().calls("viacep"), 1);
    shop.execute("UPDATE cep_cache SET fetched_at = now() - interval '29 days'").await;
    shop.get("/api/cep/01310100").await;
    assert_eq!(shop.control().calls("viacep"), 1);
    shop.execute("UPDATE cep_cache SET fetched_at = now() - interval '31 days'").await;
    shop.get("/api/cep/01310100").await;
    assert_eq!(shop.control().calls("viacep"), 2);
    shop.close().await;
}

#[actix_web::test]
async fn an_unknown_cep_is_remembered_for_a_day() {
    let shop = Shop::open().await;
    for _ in 0..2 {
        assert_eq!(shop.get("/api/cep/99999-999").await.slug(), "not-found");
    }
    assert_eq!(shop.control().calls("viacep"), 1);
    shop.execute("UPDATE cep_cache SET fetched_at = now() - interval '25 hours'").await;
    assert_eq!(shop.get("/api/cep/99999-999").await.status, 404);
    assert_eq!(shop.control().calls("viacep"), 2);
    let malformed = shop.get("/api/cep/123").await;
    assert_eq!((malformed.status, malformed.invalid_fields()), (422, vec!["cep"]));
    shop.close().await;
}

#[actix_web::test]
async fn without_its_sources_a_cep_is_answered_from_memory_or_not_at_all() {
    let shop = Shop::open().await;
    let known = shop.get("/api/cep/01310-100").await;
    shop.execute("UPDATE cep_cache SET fetched_at = now() - interval '31 days'").await;
    for source in ["viacep", "brasilapi"] {
        shop.control().next_calls(source, Fault::Status(500), 100);
    }
    let old = shop.get("/api/cep/01310-100").await;
    assert_eq!((old.status, old.body), (200, known.body), "an old answer is better than none");
    let away = shop.get("/api/cep/20040-002").await;
    assert_eq!((away.status, away.slug()), (503, "unavailable"));
    assert!(away.header("retry-after").is_some());
    shop.close().await;
}

#[actix_web::test]
async fn no_answer_about_a_person_shows_the_whole_document_but_the_export_that_the_password_was_sent_for() {
    let shop = Shop::open().await;
    let session = sign_up(&shop, "ana@example.com").await;
    let admin = shop.admin().await;
    let me = "/api/users/me";
    let change = json!({"name": "Ana", "email": "ana@example.com", "cpf": CPF});
    let patch = signed(&shop, &session, "PATCH", me).json(&json!({"cpf": CPF})).send().await;
    let answers = [
        signed(&shop, &session, "PUT", me).json(&change).send().await,
        signed(&shop, &session, "GET", me).send().await,
        signed(&shop, &session, "GET", "/api/auth/me").send().await,
        shop.post("/api/auth/login", &json!({"email": "ana@example.com", "password": PASSWORD})).await,
        shop.post("/api/auth/refresh", &json!({"refresh_token": session.body["refresh_token"]})).await,
        signed(&shop, &session, "GET", "/api/users/me/export").send().await,
        admin.get("/api/admin/users?q=ana@example.com").await,
        admin.get(&format!("/api/admin/users/{}", patch.body["id"].as_str().unwrap())).await,
        patch,
    ];
    for answer in &answers {
        let text = answer.body.to_string();
        assert_eq!(answer.status, 200, "{text}");
        assert!(text.contains("***.982.247-**") && !text.contains("529.982") && !text.contains("52998224725"), "{text}");
    }
    let asked = signed(&shop, &session, "POST", "/api/users/me/export").json(&json!({"current_password": PASSWORD}));
    assert_eq!(asked.send().await.body["profile"]["cpf"], CPF);
    shop.close().await;
}
