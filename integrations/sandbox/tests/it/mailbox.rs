use reqwest::Method;
use serde_json::{Value, json};
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, ask, sandbox, text};

async fn get(client: &Client, path: &str) -> (u16, String) {
    let answer = client.call(Method::GET, path).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn mail(client: &Client, to: &str, subject: &str) -> String {
    let html = "<html><head></head><body><i>Olá</i></body></html>";
    let mail = json!({"from": "oi@loja.test", "to": to, "subject": subject, "html": html, "text": "Olá & <até>"});
    let call = client.call(Method::POST, "/resend/emails").json(&mail);
    let (status, sent): (u16, Value) = ask(call.bearer_auth(SandboxConfig::default().resend_api_key)).await;
    assert_eq!(status, 200, "{sent}");
    text(&sent["id"])
}

#[actix_web::test]
async fn everybodys_messages_are_listed_and_one_is_open() {
    let client = sandbox().await;
    assert!(get(&client, "/mailbox").await.1.contains("Nenhuma mensagem ainda"));
    let ana = mail(&client, "Ana <ana@example.com>", "<b>Primeiro</b>").await;
    let bia = mail(&client, "bia@example.com", "{{READER}}").await;
    let form = [("username", "sandbox"), ("to", "+5511999990001"), ("message", "Pedido <1001> enviado")];
    let sms = client.call(Method::POST, "/africastalking/version1/messaging").form(&form);
    sms.header("apikey", SandboxConfig::default().africastalking_api_key).send().await.expect("an answer");

    let (status, page) = get(&client, "/mailbox").await;
    assert_eq!(status, 200);
    for seen in ["ana@example.com", "bia@example.com", "+5511999990001", "&lt;b&gt;Primeiro&lt;/b&gt;", "SMS para +5511999990001"]
    {
        assert!(page.contains(seen), "{seen}");
    }
    assert!(page.contains("<p>Pedido &lt;1001&gt; enviado</p>") && !page.contains("<b>Primeiro"));

    let one = get(&client, "/mailbox?to=ana%40example.com").await.1;
    assert!(one.contains(&format!("src=\"/mailbox/{ana}/html\"")) && !one.contains(&bia));
    assert!(one.contains("<iframe sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
    let plain = get(&client, &format!("/mailbox?id={bia}&part=text")).await.1;
    assert!(plain.contains("<pre>Olá &amp; &lt;até&gt;</pre>") && plain.contains("{{READER}}"), "words are no template");
}

#[actix_web::test]
async fn a_mail_runs_nothing_and_its_links_open_beside_it() {
    let client = sandbox().await;
    let id = mail(&client, "ana@example.com", "Oi").await;
    let answer = client.call(Method::GET, &format!("/mailbox/{id}/html")).send().await.expect("an answer");
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(
        policy.starts_with("sandbox allow-popups") && policy.contains("default-src 'none'") && !policy.contains("script"),
        "{policy}"
    );
    let html = answer.text().await.expect("text");
    assert_eq!(html, "<html><head><base target=\"_blank\"></head><body><i>Olá</i></body></html>");
    assert_eq!(get(&client, "/mailbox/none/html").await.0, 404);
}

#[actix_web::test]
async fn the_lists_are_empty_until_something_changes() {
    let client = sandbox().await;
    let fresh = client.call(Method::GET, "/mailbox/lists").send().await.expect("an answer");
    let version = fresh.headers()["x-version"].to_str().expect("text").to_owned();
    let poll = format!("/mailbox/lists?version={version}");
    assert_eq!(get(&client, &poll).await, (204, String::new()));
    mail(&client, "ana@example.com", "Novidade").await;
    let (status, lists) = get(&client, &poll).await;
    assert!(status == 200 && lists.contains("Novidade"));
}
