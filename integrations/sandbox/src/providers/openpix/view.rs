//! OpenPix's objects as it writes them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::{Charge, ChargeStatus, Payer, Refund, RefundOrigin, RefundStatus};
use crate::formats::signature;
use crate::formats::time::wire_time_ms;
use crate::world::World;

/// They know three: one that was voided has ended, and a refund changes nothing.
pub(crate) fn status_of(charge: &Charge) -> &'static str {
    match charge.status {
        ChargeStatus::Pending => "ACTIVE",
        ChargeStatus::Expired | ChargeStatus::Cancelled => "EXPIRED",
        ChargeStatus::Paid | ChargeStatus::PartiallyRefunded | ChargeStatus::Refunded => "COMPLETED",
    }
}

pub(crate) fn charge_view(world: &World, charge: &Charge) -> Value {
    let extra = &charge.extra;
    let status = status_of(charge);
    let image = format!("{}/openpix/qr/{}.png", world.url, charge.payment_id);
    let expires_in = charge.expires_at.duration_since(charge.created_at).as_secs();
    let mut customer = charge.payer.as_ref().map(customer_view);
    if let Some(customer) = &mut customer {
        customer["phone"] = extra["phone"].clone();
    }
    let mut view = json!({
        "status": status,
        "correlationID": charge.payment_id,
        "value": charge.amount_cents,
        "comment": charge.description,
        "discount": 0,
        "valueWithDiscount": charge.amount_cents,
        "identifier": charge.txid,
        "transactionID": charge.txid,
        "paymentLinkID": extra["paymentLinkID"],
        "paymentLinkUrl": format!("https://openpix.test/pay/{}", extra["paymentLinkID"].as_str().unwrap_or("")),
        "qrCodeImage": image,
        "brCode": charge.copy_paste,
        "pixKey": world.cfg.pix_key,
        "expiresIn": expires_in,
        "expiresDate": wire_time_ms(charge.expires_at),
        "type": "DYNAMIC",
        "createdAt": wire_time_ms(charge.created_at),
        "updatedAt": wire_time_ms(charge.paid_at.unwrap_or(charge.created_at)),
        "globalID": extra["globalID"],
        "additionalInfo": extra["additionalInfo"],
        "customer": customer,
        "paymentMethods": {"pix": {
            "method": "PIX_COB", "txId": charge.txid, "fee": 50, "value": charge.amount_cents, "status": status,
            "brCode": charge.copy_paste, "qrCodeImage": image,
        }},
    });
    if let Some(at) = charge.paid_at {
        view["paidAt"] = json!(wire_time_ms(at));
    }
    view
}

/// A document is plain text on the way in and an object on the way out.
pub(crate) fn customer_view(payer: &Payer) -> Value {
    let kind = if payer.tax_id.len() == 11 { "BR:CPF" } else { "BR:CNPJ" };
    let tax_id = if payer.tax_id.is_empty() { Value::Null } else { json!({"taxID": payer.tax_id, "type": kind}) };
    let hash = signature::sha256_hex(format!("{}{}", payer.tax_id, payer.name).as_bytes());
    let id = Uuid::try_parse(&hash[..32]).unwrap_or_default(); // the same person, the same id
    json!({"name": payer.name, "email": payer.email, "taxID": tax_id, "correlationID": id})
}

pub(crate) fn refund_status(refund: &Refund) -> &'static str {
    match refund.status {
        RefundStatus::Processing => "IN_PROCESSING",
        RefundStatus::Done => "CONFIRMED",
        RefundStatus::Failed => "REJECTED",
    }
}

pub(crate) fn refund_view(refund: &Refund) -> Value {
    json!({
        "status": refund_status(refund),
        "value": refund.amount_cents,
        "correlationID": (refund.origin == RefundOrigin::Shop).then_some(&refund.refund_id), // nobody named one that was taken
        "endToEndId": refund.end_to_end_id,
        "time": wire_time_ms(refund.created_at),
        "comment": refund.reason,
    })
}
