//! Client certificates: when they expire.

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// When the first certificate of a PEM text expires, the client's own or one of its chain. `None`: it holds none that can be
/// read.
pub fn ends(pem: &[u8]) -> Option<Timestamp> {
    let end = |der: CertificateDer<'_>| {
        let certificate = Certificate::from_der(&der).ok()?;
        let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
        Timestamp::from_second(i64::try_from(end.as_secs()).ok()?).ok()
    };
    CertificateDer::pem_slice_iter(pem).flatten().filter_map(end).min()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pem(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["loja.test".to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 3, 1);
        let key = KeyPair::generate().expect("a key");
        format!("{}{}", key.serialize_pem(), params.self_signed(&key).expect("signed").pem())
    }

    #[test]
    fn the_first_to_end_counts_whatever_else_stands_in_the_file() {
        let march = |year: i16| jiff::civil::date(year, 3, 1).at(0, 0, 0, 0).in_tz("UTC").expect("a time").timestamp();
        assert_eq!(ends(pem(2031).as_bytes()), Some(march(2031)));
        assert_eq!(ends(format!("Bag Attributes\n{}{}", pem(2033), pem(2029)).as_bytes()), Some(march(2029)));
        assert_eq!(ends(pem(2052).as_bytes()), Some(march(2052)), "written in another form from 2050 on");
        for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert_eq!(ends(text.as_bytes()), None, "{text}");
        }
    }
}
