//! What the key of an alert comes to: its word and the text that tells it from others of that word, how soon somebody should look, and
//! what the mail is called.

use std::fmt;

use sha2::{Digest, Sha256};

use super::key::{Key, List, Severity};
use crate::jobs::is_message;

/// Room for the part behind the word.
const MAX_DETAIL: usize = 120;

/// All words that a key can begin with; `docs/alerts.md` explains each.
pub const WORDS: [&str; 43] = [
    "provider-refuses-us",
    "provider-unconfigured",
    "job-dead",
    "charge-refused",
    "pix-code-unfit",
    "surplus",
    "payment-differs",
    "refund-failed",
    "refund-waits",
    "refund-still-waits",
    "refund-slow",
    "refund-came-back",
    "refund-too-much",
    "refund-unknown",
    "refund-made-elsewhere",
    "paid-back-twice",
    "inquiry-opened",
    "dispute-opened",
    "dispute-closed",
    "dispute-unclear",
    "dispute-stays-open",
    "list-refused",
    "pix-disputed",
    "certificate-ends",
    "books-differ",
    "invoice-account",
    "tax-rules-ahead",
    "invoice-without-ibs-cbs",
    "sold-unready",
    "invoice-rejected",
    "invoice-denied",
    "invoice-not-sent",
    "invoice-not-cancelled",
    "invoice-cancelled-elsewhere",
    "correction-refused",
    "labels-halted",
    "label-paid-twice",
    "label-cancelled-elsewhere",
    "label-expired",
    "label-stranded",
    "parcel-of-ended-order",
    "parcel-in-trouble",
    "low-stock",
];

/// What a key comes to.
struct Parts {
    word: &'static str,
    detail: String,
    severity: Severity,
    subject: String,
}

fn critical(word: &'static str, detail: impl fmt::Display, subject: impl Into<String>) -> Parts {
    Parts { word, detail: detail.to_string(), severity: Severity::Critical, subject: subject.into() }
}

fn warning(word: &'static str, detail: impl fmt::Display, subject: impl Into<String>) -> Parts {
    Parts { severity: Severity::Warning, ..critical(word, detail, subject) }
}

fn info(word: &'static str, detail: impl fmt::Display, subject: impl Into<String>) -> Parts {
    Parts { severity: Severity::Info, ..critical(word, detail, subject) }
}

