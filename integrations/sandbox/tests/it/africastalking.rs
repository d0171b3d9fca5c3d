use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, LIMIT, Shop, ask, sandbox, text};

fn send(client: &Client, form: &[(&str, &str)]) -> RequestBuilder {
    let call = client.call(Method::POST, "/africastalking/version1/messaging").header("accept", "application/json");
    call.header("apiKey", SandboxConfig::default().africastalking_api_key).form(form)
}

async fn to(client: &Client, number: &str) -> (u16, Value) {
    ask(send(client, &[("username", "sandbox"), ("to", number), ("message", "Pedido 1001 enviado"), ("bulkSMSMode", "1")])).await
}

#[actix_web::test]
async fn a_text_is_kept_and_reported_delivered_with_the_token() {
    let client = sandbox().await;
    let shop = Shop::open();
    client.sandbox.set_shop_url(&shop.url);
    let (status, answer) = to(&client, "+5511999990001").await;
    let data = &answer["SMSMessageData"];
    assert_eq!((status, &data["Message"]), (201, &json!("Sent to 1/1 Total Cost: KES 0.8000")));
    let one = &data["Recipients"][0];
    assert_eq!((&one["statusCode"], &one["number"], &one["messageParts"]), (&json!(101), &json!("+5511999990001"), &json!(1)));

    let control = client.sandbox.control();
    assert!(control.settled(LIMIT).await);
    let told = shop.told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].path, "/api/webhooks/africastalking?token=africastalking-development-only-webhook-secret");
    assert_eq!(told[0].headers["content-type"], "application/x-www-form-urlencoded");
    let id = text(&one["messageId"]);
    assert_eq!(told[0].body, format!("id={id}&status=Success&phoneNumber=%2B5511999990001&networkCode=99999&retryCount=0"));
    assert_eq!(control.sms_to("+5511999990001")[0].text, "Pedido 1001 enviado");
}

#[actix_web::test]
async fn the_number_decides_what_becomes_of_a_text() {
    let client = sandbox().await;
    for code in [401, 402, 403, 404, 405, 406, 407, 409, 500, 501, 502] {
        let (status, answer) = to(&client, &format!("+551199999{code:04}")).await;
        let one = &answer["SMSMessageData"]["Recipients"][0];
        let http = if code == 409 { 409 } else { 201 };
        assert_eq!((status, &one["statusCode"], &one["messageId"]), (http, &json!(code), &json!("None")));
    }
    let (status, answer) = to(&client, "+5511999990000").await;
    assert_eq!((status, &answer["SMSMessageData"]), (201, &json!({"Message": "InvalidSenderId", "Recipients": []})));
    assert_eq!(to(&client, "11999990001").await.1["SMSMessageData"]["Recipients"][0]["statusCode"], 403);
    let control = client.sandbox.control();
    assert_eq!(control.deliveries(), [], "of a refused text nothing is reported");
    to(&client, "+5511999990901").await;
    to(&client, "+5511999990902").await;
    let told: Vec<_> =
        control.deliveries().into_iter().map(|d| (d.event, d.body.contains("failureReason=DeliveryFailure"))).collect();
    assert_eq!(told, [("Failed".to_owned(), true)]);
}

#[actix_web::test]
async fn refusals_are_plain_text_and_answers_are_xml_unless_asked() {
    let client = sandbox().await;
    let form = [("username", "sandbox"), ("to", "+5511999990001"), ("message", "Oi")];
    let wrong = send(&client, &[("username", "other"), form[1], form[2]]).send().await.expect("an answer");
    assert_eq!(wrong.status(), 401);
    assert_eq!(wrong.text().await.expect("text"), "The supplied authentication is invalid");
    assert_eq!(send(&client, &form[..2]).send().await.expect("an answer").status(), 400);
    let call = client.call(Method::POST, "/africastalking/version1/messaging").form(&form);
    let xml = call.header("apikey", SandboxConfig::default().africastalking_api_key).send().await.expect("an answer");
    assert!(xml.text().await.expect("text").starts_with("<AfricasTalkingResponse>"));
}
