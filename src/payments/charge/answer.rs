//! What the buyer is told of a payment that was started.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::app::App;
use crate::currency::Currency;
use crate::error::{Error, Result};
use crate::ids::{OrderId, PaymentId};
use crate::payments::charge::methods::Method;
use crate::payments::charge::qr;
use crate::payments::gateway::Gateway;
use crate::payments::store::{self, Payment};
use crate::sale::states::PaymentStatus;

/// What the buyer needs to pay, by method.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Started {
    /// By PIX.
    Pix(StartedPix),
    /// By credit card.
    CreditCard(StartedCard),
}

/// What every payment has that was started.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StartedPayment {
    /// The payment; asked for again, an order answers the same one while it can be paid.
    pub payment_id: PaymentId,
    /// `pending`; `paid` if the money came before this answer.
    pub status: PaymentStatus,
    /// What is to be paid, in centavos, after the method's discount.
    #[schema(value_type = i64, minimum = 1, example = 10782)]
    pub amount_cents: Money,
    /// The currency, by ISO 4217: `BRL`.
    #[schema(value_type = Currency)]
    pub currency: String,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
}

/// A PIX that can be paid.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StartedPix {
    #[serde(flatten)]
    pub payment: StartedPayment,
    /// The picture of the code: `data:image/png;base64,…`
    #[schema(example = "data:image/png;base64,iVBORw0KGgo=")]
    pub qr_code: String,
    /// The provider's page with the code; null: it has none.
    #[schema(required = true, format = "uri", example = "https://pix.example/9d36b84f")]
    pub qr_code_url: Option<String>,
    /// PIX "copia e cola"; null: the provider gave only the picture.
    #[schema(required = true, example = "00020126580014br.gov.bcb.pix…6304A1B2")]
    pub copy_paste: Option<String>,
    /// The provider's name for the charge; null: it gave none.
    #[schema(required = true, example = "9d36b84fc70b478fb95c12729b90ca25")]
    pub txid: Option<String>,
}

/// A card payment: what Stripe Elements needs in the browser.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StartedCard {
    #[serde(flatten)]
    pub payment: StartedPayment,
    /// With which the browser confirms the payment. Keep it out of logs.
    #[schema(example = "pi_3Nf8_secret_x1")]
    pub client_secret: String,
    /// Stripe's public key; null: the storefront has its own.
    #[schema(required = true, example = "pk_test_51")]
    pub publishable_key: Option<String>,
}

impl Started {
    /// The answer.
    pub fn answer(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|e| Error::Internal(e.to_string()))
    }

    /// What is kept of the answer under an `Idempotency-Key`: without the secret that a browser pays with, and without a picture
    /// that can be drawn from the code again. [`first_answer`] adds both.
    pub fn kept(&self) -> Result<Value> {
        let mut kept = self.answer()?;
        if let Some(fields) = kept.as_object_mut() {
            fields.remove("client_secret");
            if matches!(self, Self::Pix(pix) if pix.copy_paste.is_some()) {
                fields.remove("qr_code");
            }
        }
        Ok(kept)
    }
}

/// The first answer of `POST …/pay` again, rebuilt from what was kept of it.
///
/// Errors: 503 the card's provider gives no answer. It alone has the secret.
pub async fn first_answer(app: &App, order: OrderId, mut kept: Value) -> Result<Value> {
    if let Some(code) = kept["copy_paste"].as_str() {
        kept["qr_code"] = qr::data_uri(code)?.into();
    }
    if kept.get("publishable_key").is_some() {
        let id: Option<PaymentId> = kept["payment_id"].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| Error::Internal("a kept payment has no id".into()))?;
        let payment = store::find(&app.db().await?, id).await?.filter(|payment| payment.order_id == order);
        let payment = payment.ok_or_else(|| Error::Internal(format!("payment {id} is gone")))?;
        let seen = Gateway::named(app, &payment.provider)?.read(&payment).await?; // no connection is held during the call
        let secret = seen.and_then(|seen| seen.client_secret);
        let secret = secret.ok_or(Error::Busy { what: "The provider does not show the payment now", retry_after_s: 5 })?;
        kept["client_secret"] = secret.expose_secret().into();
    }
    Ok(kept)
}

/// Fields of the answer that are not kept in the row.
pub(super) struct Extras {
    pub picture: Option<String>,
    pub client_secret: Option<SecretString>,
}

/// The answer about a payment that can be paid or is paid.
pub(super) fn started(app: &App, payment: &Payment, extras: Option<Extras>) -> Result<Started> {
    let paid = || Error::Conflict("The order is already paid".into());
    let Extras { picture, client_secret } = extras.unwrap_or(Extras { picture: None, client_secret: None });
    let common = StartedPayment {
        payment_id: payment.id,
        status: payment.status,
        amount_cents: payment.amount,
        currency: payment.currency.clone(),
        expires_at: payment.expires_at,
    };
    match Method::of(&payment.method) {
        Method::Pix => {
            let qr_code = match (&payment.copy_paste, picture) {
                (Some(code), _) => qr::data_uri(code)?,
                (None, Some(picture)) if picture.starts_with("data:image/png;base64,") => picture,
                _ => return Err(paid()),
            };
            let (qr_code_url, copy_paste) = (payment.qr_code_url.clone(), payment.copy_paste.clone());
            let txid = payment.provider_ref.clone();
            Ok(Started::Pix(StartedPix { payment: common, qr_code, qr_code_url, copy_paste, txid }))
        }
        Method::CreditCard => {
            let settings = app.config.stripe.as_ref().ok_or_else(paid)?;
            let secret = client_secret.ok_or_else(paid)?;
            Ok(Started::CreditCard(StartedCard {
                payment: common,
                client_secret: secret.expose_secret().to_owned(),
                publishable_key: settings.publishable_key.clone(),
            }))
        }
    }
}
