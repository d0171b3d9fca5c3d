//! A key that a provider knows no more, for a while: the same answer to every call, and nothing done.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use vitrine_sandbox::SandboxConfig;

use crate::harness::{Client, ask, payment, sandbox, text};

/// A call of each provider with the right key: its name, the call, its answer while the key is revoked.
fn calls(client: &Client, bank_token: &str) -> Vec<(&'static str, RequestBuilder, u16, Value)> {
    let cfg = SandboxConfig::default();
    let get = |path: &str| client.call(Method::GET, path);
    let nfes = format!("/enotas/v2/empresas/{}/nf-e/none", cfg.enotas_company_id);
    let correios = client.call(Method::POST, "/correios/token/v1/autentica/cartaopostagem");
    let texts = get(&format!("/africastalking/version1/user?username={}", cfg.africastalking_username));
    let balance = get("/melhorenvio/api/v2/me/balance").header("user-agent", "Loja (dev@example.com)");
    vec![
        (
            "openpix",
            get("/openpix/api/v1/charge/none").header("authorization", &cfg.openpix_app_id),
            401,
            json!({"error": "appID inválido"}),
        ),
        (
            "bacen",
            get("/bacen/v2/cob/none").bearer_auth(bank_token),
            401,
            json!({"error": "invalid_token", "error_description": "The access token is unknown or has expired"}),
        ),
        (
            "bacen",
            client
                .call(Method::POST, "/bacen/oauth/token")
                .basic_auth(&cfg.pix_client_id, Some(&cfg.pix_client_secret))
                .json(&json!({"grant_type": "client_credentials"})),
            401,
            json!({"error": "invalid_client", "error_description": "see RFC 6749"}),
        ),
        (
            "stripe",
            get("/stripe/v1/payment_intents/none").bearer_auth(&cfg.stripe_secret_key),
            401,
            json!({"error": {"type": "invalid_request_error", "message": "Invalid API Key provided."}}),
        ),
        ("melhorenvio", balance.bearer_auth(&cfg.melhorenvio_token), 401, json!({"message": "Unauthenticated."})),
        (
            "resend",
            get("/resend/emails/none").bearer_auth(&cfg.resend_api_key),
            403,
            json!({"statusCode": 403, "name": "invalid_api_key", "message": "API key is invalid"}),
        ),
        (
            "focusnfe",
            get("/focusnfe/v2/nfe/none").basic_auth(&cfg.focusnfe_token, Some("")),
            401,
            json!({"codigo": "permissao_negada", "mensagem": "Token inválido ou não informado"}),
        ),
        (
            "enotas",
            get(&nfes).header("authorization", format!("Basic {}", cfg.enotas_api_key)),
            401,
            json!([{"codigo": "API0001", "mensagem": "Chave inválida"}]),
        ),
        (
            "correios",
            correios
                .basic_auth(&cfg.correios_user, Some(&cfg.correios_access_code))
                .json(&json!({"numero": cfg.correios_postage_card})),
            401,
            Value::Null, // its time is in it
        ),
        ("africastalking", texts.header("apikey", &cfg.africastalking_api_key), 401, Value::Null), // plain text
    ]
}

#[actix_web::test]
async fn a_revoked_key_is_a_strangers_until_it_is_restored() {
    let client = sandbox().await;
    let control = client.sandbox.control();
    let cfg = SandboxConfig::default();
    let token = client.call(Method::POST, "/bacen/oauth/token").basic_auth(cfg.pix_client_id, Some(cfg.pix_client_secret));
    let token = text(&ask(token.json(&json!({"grant_type": "client_credentials"}))).await.1["access_token"]);
    let number = calls(&client, &token).len();
    for at in 0..number {
        let one = || calls(&client, &token).remove(at);
        let (provider, call, status, body) = one();
        assert!(!matches!(ask(call).await.0, 401 | 403), "{provider} knows the key");
        control.revoke_key(provider).expect("it has one");
        for _ in 0..2 {
            let (got, answer) = ask(one().1).await;
            assert_eq!(got, status, "{provider}: {answer}");
            assert!(body.is_null() || answer == body, "{provider}: {answer}");
        }
        let others = (0..number).map(|at| calls(&client, &token).remove(at)).find(|(name, ..)| *name != provider);
        assert!(!matches!(ask(others.expect("another").1).await.0, 401 | 403), "{provider} alone");
        control.restore_key(provider).expect("it has one");
        assert!(!matches!(ask(one().1).await.0, 401 | 403), "{provider} knows it again");
    }
    assert!(control.revoke_key("viacep").is_err());
    assert!(control.revoke_key("nobody").is_err());
}

#[actix_web::test]
async fn nothing_is_done_for_a_revoked_key_and_it_is_ordered_over_http() {
    let client = sandbox().await;
    let order = |body: Value| ask(client.call(Method::POST, "/control/key").json(&body));
    assert_eq!(order(json!({"provider": "propay", "revoked": true})).await, (200, json!({"revoked": ["propay"]})));
    let body = payment(100);
    let (status, answer) = ask(client.create(&body)).await;
    assert_eq!((status, &answer["error"]["code"]), (401, &json!("invalid_token")));
    assert_eq!(client.sandbox.control().charges(), []);
    assert_eq!(ask(client.call(Method::GET, "/control/state")).await.1["revoked"], json!(["propay"]));
    assert_eq!(order(json!({"provider": "propay", "revoked": false})).await, (200, json!({"revoked": []})));
    assert_eq!(ask(client.create(&body)).await.0, 201);
    assert_eq!(order(json!({"provider": "smtp", "revoked": true})).await.0, 422);
}
