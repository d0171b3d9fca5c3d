//! What Melhor Envio tells the shop: `POST /api/webhooks/melhorenvio`, with the HMAC of the body in base64.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::books::parcels::Parcel;
use crate::books::{Books, Delivery};
use crate::formats::signature;
use crate::world::news::Envelope;
use crate::world::orders::SendWebhook;
use crate::world::{World, webhooks};

/// Into the books, to be sent. `None`: nobody registered an address in the panel.
pub(crate) fn tell(world: &World, books: &mut Books, parcel: &Parcel, event: &str, how: SendWebhook) -> Option<Delivery> {
    let secret = world.cfg.melhorenvio_webhook_secret.as_ref()?;
    let body = json!({"event": event, "data": data(parcel)}).to_string();
    let headers = BTreeMap::from([
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-me-signature".to_owned(), signature::sign_base64(secret, body.as_bytes())),
    ]);
    let path = "/api/webhooks/melhorenvio".into();
    let envelope = Envelope { event_id: Uuid::now_v7().to_string(), event: event.to_owned(), path, headers, body };
    Some(webhooks::enter(world, books, "melhorenvio", &parcel.id, envelope, how))
}

fn data(parcel: &Parcel) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| format!("{at:.6}"));
    json!({
        "id": parcel.id,
        "protocol": parcel.protocol,
        "status": parcel.status.name(),
        "tracking": parcel.tracking,
        "self_tracking": parcel.tracking,
        "user_id": "3d1f4c52-7a8e-4b90-9c61-2f0d8e5a7b14",
        "tags": parcel.sent["options"]["tags"],
        "tracking_url": parcel.tracking.as_ref().map(|code| format!("https://rastreio.invalid/{code}")),
        "created_at": at(Some(parcel.created_at)),
        "updated_at": at(Some(parcel.updated_at)),
        "paid_at": at(parcel.paid_at),
        "generated_at": at(parcel.generated_at),
        "posted_at": at(parcel.posted_at),
        "delivered_at": at(parcel.delivered_at),
        "canceled_at": at(parcel.canceled_at),
        "expired_at": at(parcel.expired_at),
    })
}
