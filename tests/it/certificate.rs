//! The bank's client certificate: an alert comes before it expires.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use vitrine::jobs::{self, Job};

use crate::shop::Shop;

/// A certificate with its key that ends so many days from now.
fn pem(days: i64) -> String {
    let end = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().saturating_add(jiff::Span::new().days(days));
    let mut params = CertificateParams::new(vec!["loja.test".to_owned()]).unwrap();
    params.not_after = date_time_ymd(end.year().into(), end.month() as u8, end.day() as u8);
    let key = KeyPair::generate().unwrap();
    format!("{}{}", key.serialize_pem(), params.self_signed(&key).unwrap().pem())
}

#[actix_web::test]
async fn the_end_of_the_banks_certificate_is_told_a_month_before_and_oftener_as_it_comes_near() {
    // Days left; the alert; days until the next one.
    for (left, said, next) in [(400, None, 1), (20, Some("vence em"), 7), (4, Some("vence em"), 1), (-3, Some("venceu em"), 1)] {
        let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen"), ("PIX_CERTIFICATE", &pem(left))]).await;
        jobs::push(&shop.app.db().await.unwrap(), Job::WatchCertificate).await.unwrap();
        shop.drain().await;
        assert_eq!(shop.alerted().await, if said.is_some() { vec!["certificate-ends 1"] } else { vec![] });
        let told: Option<String> = shop.sql("SELECT max(text) FROM alerts").await;
        assert_eq!(told.as_deref().map(|text| said.is_some_and(|said| text.contains(said))), said.map(|_| true), "{told:?}");
        let again = "SELECT round(extract(epoch FROM run_at - now()) / 86400)::bigint FROM jobs WHERE kind = 'watch_certificate'";
        assert_eq!(shop.sql::<i64>(again).await, next, "{left}");
        shop.close().await;
    }
    let shop = Shop::open_with(&[("PIX_PROVIDER", "bacen")]).await;
    jobs::push(&shop.app.db().await.unwrap(), Job::WatchCertificate).await.unwrap();
    shop.drain().await;
    assert_eq!(shop.alerted().await, Vec::<String>::new(), "there is none");
    shop.close().await;
}
