//! The names of providers as rows, queries and answers carry them.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

/// With whom a payment is made: `propay`, `openpix` and `bacen` (a bank's Pix API) take PIX, `stripe` takes cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum PaymentProvider {
    ProPay,
    OpenPix,
    Bacen,
    Stripe,
}

/// Who sends an invoice to the tax authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum InvoiceProvider {
    FocusNfe,
    Enotas,
}

/// Who was asked for freight. `pickup`: nobody, the buyer collects it at the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum FreightProvider {
    Correios,
    MelhorEnvio,
    Pickup,
}

/// Who sends a message: `resend` and `smtp` mails, `africastalking` texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum MessageProvider {
    Resend,
    Smtp,
    AfricasTalking,
}

/// Whose events the inbox takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum WebhookProvider {
    ProPay,
    OpenPix,
    Bacen,
    Stripe,
    FocusNfe,
    Enotas,
    Resend,
    AfricasTalking,
    MelhorEnvio,
}

/// A provider, and what for: `propay` is for calls that a buyer waits for; `propay background` is for checks, voids, refunds and comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum BreakerName {
    ProPay,
    #[serde(rename = "propay background")]
    #[strum(serialize = "propay background")]
    ProPayBackground,
    OpenPix,
    #[serde(rename = "openpix background")]
    #[strum(serialize = "openpix background")]
    OpenPixBackground,
    Bacen,
    #[serde(rename = "bacen background")]
    #[strum(serialize = "bacen background")]
    BacenBackground,
    Stripe,
    #[serde(rename = "stripe background")]
    #[strum(serialize = "stripe background")]
    StripeBackground,
    MelhorEnvio,
    #[serde(rename = "melhorenvio labels")]
    #[strum(serialize = "melhorenvio labels")]
    MelhorEnvioLabels,
    Correios,
    #[serde(rename = "correios background")]
    #[strum(serialize = "correios background")]
    CorreiosBackground,
    Resend,
    Smtp,
    AfricasTalking,
    FocusNfe,
    Enotas,
    ViaCep,
    BrasilApi,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<T: VariantArray + Copy + Serialize + Into<&'static str>>() -> Vec<&'static str> {
        let words = T::VARIANTS.iter().map(|one| {
            let word: &'static str = (*one).into();
            assert_eq!(serde_json::to_value(one).expect("JSON"), word);
            word
        });
        words.collect()
    }

    #[test]
    fn each_name_is_the_one_that_the_provider_has() {
        let payments = [vitrine_propay::NAME, vitrine_openpix::NAME, vitrine_bacen::NAME, vitrine_stripe::NAME];
        let fiscal = [vitrine_focusnfe::NAME, vitrine_enotas::NAME];
        let messages = [vitrine_resend::NAME, vitrine_smtp::NAME, vitrine_africastalking::NAME];
        assert_eq!(words::<PaymentProvider>(), payments);
        assert_eq!(words::<InvoiceProvider>(), fiscal);
        assert_eq!(words::<FreightProvider>()[..2], [vitrine_correios::NAME, vitrine_melhorenvio::NAME]);
        assert_eq!(words::<MessageProvider>(), messages);
        let others = [vitrine_resend::NAME, vitrine_africastalking::NAME, vitrine_melhorenvio::NAME];
        assert_eq!(words::<WebhookProvider>(), [&payments[..], &fiscal, &others].concat());
        let (breakers, carriers) = (words::<BreakerName>(), [vitrine_correios::NAME, vitrine_melhorenvio::NAME]);
        let ceps = [vitrine_cep::VIACEP, vitrine_cep::BRASILAPI];
        let all = [&payments[..], &fiscal, &messages, &carriers, &ceps].concat();
        assert!(all.iter().all(|name| breakers.contains(name)), "{breakers:?}");
    }
}