impl Key<'_> {
    /// One line per alert: its word, what tells it from others of that word, its severity and its subject.
    fn parts(&self) -> Parts {
        match self {
            Self::ProviderRefusesUs { provider } => {
                critical("provider-refuses-us", provider, format!("{provider} não aceita as credenciais da loja"))
            }
            Self::ProviderUnconfigured { provider } => {
                critical("provider-unconfigured", provider, format!("Pagamentos de {provider}, que não está configurado"))
            }
            Self::JobDead { kind, cause } => {
                let make = if is_message(kind) { warning } else { critical };
                make("job-dead", format!("{kind}:{}", cause_of(cause)), format!("Tarefa parada: {kind}"))
            }
            Self::ChargeRefused { provider, code } => {
                critical("charge-refused", format!("{provider}:{code}"), format!("Cobrança recusada por {provider}"))
            }
            Self::PixCodeUnfit { provider } => critical("pix-code-unfit", provider, "Código PIX inválido"),
            Self::Surplus(id) => warning("surplus", id, "Pagamento será devolvido"),
            Self::PaymentDiffers(id) => critical("payment-differs", id, "Pagamento não confere"),
            Self::RefundFailed(id) => critical("refund-failed", id, "Devolução falhou"),
            Self::RefundWaits(id) => warning("refund-waits", id, "Devolução espera"),
            Self::RefundStillWaits(id) => critical("refund-still-waits", id, "Devolução espera há um dia"),
            Self::RefundSlow(id) => critical("refund-slow", id, "Devolução sem fim há um dia"),
            Self::RefundCameBack(id) => critical("refund-came-back", id, "Devolução voltou"),
            Self::RefundTooMuch(id) => critical("refund-too-much", id, "Devolução acima do valor pago"),
            Self::RefundUnknown { provider, reference } => {
                critical("refund-unknown", format!("{provider}:{reference}"), "Devolução desconhecida")
            }
            Self::RefundMadeElsewhere(id) => warning("refund-made-elsewhere", id, "Devolução feita no painel do provedor"),
            Self::PaidBackTwice(id) => critical("paid-back-twice", id, "Pagamento devolvido duas vezes"),
            Self::InquiryOpened { reference } => warning("inquiry-opened", reference, "Consulta do banco sobre um pagamento"),
            Self::DisputeOpened { reference } => critical("dispute-opened", reference, "Pagamento contestado"),
            Self::DisputeClosed { reference, is_lost: true } => critical("dispute-closed", reference, "Disputa perdida"),
            Self::DisputeClosed { reference, .. } => info("dispute-closed", reference, "Disputa encerrada sem perda"),
            Self::DisputeUnclear { reference } => critical("dispute-unclear", reference, "Disputa encerrada sem resultado claro"),
            Self::DisputeStaysOpen { reference } => warning("dispute-stays-open", reference, "Disputa aberta há muito tempo"),
            Self::ListRefused { provider, list: List::Disputes } => {
                critical("list-refused", format!("{provider}:disputes"), format!("{provider} não mostra as disputas"))
            }
            Self::ListRefused { provider, list: List::Returns } => {
                warning("list-refused", format!("{provider}:returns"), format!("{provider} não mostra o que foi devolvido"))
            }
            Self::PixDisputed { payment: Some(id), .. } => critical("pix-disputed", id, "Pagamento PIX contestado"),
            Self::PixDisputed { text, .. } => critical("pix-disputed", fingerprint(text), "Pagamento PIX contestado"),
            Self::CertificateEnds { provider, is_near } => {
                let make = if *is_near { critical } else { warning };
                make("certificate-ends", provider, "Certificado do banco")
            }
            Self::BooksDiffer { provider, day, subject, lines } => {
                warning("books-differ", format!("{provider}:{day}:{}", fingerprint(lines)), *subject)
            }
            Self::InvoiceAccount { provider } => {
                critical("invoice-account", provider, format!("NF-e paradas: conta em {provider}"))
            }
            Self::TaxRulesAhead { day, is_near: false } => {
                warning("tax-rules-ahead", day, format!("Impostos: regras novas em {day}"))
            }
            Self::TaxRulesAhead { day, is_near: true } => {
                critical("tax-rules-ahead", format!("{day}:near"), format!("Impostos: regras novas em {day}"))
            }
            Self::InvoiceWithoutReform => warning("invoice-without-ibs-cbs", "-", "NF-e sem IBS e CBS"),
            Self::SoldUnready { provider } => warning("sold-unready", provider, "Vendido sem os dados para a nota fiscal"),
            Self::InvoiceRejected(id) => warning("invoice-rejected", id, "NF-e rejeitada"),
            Self::InvoiceDenied(id) => warning("invoice-denied", id, "NF-e denegada"),
            Self::InvoiceNotSent(id) => warning("invoice-not-sent", id, "NF-e não enviada"),
            Self::InvoiceNotCancelled(id) => warning("invoice-not-cancelled", id, "NF-e não cancelada"),
            Self::InvoiceCancelledElsewhere(id) => warning("invoice-cancelled-elsewhere", id, "NF-e cancelada fora da loja"),
            Self::CorrectionRefused(id) => warning("correction-refused", id, "Carta de correção recusada"),
            Self::LabelsHalted { why } => critical("labels-halted", cause_of(why), "Etiquetas paradas"),
            Self::LabelPaidTwice(id) => warning("label-paid-twice", id, "Etiqueta paga duas vezes"),
            Self::LabelCancelledElsewhere(id) => warning("label-cancelled-elsewhere", id, "Etiqueta cancelada"),
            Self::LabelExpired(id) => warning("label-expired", id, "Etiqueta vencida"),
            Self::LabelStranded(id) => warning("label-stranded", id, "Etiqueta de um pedido cancelado"),
            Self::ParcelOfEndedOrder(id) => critical("parcel-of-ended-order", id, "Envio de um pedido encerrado"),
            Self::ParcelInTrouble { parcel, event } => {
                warning("parcel-in-trouble", format!("{parcel}:{event}"), "Entrega com problema")
            }
            Self::LowStock { first, at, count } => {
                let what = if *count == 1 { "produto" } else { "produtos" };
                info("low-stock", format!("{first}:{}", at.as_microsecond()), format!("Estoque baixo: {count} {what}"))
            }
        }
    }

    pub fn severity(&self) -> Severity {
        self.parts().severity
    }

    /// What the mail is called, in Portuguese.
    pub fn subject(&self) -> String {
        self.parts().subject
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { word, detail, .. } = self.parts();
        write!(f, "{word}:{}", short(&detail))
    }
}

