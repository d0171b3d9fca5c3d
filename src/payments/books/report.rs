//! A day's report of one provider, as it is kept and shown.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::ids::PaymentId;
use crate::providers::names::PaymentProvider;

/// How a day compares: `agrees`, `differs`, or `cannot_be_asked` (the provider is not configured any more, so that our side
/// stands alone).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Whose books they are.
    #[schema(value_type = PaymentProvider)]
    pub provider: String,
    /// How the day compares.
    pub status: Status,
    /// When the comparison was made.
    pub made_at: Timestamp,
    /// How many payments came in on that day, by our books.
    #[schema(example = 12, minimum = 0)]
    pub ours_captured_count: i32,
    /// Their sum in centavos, by our books.
    #[schema(example = 129384, minimum = 0)]
    pub ours_captured_cents: i64,
    /// The same by theirs; null where they cannot be asked, as all of `theirs`.
    #[schema(example = 12, minimum = 0, required = true)]
    pub theirs_captured_count: Option<i32>,
    /// Their sum in centavos, by theirs; null: not known.
    #[schema(example = 129384, minimum = 0, required = true)]
    pub theirs_captured_cents: Option<i64>,
    /// Of the payments that were compared, those of which money has gone back by now: these came in, or were refunded, on that day.
    #[schema(example = 1, minimum = 0)]
    pub ours_refunded_count: i32,
    /// Their sum in centavos, by our books.
    #[schema(example = 5990, minimum = 0)]
    pub ours_refunded_cents: i64,
    /// The same by theirs; null: not known.
    #[schema(example = 1, minimum = 0, required = true)]
    pub theirs_refunded_count: Option<i32>,
    /// Their sum in centavos, by theirs; null: not known.
    #[schema(example = 5990, minimum = 0, required = true)]
    pub theirs_refunded_cents: Option<i64>,
    /// What they hold less what we think they hold, in centavos; negative: less. Null: not known.
    #[schema(example = 0, minimum = -100000000000000i64, maximum = 100000000000000i64, required = true)]
    pub difference_cents: Option<i64>,
    /// How many differences there are.
    #[schema(example = 0, minimum = 0)]
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

/// What a difference is: `unknown_here` (they have money that belongs to no payment of ours), `missing_here` (they have it as
/// paid, we do not), `missing_there` (we have it as paid, they do not), `amount_differs`, or `refund_differs` (another sum went
/// back by their books than by ours).
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
    /// What it is.
    pub kind: Kind,
    /// Our payment; null: none belongs to it.
    #[schema(required = true)]
    pub payment_id: Option<PaymentId>,
    /// The number of its order; null: none.
    #[schema(required = true, example = "0A1B2-C3D4E")]
    pub order_number: Option<String>,
    /// Their name for it: txid or PaymentIntent.
    #[schema(required = true, example = "9d36b84fc70b478fb95c12729b90ca25")]
    pub reference: Option<String>,
    /// By our books, in centavos; null: it is not there. Of `refund_differs`, what has gone back.
    #[schema(required = true, minimum = 0, example = 5990)]
    pub ours_cents: Option<i64>,
    /// By theirs, in centavos; null: it is not there.
    #[schema(required = true, minimum = 0, example = 5990)]
    pub theirs_cents: Option<i64>,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    #[schema(example = "BRL")]
    pub currency: String,
    /// In Portuguese, for the operator.
    #[schema(example = "O PIX não está nos nossos livros")]
    pub note: String,
    /// The job that heals it; null where a person must look.
    #[schema(required = true)]
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
