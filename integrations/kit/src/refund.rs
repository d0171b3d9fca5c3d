//! Refunds: the request, the state, and whether asking again can help.

use uuid::Uuid;

use crate::Money;

/// A refund to make, or to ask about. `refund_id` is our row's id and the idempotency key.
#[derive(Debug, Clone)]
pub struct NewRefund {
    pub refund_id: Uuid,
    pub payment_id: Uuid,
    /// The payment's; some providers address the refund by it.
    pub end_to_end_id: Option<String>,
    /// Their name for the payment: the txid.
    pub payment_ref: Option<String>,
    /// Their name for this refund, once they gave it one.
    pub refund_ref: Option<String>,
    pub amount: Money,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub refund_id: Uuid,
    pub status: RefundStatus,
    pub amount: Money,
    /// Their name for it: the endToEndId of the return.
    pub end_to_end_id: Option<String>,
    /// The provider's text about its state: why it failed, or the word that we do not know ([`RefundStatus::Unclear`]).
    pub said: Option<String>,
}

/// A refund in the provider's books, whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TheirRefund {
    /// Ours, where it was made by us.
    pub refund_id: Option<Uuid>,
    pub reference: String,
    pub status: RefundStatus,
    pub amount: Money,
    pub nature: Nature,
    /// As in [`Refund::said`].
    pub said: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    Processing,
    /// A word of the provider's that we do not know. The refund is asked about again; after a day the operator is alerted.
    Unclear,
    Done,
    /// The money is still here. If `Retry` allows another try, it needs a new id: this one is used up.
    Failed(Retry),
}

impl RefundStatus {
    /// It has not ended, as far as is known.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Processing | Self::Unclear)
    }
}

/// Whether asking for a refund again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing is wrong with the refund itself: the same may be done hours or days later.
    Later(Obstacle),
    /// It will never be done: too much, too late, done already, or the payer's account takes nothing.
    Never,
    /// They do not say why.
    Unsaid,
}

/// Why a refund cannot be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The balance is too low.
    Balance,
    /// A limit of a day, a night or a month.
    Limit,
    /// Not at this hour.
    Hours,
    /// A system of the provider's did not answer in time.
    TheirSide,
}

impl Obstacle {
    /// For logs and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Balance => "balance",
            Self::Limit => "limit",
            Self::Hours => "hours",
            Self::TheirSide => "their_side",
        }
    }
}

impl Retry {
    /// Reads why a PIX provider did not make a return: a code of the Central Bank's catalogue (`AM04`), or text. The Pix API has
    /// only free text for it, so the reading may be wrong. It decides only whether to ask again, never whether money moved.
    pub fn read(said: &str) -> Self {
        let plain: String = said.chars().flat_map(char::to_lowercase).map(without_accent).collect();
        let code = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find_map(code);
        code.or_else(|| words(&plain)).unwrap_or(Self::Unsaid)
    }
}

/// Codes of the instant payments' catalogue that can end a return, and Woovi's own.
fn code(word: &str) -> Option<Retry> {
    Some(match word {
        "AM04" | "NOT_ENOUGH_BALANCE" => Retry::Later(Obstacle::Balance),
        "AM02" | "REACH_TRANSFER_LIMIT" | "ACCOUNT_LIMIT_ERROR" => Retry::Later(Obstacle::Limit),
        "AB03" | "AB09" | "AB11" | "ED05" => Retry::Later(Obstacle::TheirSide),
        "AC03" | "AC06" | "AC07" | "AC14" | "AG03" | "AG12" | "AG13" | "AM01" | "AM09" | "BE01" | "CH11" | "DT05" | "FF08"
        | "FRAD" | "RR04" | "SL02" => Retry::Never,
        _ => return None,
    })
}

/// The first group that matches decides, so that "prazo limite" does not count as a limit.
fn words(plain: &str) -> Option<Retry> {
    const BALANCE: [&str; 9] = [
        "saldo insuf",
        "sem saldo",
        "nao possui saldo",
        "nao ha saldo",
        "saldo indispon",
        "fundos insuf",
        "enough balance",
        "insufficient balance",
        "insufficient funds",
    ];
    const LATE: [&str; 3] = ["prazo", "90 dias", "janela de tempo"];
    const LIMIT: [&str; 2] = ["limite", "limit "];
    const HOURS: [&str; 2] = ["fora do horario", "horario nao permitido"];
    const NEVER: [&str; 7] =
        ["excede", "ultrapassa", "valor do pix", "ja devolvid", "ja foi devolvid", "already refunded", "conta encerrada"];
    let groups: [(&[&str], Retry); 5] = [
        (&BALANCE, Retry::Later(Obstacle::Balance)),
        (&LATE, Retry::Never),
        (&LIMIT, Retry::Later(Obstacle::Limit)),
        (&HOURS, Retry::Later(Obstacle::Hours)),
        (&NEVER, Retry::Never),
    ];
    groups.into_iter().find(|(group, _)| group.iter().any(|words| plain.contains(words))).map(|(_, retry)| retry)
}

