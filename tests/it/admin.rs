use serde_json::json;
use uuid::Uuid;

use crate::shop::Shop;

#[actix_web::test]
async fn only_an_admin_sees_the_machinery() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    for path in ["alerts", "jobs", "webhooks", "breakers", "audit", "settings"] {
        let path = format!("/api/admin/{path}");
        assert_eq!(shop.get(&path).await.slug(), "unauthorized", "{path}");
        assert_eq!(ana.get(&path).await.slug(), "forbidden", "{path}");
        assert_eq!(admin.get(&path).await.status, 200, "{path}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_dead_job_gets_a_second_life_once() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let id = Uuid::now_v7();
    shop.execute(&format!(
        "INSERT INTO jobs (id, kind, payload, state, attempts, max_attempts, last_error, cause, finished_at)
         VALUES ('{id}', 'mail_welcome', '{{\"kind\":\"mail_welcome\",\"user\":\"{id}\"}}', 'dead', 25, 25, 'no luck', 'test', now())"
    ))
    .await;
    let dead = admin.get("/api/admin/jobs?state=dead").await;
    assert_eq!((dead.body["total"].as_i64(), dead.body["items"][0]["last_error"].as_str()), (Some(1), Some("no luck")));
    assert_eq!(admin.get("/api/admin/jobs?state=lost").await.invalid_fields(), ["state"]);
    let retried = admin.post(&format!("/api/admin/jobs/{id}/retry"), &json!({})).await;
    assert_eq!((retried.body["state"].as_str(), retried.body["attempts"].as_i64()), (Some("waiting"), Some(0)));
    assert_eq!(admin.post(&format!("/api/admin/jobs/{id}/retry"), &json!({})).await.slug(), "conflict");
    assert_eq!(admin.post(&format!("/api/admin/jobs/{}/retry", Uuid::now_v7()), &json!({})).await.slug(), "not-found");
    let audit = admin.get("/api/admin/audit?action=job.retry").await;
    assert_eq!(audit.body["items"][0]["entity_id"], id.to_string());
    shop.drain().await;
    assert_eq!(shop.sql::<String>(&format!("SELECT state FROM jobs WHERE id = '{id}'")).await, "done");
    shop.close().await;
}

#[actix_web::test]
async fn what_died_of_one_cause_comes_back_together_and_each_job_once() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    const DEAD: &str = r#"
        INSERT INTO jobs (id, kind, payload, dedupe, state, attempts, max_attempts, cause, finished_at)
        SELECT gen_random_uuid(), k.kind, jsonb_build_object('kind', k.kind, 'order', gen_random_uuid()), k.dedupe, 'dead', 60, 60, 'test', now()
          FROM (VALUES ('drop_label', 'drop_label:1'), ('drop_label', 'drop_label:1'), ('drop_label', 'drop_label:2'),
                       ('drop_label', 'drop_label:3'), ('drop_invoice', 'drop_invoice:1')) AS k (kind, dedupe)"#;
    const TWIN: &str = r#"
        INSERT INTO jobs (id, kind, payload, dedupe, max_attempts, cause)
        VALUES (gen_random_uuid(), 'drop_label', jsonb_build_object('kind', 'drop_label', 'order', gen_random_uuid()), 'drop_label:3', 60, 'test')"#;
    shop.execute(DEAD).await;
    shop.execute(TWIN).await;
    let labels = admin.post("/api/admin/jobs/retry", &json!({"kind": "drop_label"})).await;
    assert_eq!((labels.status, &labels.body["retried"]), (200, &json!(2)), "one of each key whose twin does not wait");
    assert_eq!(admin.post("/api/admin/jobs/retry", &json!({"kind": "drop_label"})).await.body["retried"], 0);
    assert_eq!(admin.post("/api/admin/jobs/retry", &json!({})).await.body["retried"], 1);
    let audit = admin.get("/api/admin/audit?action=job.retry_all").await;
    assert_eq!(audit.body["total"], 3);
    shop.close().await;
}

#[actix_web::test]
async fn settings_are_checked_kept_and_told_to_the_audit_log() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    let mut company = json!({"legal_name": "Loja Ltda", "cnpj": "12.ABC.345/01DE-35", "state_registration": "ISENTO", "tax_regime": "simples",
        "invoice_series": 1, "address": {"cep": "01310-100", "street": "Avenida Paulista", "number": "1", "district": "Bela Vista",
        "city": "São Paulo", "state": "SP"}});
    company["phone"] = json!("0800 123 4567");
    let kept = admin.put("/api/admin/settings/company", &company).await;
    assert_eq!(kept.body["phone"], json!("0800 123 4567"));
    assert_eq!((kept.status, kept.body["cnpj"].as_str()), (200, Some("12ABC34501DE35")), "{}", kept.body);
    company["cnpj"] = json!("12.ABC.345/01DE-36");
    company["phone"] = json!("0800 12345");
    company["address"]["state"] = json!("sp");
    let refused = admin.put("/api/admin/settings/company", &company).await;
    let mut fields = refused.invalid_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["address.state", "cnpj", "phone"]);
    let audit = admin.get("/api/admin/audit?action=settings.company").await;
    assert_eq!(
        (audit.body["total"].as_i64(), audit.body["items"][0]["after"]["cnpj"].as_str()),
        (Some(1), Some("**.ABC.345/01DE-**"))
    );
    assert_eq!(admin.put("/api/admin/settings/nothing", &json!({})).await.slug(), "not-found");
    assert_eq!(
        admin.put("/api/admin/settings/shipping", &json!({"handling_days": 61})).await.invalid_fields(),
        ["handling_days"]
    );
    assert_eq!(admin.put("/api/admin/settings/shipping", &json!({"handling_days": 2})).await.status, 200);
    let all = admin.get("/api/admin/settings").await;
    assert_eq!((all.body["shipping"]["handling_days"].as_i64(), all.body["payment_methods"].is_null()), (Some(2), true));
    shop.close().await;
}

#[actix_web::test]
async fn pix_can_be_switched_off() {
    let shop = Shop::open().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let shirt = shop.product("Camiseta").create().await;
    let order = ana.buy(&[(&shirt, 1)]).await.body["id"].as_str().unwrap().to_owned();
    let off = json!({"pix": {"enabled": false, "label": "PIX à vista"}});
    assert_eq!(admin.put("/api/admin/settings/payment_methods", &off).await.status, 200);
    let methods = shop.get("/api/payment-methods").await;
    let offered: Vec<_> = methods.body["items"].as_array().unwrap().iter().map(|method| &method["method"]).collect();
    assert_eq!(offered, ["credit_card"]);
    assert_eq!(ana.post(&format!("/api/orders/{order}/pay"), &json!({"method": "pix"})).await.slug(), "conflict");
    assert_eq!(shop.control().charges().len(), 0);
    shop.close().await;
}