/// The word that a key begins with.
pub fn word_of(key: &str) -> &str {
    key.split(':').next().unwrap_or(key)
}

/// A cause in words, without what differs from one job to the next: ids, numbers of orders, times. Codes of a few digits stay.
fn cause_of(why: &str) -> String {
    let digits = |word: &str| word.bytes().filter(u8::is_ascii_digit).count();
    let differs = |word: &&str| digits(word) > 4 || (word.len() > 9 && digits(word) > 1);
    let words: Vec<&str> = why.split_whitespace().filter(|word| !differs(word)).collect();
    words.join(" ")
}

/// No control character, and short enough for the index.
fn short(detail: &str) -> String {
    let clean: String = detail.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect();
    if clean.trim().is_empty() { "-".to_owned() } else { clean }
}

fn fingerprint(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..6])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::RefundId;

    #[test]
    fn jobs_that_die_of_one_cause_have_one_key_and_others_have_another() {
        let key = |cause: &str| Key::JobDead { kind: "check_payment", cause }.to_string();
        assert_eq!(key("propay refused the request (401)"), "job-dead:check_payment:propay refused the request (401)");
        assert_eq!(key("payment 0192f3c1-aa is gone"), key("payment 0193f3c1-bb is gone"));
        assert_ne!(key("propay refused the request (401)"), key("propay refused the request (422)"));
        assert_eq!(key(""), "job-dead:check_payment:");
    }

    #[test]
    fn a_thing_to_be_acted_on_by_itself_has_a_key_of_its_own() {
        let (one, two) = (RefundId(Uuid::nil()), RefundId(Uuid::max()));
        assert_eq!(Key::RefundFailed(one).to_string(), "refund-failed:00000000-0000-0000-0000-000000000000");
        assert_ne!(Key::RefundFailed(one).to_string(), Key::RefundFailed(two).to_string());
        let dispute = |text| Key::PixDisputed { payment: None, text }.to_string();
        assert_ne!(dispute("um"), dispute("outro"));
    }

    #[test]
    fn a_key_fits_its_column_whatever_a_provider_calls_things() {
        for code in ["", "\0\r\n", &"ã".repeat(5000)] {
            let key = Key::ChargeRefused { provider: "propay", code }.to_string();
            assert!(
                key.chars().count() <= 200 && !key.contains(char::is_control) && key.starts_with("charge-refused:propay:"),
                "{key}"
            );
        }
    }

    #[test]
    fn what_loses_money_or_stops_the_shop_is_critical() {
        assert_eq!(Key::JobDead { kind: "send_refund", cause: "" }.severity(), Severity::Critical);
        assert_eq!(Key::JobDead { kind: "mail_order_paid", cause: "" }.severity(), Severity::Warning);
        assert_eq!(Key::DisputeClosed { reference: "dp_1", is_lost: true }.severity(), Severity::Critical);
        assert_eq!(Key::DisputeClosed { reference: "dp_1", is_lost: false }.severity(), Severity::Info);
    }
}