fn without_accent(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ã' => 'a',
        'é' | 'ê' => 'e',
        'í' => 'i',
        'ó' | 'ô' | 'õ' => 'o',
        'ú' => 'u',
        'ç' => 'c',
        other => other,
    }
}

/// What a PIX return is, as the Pix API of the Central Bank names it (`natureza`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nature {
    /// `ORIGINAL`: the shop gives back what was paid. So is one without a word, by the standard.
    Original,
    /// `RETIRADA`: the shop gives back the cash of a Pix Saque or Pix Troco.
    Withdrawal,
    /// The payer's bank took it.
    Med(Med),
    /// A word that we do not know: an administrator must look.
    Other(String),
    /// The provider does not say: the return may be the shop's or the bank's.
    Unsaid,
}

/// The special return mechanism (MED), by its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Med {
    /// `MED_OPERACIONAL`: a bank's mistake.
    Operational,
    /// `MED_FRAUDE`: well-founded suspicion of fraud.
    Fraud,
    /// `MED_PIX_AUTOMATICO`: a recurring charge that the payer's bank returned.
    Automatic,
}

/// Who made money go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The shop: by us, or on the provider's own pages.
    Asked,
    /// The payer's bank took it: a lost dispute, not a refund.
    Bank(Med),
    /// It is not known from this alone.
    Unclear,
}

impl Nature {
    /// Of `natureza`. The standard reads its absence as `ORIGINAL`.
    pub fn parse(word: Option<&str>) -> Self {
        match word.unwrap_or("ORIGINAL") {
            "ORIGINAL" => Self::Original,
            "RETIRADA" => Self::Withdrawal,
            "MED_OPERACIONAL" => Self::Med(Med::Operational),
            "MED_FRAUDE" => Self::Med(Med::Fraud),
            "MED_PIX_AUTOMATICO" => Self::Med(Med::Automatic),
            other => Self::Other(other.chars().filter(|c| !c.is_control()).take(40).collect()),
        }
    }

    pub fn origin(&self) -> Origin {
        match self {
            Self::Original | Self::Withdrawal => Origin::Asked,
            Self::Med(med) => Origin::Bank(*med),
            Self::Other(_) | Self::Unsaid => Origin::Unclear,
        }
    }
}

impl Med {
    /// The Central Bank's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "MED_OPERACIONAL",
            Self::Fraud => "MED_FRAUDE",
            Self::Automatic => "MED_PIX_AUTOMATICO",
        }
    }
}

impl TheirRefund {
    pub fn origin(&self) -> Origin {
        self.nature.origin()
    }

    /// The payer's bank took it (MED): a lost dispute, not a refund of the shop's.
    pub fn is_by_the_bank(&self) -> bool {
        matches!(self.origin(), Origin::Bank(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_certain_says_who_made_it() {
        for (word, nature, origin) in [
            (None, Nature::Original, Origin::Asked),
            (Some("ORIGINAL"), Nature::Original, Origin::Asked),
            (Some("RETIRADA"), Nature::Withdrawal, Origin::Asked),
            (Some("MED_OPERACIONAL"), Nature::Med(Med::Operational), Origin::Bank(Med::Operational)),
            (Some("MED_FRAUDE"), Nature::Med(Med::Fraud), Origin::Bank(Med::Fraud)),
            (Some("MED_PIX_AUTOMATICO"), Nature::Med(Med::Automatic), Origin::Bank(Med::Automatic)),
            (Some("MED_\nNOVO"), Nature::Other("MED_NOVO".into()), Origin::Unclear),
            (Some(""), Nature::Other(String::new()), Origin::Unclear),
        ] {
            let read = Nature::parse(word);
            assert_eq!((&read, read.origin()), (&nature, origin), "{word:?}");
        }
        assert_eq!(Nature::Unsaid.origin(), Origin::Unclear);
    }

    #[test]
    fn why_a_return_was_not_made_is_read_from_codes_and_words() {
        let later = |obstacle| Retry::Later(obstacle);
        for (said, retry) in [
            ("AM04 - Saldo insuficiente", later(Obstacle::Balance)),
            ("Devolução não realizada: SALDO INSUFICIENTE", later(Obstacle::Balance)),
            ("A conta não possui saldo suficiente", later(Obstacle::Balance)),
            ("Account does not have enough balance to complete the operation", later(Obstacle::Balance)),
            ("AM02", later(Obstacle::Limit)),
            ("Limite noturno excedido", later(Obstacle::Limit)),
            ("Fora do horário permitido", later(Obstacle::Hours)),
            ("AB03: timeout", later(Obstacle::TheirSide)),
            ("AC07 conta encerrada", Retry::Never),
            ("Prazo limite para devolução foi expirado", Retry::Never),
            ("excederia o valor do pix originário", Retry::Never),
            ("DS04", Retry::Unsaid),
            ("", Retry::Unsaid),
            ("AM040", Retry::Unsaid),
        ] {
            assert_eq!(Retry::read(said), retry, "{said}");
        }
    }
}
