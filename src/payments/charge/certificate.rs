//! The bank's client certificate expires, often after a year. After that the bank accepts neither charges nor refunds.

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use vitrine_kit::certificate;

use crate::alerts::{self, Alert, Key};
use crate::app::App;
use crate::calendar;
use crate::config::PixSettings;
use crate::error::Result;
use crate::jobs::Outcome;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The operator is told this long before the end, then every week, and every day in the last week.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The job.
pub async fn watch(app: &App) -> Result<Outcome> {
    let now = Timestamp::now();
    let pem = app.config.pix.providers.iter().chain(&app.config.pix.retired).find_map(|provider| match provider {
        PixSettings::Bank(settings) => settings.certificate.as_ref(),
        _ => None,
    });
    let Some(left) = pem.and_then(|pem| certificate::ends(pem.expose_secret().as_bytes())).map(|end| end.duration_since(now))
    else {
        return Ok(Outcome::Again(now + DAY));
    };
    if left > AHEAD {
        return Ok(Outcome::Again(now + DAY));
    }
    let day = calendar::day_of(now + left);
    let text = match left.is_negative() {
        true => format!("O certificado do banco (PIX_CERTIFICATE) venceu em {day}."),
        false => format!("O certificado do banco (PIX_CERTIFICATE) vence em {day}."),
    };
    let text = format!(
        "{text} Sem um novo, o banco não aceita nenhuma cobrança nem devolução: baixe outro no painel do banco, troque o arquivo e reinicie."
    );
    tracing::warn!(provider = "bacen", ends = %(now + left), "the client certificate ends soon, or has ended");
    let key = Key::CertificateEnds { provider: "bacen", is_near: left <= WEEK };
    alerts::raise(&app.db().await?, Alert::new(key, text)).await?;
    Ok(Outcome::Again(now + if left > WEEK { WEEK } else { DAY }))
}
