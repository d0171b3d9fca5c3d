//! Both sides of a day, payment by payment. No database, no provider: what goes in decides what comes out.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;
use vitrine_kit::Money;
use vitrine_kit::pix::Received;

use super::report::{Kind, Line, Motion, Report, Status, Summary};
use crate::ids::PaymentId;
use crate::jobs::Job;
use crate::payments::store::Payment;

/// So many lines of a report are kept; all are counted, and all are healed.
const LINES_KEPT: usize = 2_000;
/// How long after a payment's check its refunds are looked at.
const AFTER_CHECK: SignedDuration = SignedDuration::from_mins(10);

/// A payment as our books have it.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    pub payment: Payment,
    pub number: String,
    /// What has gone back, by the ledger.
    pub returned: Money,
    /// A refund is on its way.
    pub is_refund_open: bool,
    /// It came in on the day.
    pub is_of_day: bool,
}

/// Money as their books have it.
#[derive(Debug, Clone)]
pub(super) struct Theirs {
    pub payment_id: Option<Uuid>,
    pub reference: String,
    pub amount: Money,
    pub currency: String,
    pub refunded: Money,
    pub paid_at: Option<Timestamp>,
}

impl From<Received> for Theirs {
    /// The lists hold reais alone.
    fn from(received: Received) -> Self {
        let Received { payment_id, reference, amount, refunded, paid_at } = received;
        Self { payment_id, reference, amount, currency: "BRL".to_owned(), refunded, paid_at }
    }
}

/// A payment of ours, and what they say of it.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub ours: Ours,
    pub theirs: Option<Theirs>,
    /// It came in on the day: it is not here for a refund alone.
    pub counts: bool,
    /// Refunds that differ can be read there one by one.
    pub lists_refunds: bool,
}

/// Money of theirs that is no payment of ours.
#[derive(Debug, Clone)]
pub(super) struct Stray {
    pub theirs: Theirs,
    /// Whom it names all the same.
    pub named: Option<(PaymentId, String)>,
    pub note: &'static str,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Books {
    pub pairs: Vec<Pair>,
    pub strays: Vec<Stray>,
}

/// A report, and the jobs that its differences ask for.
#[derive(Debug)]
pub(super) struct Compared {
    pub report: Report,
    /// Each now, or after a wait.
    pub heal: Vec<(Job, Option<SignedDuration>)>,
}

/// A count and a sum.
#[derive(Default)]
struct Sum {
    count: i32,
    cents: i64,
}

impl Sum {
    /// Of what is more than nothing.
    fn of(amounts: impl Iterator<Item = Money>) -> Self {
        amounts.filter(|amount| !amount.is_zero()).fold(Self::default(), |sum, amount| Self {
            count: sum.count.saturating_add(1),
            cents: sum.cents.saturating_add(amount.cents()),
        })
    }
}

pub(super) fn report(day: Date, provider: &str, books: &Books) -> Compared {
    let mut lines: Vec<Line> = books.pairs.iter().flat_map(lines_of).chain(books.strays.iter().map(stray)).collect();
    lines.sort();
    let heal = lines.iter().filter_map(|line| job_of(line, &lines)).collect();
    let (pairs, strays) = (&books.pairs, books.strays.iter().map(|stray| &stray.theirs));
    let known = |counted: bool| pairs.iter().filter(move |pair| pair.counts || !counted).filter_map(|pair| pair.theirs.as_ref());
    let theirs_captured = Sum::of(known(true).chain(strays.clone()).map(|theirs| theirs.amount));
    let theirs_refunded = Sum::of(known(false).chain(strays).map(|theirs| theirs.refunded));
    let mut summary = ours_of(day, provider, pairs);
    let theirs_hold = theirs_captured.cents.saturating_sub(theirs_refunded.cents);
    let ours_hold = summary.ours_captured_cents.saturating_sub(summary.ours_refunded_cents);
    summary.status = if lines.is_empty() { Status::Agrees } else { Status::Differs };
    summary.theirs_captured_count = Some(theirs_captured.count);
    summary.theirs_captured_cents = Some(theirs_captured.cents);
    summary.theirs_refunded_count = Some(theirs_refunded.count);
    summary.theirs_refunded_cents = Some(theirs_refunded.cents);
    summary.difference_cents = Some(theirs_hold.saturating_sub(ours_hold));
    summary.differences = i32::try_from(lines.len()).unwrap_or(i32::MAX);
    lines.truncate(LINES_KEPT);
    Compared { report: Report { summary, lines }, heal }
}

