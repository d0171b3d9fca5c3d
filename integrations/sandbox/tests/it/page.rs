use reqwest::Method;
use serde_json::json;
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, ask, payment, sandbox, text};

async fn get(client: &Client, path: &str) -> (u16, String) {
    let answer = client.call(Method::GET, path).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[actix_web::test]
async fn the_page_shows_charges_and_mails_and_escapes_what_they_say() {
    let client = sandbox().await;
    let mut body = payment(123_456);
    body["description"] = json!("<script>alert(1)</script>");
    ask(client.create(&body)).await;
    let mail = json!({"from": "oi@loja.test", "to": "ana@example.com", "subject": "<b>Oi</b>", "html": "<i>Olá</i>"});
    let call = client.call(Method::POST, "/resend/emails").json(&mail);
    let (_, sent) = ask(call.bearer_auth(SandboxConfig::default().resend_api_key)).await;

    let (status, page) = get(&client, "/").await;
    assert_eq!(status, 200);
    let id = text(&body["payment_id"]);
    assert!(page.contains(&format!("data-act=\"pay\" data-id=\"{id}\"")));
    assert!(page.contains("R$ 1.234,56"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script>alert"));
    assert!(page.contains("&lt;b&gt;Oi&lt;/b&gt;") && !page.contains("<b>Oi"));
    assert!(!page.contains("{{"), "every place is filled");

    let mail_path = format!("/mails/{}/html", text(&sent["id"]));
    assert!(page.contains(&format!("<iframe sandbox title=\"E-mail\" loading=\"lazy\" src=\"{mail_path}\">")));
    let answer = client.call(Method::GET, &mail_path).send().await.expect("an answer");
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    assert_eq!(answer.text().await.expect("text"), "<i>Olá</i>");
}

#[actix_web::test]
async fn a_card_payment_is_paid_or_declined_by_a_person() {
    let client = sandbox().await;
    let form = [("amount", "500"), ("currency", "brl"), ("metadata[payment_id]", "card-1")];
    let call = client.call(Method::POST, "/stripe/v1/payment_intents").form(&form);
    assert_eq!(ask(call.bearer_auth(SandboxConfig::default().stripe_secret_key)).await.0, 200);
    let (_, page) = get(&client, "/").await;
    for button in ["pay", "decline"] {
        assert!(page.contains(&format!("data-act=\"{button}\" data-id=\"card-1\"")), "{button}");
    }
    assert!(page.contains("stripe · ") && !page.contains("/stripe/qr/"), "it says whose it is, and has no QR");
    let decline = json!({"payment_id": "card-1", "force": false});
    assert_eq!(ask(client.call(Method::POST, "/control/decline").json(&decline)).await.0, 200);
    assert!(get(&client, "/").await.1.contains("cartão recusado"));
    assert_eq!(ask(client.call(Method::POST, "/control/pay").json(&decline)).await.1["status"], "paid");
}

#[actix_web::test]
async fn polling_is_empty_until_something_changes() {
    let client = sandbox().await;
    let fresh = client.call(Method::GET, "/page").send().await.expect("an answer");
    let version = fresh.headers()["x-version"].to_str().expect("text").to_owned();
    let poll = format!("/page?version={version}");
    assert_eq!(get(&client, &poll).await, (204, String::new()));
    client.charge(100).await;
    let (status, sections) = get(&client, &poll).await;
    assert_eq!(status, 200);
    assert!(sections.contains("aguardando pagamento"));
}
