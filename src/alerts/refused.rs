//! A provider that does not accept the shop's credentials, or refuses a list. Whoever meets it raises the same alert: one per provider
//! and day.

use deadpool_postgres::GenericClient;
use vitrine_kit::{ProviderError, said};

use super::{Alert, Key, List, raise};
use crate::config::credentials_of;
use crate::error::Result;
use crate::ids::OrderId;

/// Raises the alert if that is what the error says; else nothing. The caller commits.
pub async fn raise_if_refused(tx: &impl GenericClient, error: &ProviderError, order: Option<OrderId>) -> Result<()> {
    match refused(error) {
        Some(alert) => raise(tx, alert.about(order)).await,
        None => Ok(()),
    }
}

fn refused(error: &ProviderError) -> Option<Alert<'static>> {
    let ProviderError::NotAccepted { provider, code, message } = error else { return None };
    let said = said(code, message);
    let look_at = credentials_of(provider).map(|variables| format!(" ({variables})")).unwrap_or_default();
    let text = format!(
        "{provider} não aceita as credenciais da loja, ou falta a elas uma permissão: {said}. Confira-as no painel do provedor e na \
         configuração{look_at}, e reinicie. Até lá o que precisa de {provider} espera, e pagamentos novos vão para o próximo provedor de PIX, \
         se houver um. Depois tudo segue sozinho."
    );
    Some(Alert::new(Key::ProviderRefusesUs { provider }, text))
}

/// They refuse a list that is read for what no webhook told of. `what`: of it, in Portuguese. The caller commits.
pub async fn raise_list_refused(tx: &impl GenericClient, error: &ProviderError, list: List, what: &str) -> Result<()> {
    let provider = error.provider();
    let (ProviderError::Rejected { code, message, .. } | ProviderError::RefundRefused { code, message, .. }) = error else {
        return Ok(());
    };
    let said = said(code, message);
    let text = format!(
        "{provider} se recusa a mostrar {what} ({said}). O que nenhum aviso contou não é encontrado ali: confira no painel do provedor."
    );
    raise(tx, Alert::new(Key::ListRefused { provider, list }, text)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_names_what_they_said_and_what_to_look_at() {
        let (provider, code, message) = (vitrine_openpix::NAME, "401".to_owned(), "appID inválido".to_owned());
        let alert = refused(&ProviderError::NotAccepted { provider, code, message }).expect("an alert");
        assert_eq!(alert.key.to_string(), "provider-refuses-us:openpix");
        assert!(alert.text.contains("401: appID inválido") && alert.text.contains("(OPENPIX_APP_ID)"), "{}", alert.text);
        let away = ProviderError::Unavailable { provider, reason: "answered 503".to_owned(), retry_after_s: None };
        assert!(refused(&away).is_none());
    }
}
