//! A day's report of one provider, as it is kept and shown.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::ids::PaymentId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReconciliationStatus)]
pub enum Status {
    Agrees,
    Differs,
    /// The provider is not configured any more: our side stands alone.
    CannotBeAsked,
}

impl Status {
    /// Of a row.
    pub fn of(text: &str) -> Self {
        match text {
            "agrees" => Self::Agrees,
            "differs" => Self::Differs,
            _ => Self::CannotBeAsked,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::CannotBeAsked => "cannot_be_asked",
        }
    }
}

/// A day of one provider, in sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ReconciliationSummary)]
pub struct Summary {
    /// The shop's day: America/Sao_Paulo.
    pub day: Date,
    pub provider: String,
    pub status: Status,
    pub made_at: Timestamp,
    /// Payments that came in on that day.
    pub ours_captured_count: i32,
    pub ours_captured_cents: i64,
    /// Null where they cannot be asked, as all of `theirs`.
    pub theirs_captured_count: Option<i32>,
    pub theirs_captured_cents: Option<i64>,
    /// Of the payments that were compared, those of which money has gone back by now: these came in, or were refunded, on that day.
    pub ours_refunded_count: i32,
    pub ours_refunded_cents: i64,
    pub theirs_refunded_count: Option<i32>,
    pub theirs_refunded_cents: Option<i64>,
    /// What they hold less what we think they hold.
    pub difference_cents: Option<i64>,
    pub differences: i32,
}

/// A day of one provider, with its differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ProviderReconciliation)]
pub struct Report {
    #[serde(flatten)]
    pub summary: Summary,
    /// The first 2,000.
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DifferenceKind)]
pub enum Kind {
    /// They have money that belongs to no payment of ours.
    UnknownHere,
    /// They have it as paid, we do not.
    MissingHere,
    /// We have it as paid, they do not.
    MissingThere,
    AmountDiffers,
    /// Another sum went back by their books than by ours.
    RefundDiffers,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::UnknownHere, Self::MissingHere, Self::MissingThere, Self::AmountDiffers, Self::RefundDiffers];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHere => "unknown_here",
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::AmountDiffers => "amount_differs",
            Self::RefundDiffers => "refund_differs",
        }
    }

    /// For the operator's mail.
    fn words(self) -> &'static str {
        match self {
            Self::UnknownHere => "dinheiro no provedor que não é de nenhum pagamento da loja",
            Self::MissingHere => "pago no provedor e não aqui",
            Self::MissingThere => "pago aqui e não no provedor",
            Self::AmountDiffers => "valor pago diferente",
            Self::RefundDiffers => "valor devolvido diferente",
        }
    }
}

/// What was set in motion against a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DifferenceMotion)]
pub enum Motion {
    CheckPayment,
    LookAtRefunds,
}

impl Motion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckPayment => "check_payment",
            Self::LookAtRefunds => "look_at_refunds",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(as = Difference)]
pub struct Line {
    pub kind: Kind,
    pub payment_id: Option<PaymentId>,
    pub order_number: Option<String>,
    /// Their name for it: txid or PaymentIntent.
    pub reference: Option<String>,
    /// Null: not there. Of `refund_differs`, what has gone back.
    pub ours_cents: Option<i64>,
    pub theirs_cents: Option<i64>,
    pub currency: String,
    /// In Portuguese, for the operator.
    pub note: String,
    /// The job that heals it; null where a person must look.
    pub set_in_motion: Option<Motion>,
}

impl Line {
    fn gap(&self) -> i64 {
        self.theirs_cents.unwrap_or(0).abs_diff(self.ours_cents.unwrap_or(0)).try_into().unwrap_or(i64::MAX)
    }
}

impl Report {
    /// The operator's mail: subject and text. `None`: nothing differs, or nothing else than the last time.
    pub(super) fn alert(&self, before: Option<&Report>) -> Option<(String, String)> {
        let s = &self.summary;
        let is_known =
            before.is_some_and(|b| (b.summary.status, b.summary.differences, &b.lines) == (s.status, s.differences, &self.lines));
        if is_known || s.status == Status::Agrees {
            return None;
        }
        let (day, reais) = (s.day.strftime("%d/%m/%Y"), |cents: i64| Money::from_cents(cents));
        let ours = format!("{} recebimento(s) aqui, {}", s.ours_captured_count, reais(s.ours_captured_cents));
        if s.status == Status::CannotBeAsked {
            let text = format!(
                "O provedor {} não está mais configurado, e os seus recebimentos de {day} não puderam ser conferidos: {ours}.",
                s.provider
            );
            return (s.ours_captured_count > 0).then(|| (format!("Conciliação de {day}: {} sem conferência", s.provider), text));
        }
        let theirs = format!(
            "{} no provedor, {}",
            s.theirs_captured_count.unwrap_or_default(),
            reais(s.theirs_captured_cents.unwrap_or_default())
        );
        let found: Vec<String> = Kind::ALL.into_iter().filter_map(|kind| self.told(kind)).collect();
        let text = format!(
            "No dia {day} os livros da loja e do provedor {} diferem em {} ponto(s):\n{}\nAo todo: {ours}; {theirs}.\nO relatório de \
             conciliação do dia mostra cada ponto.",
            s.provider,
            s.differences,
            found.join("\n")
        );
        Some((format!("Conciliação de {day}: {} diferença(s), {}", s.differences, s.provider), text))
    }

    fn told(&self, kind: Kind) -> Option<String> {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.kind == kind).collect();
        let left = lines.iter().filter(|line| line.set_in_motion.is_none()).count();
        let sum = lines.iter().map(|line| line.gap()).fold(0, i64::saturating_add);
        let rest = match left {
            0 => "correção em andamento".to_owned(),
            _ => format!("{left} à espera de uma pessoa"),
        };
        (!lines.is_empty()).then(|| format!("- {}: {} ({}), {rest}", kind.words(), lines.len(), Money::from_cents(sum)))
    }
}
