//! Africa's Talking, texts: `/africastalking/version1/messaging`. Nothing leaves the machine; the mailbox shows them.
//!
//! The last four digits of a number decide what becomes of a text to it: `0401` to `0409` and `0500` to `0502` refuse it with that
//! code, `0000` the whole request, `0901` reports that it failed, `0902` never reports, `0903` reports that its owner wants no more.
//! Every other one is reported delivered.

use std::collections::BTreeMap;

use actix_web::web::{self, Bytes, Data, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Books, Delivery, Sms};
use crate::world::news::Envelope;
use crate::world::orders::SendWebhook;
use crate::world::{Provider, World, webhooks};

pub(crate) const PROVIDER: Provider =
    Provider { name: "africastalking", routes, error: error_body, has_key: true, ..Provider::SILENT };

/// GSM-7 characters of one text, and of each part of a longer one.
const PART: (usize, usize) = (160, 153);
/// The same as soon as one character is none of GSM-7.
const WIDE_PART: (usize, usize) = (70, 67);
/// What GSM-7 has beside ASCII letters and digits.
const GSM_7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// Its second table: each counts twice.
const GSM_7_TWICE: &str = "^{}\\[~]|€";

fn routes(cfg: &mut ServiceConfig) {
    cfg.route("/version1/messaging", web::post().to(send)).route("/version1/user", web::get().to(user));
}

/// They answer refusals in plain text; so does a JSON string, nearly.
fn error_body(status: u16) -> Value {
    match status {
        401 => json!("The supplied authentication is invalid"),
        _ => json!("ordered by the sandbox's control"),
    }
}

#[derive(Deserialize)]
struct Account {
    username: String,
}

async fn user(req: HttpRequest, world: Data<World>, account: Query<Account>) -> HttpResponse {
    match refuse(&req, &world, &account.username) {
        Some(refusal) => refusal,
        None => HttpResponse::Ok().json(json!({"UserData": {"balance": "KES 100.00"}})),
    }
}

fn refuse(req: &HttpRequest, world: &World, username: &str) -> Option<HttpResponse> {
    let key = req.headers().get("apikey").and_then(|key| key.to_str().ok());
    let is_ours = key == Some(&world.cfg.africastalking_api_key) && username == world.cfg.africastalking_username;
    let known = is_ours && !world.is_revoked(PROVIDER.name);
    (!known).then(|| HttpResponse::Unauthorized().content_type("text/plain").body("The supplied authentication is invalid"))
}

async fn send(req: HttpRequest, world: Data<World>, body: Bytes) -> HttpResponse {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| form.get(name).filter(|value| !value.is_empty());
    if let Some(refusal) = refuse(&req, &world, field("username").map_or("", String::as_str)) {
        return refusal;
    }
    let (Some(to), Some(text)) = (field("to"), field("message")) else {
        return HttpResponse::BadRequest()
            .content_type("text/plain")
            .body("Request is missing required form field 'to' or 'message'");
    };
    if to.ends_with("0000") {
        return answer(&req, "InvalidSenderId", &[]);
    }
    let accepted = world.write(|books| {
        let list: Vec<Sms> = to.split(',').map(|to| judge(to.trim(), text, field("from"))).collect();
        for sms in &list {
            books.put(sms.clone());
            match (sms.status_code, last_four(&sms.to)) {
                (400.., _) | (_, 902) => {}
                (_, 901) => {
                    report(&world, books, sms.clone(), "Failed", Some("DeliveryFailure"), SendWebhook::Once);
                }
                (_, 903) => {
                    report(&world, books, sms.clone(), "Rejected", Some("UserInBlackList"), SendWebhook::Once);
                }
                _ => {
                    report(&world, books, sms.clone(), "Success", None, SendWebhook::Once);
                }
            }
        }
        list
    });
    let taken = accepted.iter().filter(|sms| sms.status_code < 400).count();
    answer(&req, &format!("Sent to {taken}/{} Total Cost: KES {}", accepted.len(), cost(taken)), &accepted)
}

