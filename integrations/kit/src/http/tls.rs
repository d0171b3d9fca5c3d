//! One TLS configuration for the clients of all providers. A client that makes its own reads all of the system's
//! authorities again: some twenty milliseconds and a copy of them for each provider, at every start.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;

/// Trusts the authorities that the system trusted when this process first asked, as a client of its own would.
/// Cloning shares them.
pub(super) fn shared() -> Result<ClientConfig, rustls::Error> {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let config = build()?;
    Ok(CONFIG.get_or_init(|| config).clone())
}

fn build() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // named so for verifiers in general; this one is the system's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // The client takes a ready configuration as it is, without naming the protocols that it speaks.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_share_one_configuration_that_names_both_protocols() {
        let (first, second) = (shared().expect("TLS"), shared().expect("TLS"));
        assert!(Arc::ptr_eq(first.crypto_provider(), second.crypto_provider()));
        assert_eq!(first.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    }
}
