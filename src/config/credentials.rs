//! Which variables hold the credentials that a provider checks: for the alert that it does not accept them.

/// The variables, as a list in words; `None`: nothing is shown to it, or it is not known here.
pub fn credentials_of(provider: &str) -> Option<&'static str> {
    Some(match provider {
        vitrine_propay::NAME => "GO_TO_PROPAY_SECRET",
        vitrine_openpix::NAME => "OPENPIX_APP_ID",
        vitrine_bacen::NAME => "PIX_CLIENT_ID, PIX_CLIENT_SECRET, PIX_CERTIFICATE",
        vitrine_stripe::NAME => "STRIPE_SECRET_KEY",
        vitrine_melhorenvio::NAME => "SHIPPING_API_KEY",
        vitrine_correios::NAME => "CORREIOS_USER, CORREIOS_API_KEY, SHIPPING_API_KEY, CORREIOS_POSTAGE_CARD",
        vitrine_focusnfe::NAME => "NFE_API_KEY, NFE_AMBIENTE",
        vitrine_enotas::NAME => "NFE_API_KEY, NFE_COMPANY_ID",
        vitrine_resend::NAME => "RESEND_API_KEY, MAILER_FROM_EMAIL",
        vitrine_smtp::NAME => "SMTP_URL",
        vitrine_africastalking::NAME => "AFRICASTALKING_USERNAME, AFRICASTALKING_API_KEY",
        _ => return None,
    })
}
