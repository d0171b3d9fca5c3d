//! What the control's calls share: who is meant, how it is told, what is answered.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::server::control::Control;
use crate::world::World;
use crate::world::orders::{Refused, SendWebhook};

pub(crate) fn control(world: &Data<World>) -> Control {
    Control::new(Data::clone(world).into_inner())
}

pub(crate) fn answer<T: Serialize>(outcome: Result<T, Refused>) -> HttpResponse {
    let why = match outcome {
        Ok(done) => return HttpResponse::Ok().json(done),
        Err(why) => why,
    };
    let mut answer = match why {
        Refused::NotFound => HttpResponse::NotFound(),
        Refused::Invalid(_) => HttpResponse::UnprocessableEntity(),
        _ => HttpResponse::Conflict(),
    };
    answer.json(json!({"error": why.to_string()}))
}

/// One of the three names a charge.
#[derive(Deserialize)]
pub(crate) struct Target {
    payment_id: Option<String>,
    txid: Option<String>,
    order_id: Option<String>,
}

impl Target {
    pub(crate) fn id(self) -> Result<String, Refused> {
        let missing = || Refused::Invalid("payment_id, txid or order_id is required".into());
        self.payment_id.or(self.txid).or(self.order_id).ok_or_else(missing)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    #[default]
    Once,
    Twice,
    Lost,
    Late,
}

impl How {
    pub(crate) fn with(self, delay_ms: Option<u64>) -> SendWebhook {
        match self {
            Self::Once => SendWebhook::Once,
            Self::Twice => SendWebhook::Twice,
            Self::Lost => SendWebhook::Lost,
            Self::Late => SendWebhook::Late(Duration::from_millis(delay_ms.unwrap_or(5_000))),
        }
    }
}