/// What becomes of a text to this number.
fn judge(to: &str, text: &str, from: Option<&String>) -> Sms {
    let is_number =
        to.strip_prefix('+').is_some_and(|rest| (10..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()));
    let (status_code, status) = match last_four(to) {
        _ if !is_number => (403, "InvalidPhoneNumber"),
        401 => (401, "RiskHold"),
        402 => (402, "InvalidSenderId"),
        403 => (403, "InvalidPhoneNumber"),
        404 => (404, "UnsupportedNumberType"),
        405 => (405, "InsufficientBalance"),
        406 => (406, "UserInBlacklist"),
        407 => (407, "CouldNotRoute"),
        409 => (409, "DoNotDisturbRejection"),
        500 => (500, "InternalServerError"),
        501 => (501, "GatewayError"),
        502 => (502, "RejectedByGateway"),
        _ => (101, "Success"),
    };
    Sms {
        provider: PROVIDER.name.to_owned(),
        id: format!("ATXid_{}", Uuid::new_v4().simple()),
        from: from.cloned(),
        to: to.to_owned(),
        text: text.to_owned(),
        parts: parts(text),
        status_code,
        status: status.to_owned(),
        created_at: Timestamp::now(),
    }
}

fn last_four(to: &str) -> u16 {
    to.get(to.len().saturating_sub(4)..).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn parts(text: &str) -> usize {
    let weight = |c: char| match c {
        c if c.is_ascii_alphanumeric() || GSM_7.contains(c) => Some(1),
        c if GSM_7_TWICE.contains(c) => Some(2),
        _ => None,
    };
    let (length, (one, each)) = match text.chars().map(weight).sum::<Option<usize>>() {
        Some(length) => (length, PART),
        None => (text.encode_utf16().count(), WIDE_PART),
    };
    if length <= one { 1 } else { length.div_ceil(each) }
}

fn cost(texts: usize) -> String {
    format!("{:.4}", texts as f64 * 0.8)
}

/// 201 whatever became of it, but for a lone number that wants no advertisements: 409. Who does not ask for JSON gets XML.
fn answer(req: &HttpRequest, message: &str, recipients: &[Sms]) -> HttpResponse {
    let wants_json = req.headers().get("accept").and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("application/json"));
    if !wants_json {
        let xml = format!(
            "<AfricasTalkingResponse><SMSMessageData><Message>{message}</Message></SMSMessageData></AfricasTalkingResponse>"
        );
        return HttpResponse::Created().content_type("application/xml").body(xml);
    }
    let is_disturbed = matches!(recipients, [one] if one.status_code == 409);
    let recipients: Vec<Value> = recipients.iter().map(view).collect();
    let mut answer = if is_disturbed { HttpResponse::Conflict() } else { HttpResponse::Created() };
    answer.json(json!({"SMSMessageData": {"Message": message, "Recipients": recipients}}))
}

fn view(sms: &Sms) -> Value {
    let taken = sms.status_code < 400;
    json!({
        "statusCode": sms.status_code,
        "number": sms.to,
        "status": sms.status,
        "cost": if taken { format!("KES {}", cost(sms.parts)) } else { "0".to_owned() },
        "messageId": if taken { sms.id.as_str() } else { "None" },
        "messageParts": sms.parts,
    })
}

/// Tells the shop what became of a text; it is their last word on it.
pub(crate) fn report(
    world: &World,
    books: &mut Books,
    sms: Sms,
    status: &str,
    reason: Option<&str>,
    how: SendWebhook,
) -> Delivery {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("id", &sms.id).append_pair("status", status).append_pair("phoneNumber", &sms.to);
    form.append_pair("networkCode", "99999").append_pair("retryCount", "0");
    if let Some(reason) = reason {
        form.append_pair("failureReason", reason);
    }
    let token: String = form_urlencoded::byte_serialize(world.cfg.africastalking_webhook_secret.as_bytes()).collect();
    let envelope = Envelope {
        event_id: format!("{}:{status}", sms.id), // theirs have none
        event: status.to_owned(),
        path: format!("/api/webhooks/africastalking?token={token}"),
        headers: BTreeMap::from([("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())]),
        body: form.finish(),
    };
    let about = sms.id.clone();
    books.put(Sms { status: status.to_owned(), ..sms });
    webhooks::enter(world, books, PROVIDER.name, &about, envelope, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accent_makes_a_text_twice_as_dear() {
        assert_eq!(parts(&"a".repeat(160)), 1);
        assert_eq!(parts(&"a".repeat(161)), 2);
        assert_eq!(parts(&"é".repeat(160)), 1);
        assert_eq!(parts(&"ã".repeat(70)), 1);
        assert_eq!(parts(&format!("{}ã", "a".repeat(70))), 2);
        assert_eq!(parts(&"[".repeat(80)), 1);
        assert_eq!(parts(&"[".repeat(81)), 2);
    }
}