/// Of a provider that nobody can ask any more.
pub(super) fn cannot_be_asked(day: Date, provider: &str, books: &Books) -> Compared {
    Compared { report: Report { summary: ours_of(day, provider, &books.pairs), lines: Vec::new() }, heal: Vec::new() }
}

fn ours_of(day: Date, provider: &str, pairs: &[Pair]) -> Summary {
    let captured = Sum::of(pairs.iter().filter(|pair| pair.counts).map(|pair| pair.ours.payment.captured));
    let refunded = Sum::of(pairs.iter().map(|pair| pair.ours.returned));
    Summary {
        day,
        provider: provider.to_owned(),
        status: Status::CannotBeAsked,
        made_at: Timestamp::UNIX_EPOCH, // the database says when
        ours_captured_count: captured.count,
        ours_captured_cents: captured.cents,
        theirs_captured_count: None,
        theirs_captured_cents: None,
        ours_refunded_count: refunded.count,
        ours_refunded_cents: refunded.cents,
        theirs_refunded_count: None,
        theirs_refunded_cents: None,
        difference_cents: None,
        differences: 0,
    }
}

fn lines_of(pair: &Pair) -> Vec<Line> {
    let (ours, payment) = (&pair.ours, &pair.ours.payment);
    let captured = payment.status.is_captured();
    let line = |kind, ours_cents: Option<Money>, theirs_cents: Option<Money>, note: String, set_in_motion| Line {
        kind,
        payment_id: Some(payment.id),
        order_number: Some(ours.number.clone()),
        reference: pair.theirs.as_ref().map(|theirs| theirs.reference.clone()).or_else(|| payment.provider_ref.clone()),
        ours_cents: ours_cents.map(Money::cents),
        theirs_cents: theirs_cents.map(Money::cents),
        currency: payment.currency.clone(),
        note,
        set_in_motion,
    };
    let mut lines = Vec::new();
    match &pair.theirs {
        None if captured => {
            let note = "Consta como pago aqui, e o provedor não o tem como pago: confira no painel dele.".to_owned();
            lines.push(line(Kind::MissingThere, Some(payment.captured), None, note, None));
        }
        None => {}
        Some(theirs) if !captured => {
            let note = format!("Pago no provedor e {} aqui: o provedor está sendo consultado de novo.", payment.status.as_str());
            lines.push(line(Kind::MissingHere, None, Some(theirs.amount), note, Some(Motion::CheckPayment)));
        }
        Some(theirs) if theirs.currency != payment.currency => {
            let note = format!("A moeda no provedor é {}: confira no painel dele.", theirs.currency);
            lines.push(line(Kind::AmountDiffers, Some(payment.captured), Some(theirs.amount), note, None));
        }
        Some(theirs) if theirs.amount != payment.captured => {
            let note = "O valor pago no provedor é outro: confira no painel dele.".to_owned();
            lines.push(line(Kind::AmountDiffers, Some(payment.captured), Some(theirs.amount), note, None));
        }
        Some(_) => {}
    }
    let refunded = pair.theirs.as_ref().map(|theirs| theirs.refunded);
    if refunded.unwrap_or(Money::ZERO) != ours.returned {
        let (motion, what) = match pair.lists_refunds {
            true => (Some(Motion::LookAtRefunds), "as devoluções estão sendo lidas de novo no provedor."),
            false => (None, "confira no painel do provedor, que não as lista."),
        };
        let open = if ours.is_refund_open { " Há uma devolução em andamento." } else { "" };
        let note = format!("O valor devolvido difere: {what}{open}");
        lines.push(line(Kind::RefundDiffers, Some(ours.returned), refunded, note, motion));
    }
    lines
}

fn stray(stray: &Stray) -> Line {
    let (payment_id, order_number) = stray.named.clone().unzip();
    Line {
        kind: Kind::UnknownHere,
        payment_id,
        order_number,
        reference: Some(stray.theirs.reference.clone()),
        ours_cents: None,
        theirs_cents: Some(stray.theirs.amount.cents()),
        currency: stray.theirs.currency.clone(),
        note: stray.note.to_owned(),
        set_in_motion: None,
    }
}

/// Refunds are only looked at once their payment is paid here, too.
fn job_of(line: &Line, all: &[Line]) -> Option<(Job, Option<SignedDuration>)> {
    let payment = line.payment_id?;
    match line.set_in_motion? {
        Motion::CheckPayment => Some((Job::CheckPayment { payment }, None)),
        Motion::LookAtRefunds => {
            let is_unpaid = all.iter().any(|other| other.payment_id == line.payment_id && other.kind == Kind::MissingHere);
            Some((Job::LookAtRefunds { payment }, is_unpaid.then_some(AFTER_CHECK)))
        }
    }
}
