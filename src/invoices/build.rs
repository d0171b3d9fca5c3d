//! From an order to its invoice: every amount apportioned so that the items add up to the order to the centavo, and
//! everything that the tax authority would refuse named before a number is spent.

use jiff::Timestamp;
use vitrine_kit::nfe::{Environment, FreightBy, Item, Nfe, PaidBy, Payment, Purpose, Registration, Totals};
use vitrine_kit::{AccessKey, Cnpj, Money};

use super::company::Company;
use super::facts::{Facts, Line};
use super::parties::{Cities, buyer, issuer, registration};
use super::problem::Problem;
use super::returns;
use super::tax::{self, Setting};
use super::totals::totals;
use super::ware::{self, Ware};
use crate::calendar;
use crate::sale::returned::Note;
use crate::tax::states::{self, State};

/// More items than this are more than one invoice.
const MAX_ITEMS: usize = 990;

/// Which invoice is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Our invoice's id without dashes.
    pub reference: String,
    pub environment: Environment,
    pub issued_at: Timestamp,
    /// The seller's, as the configuration names it: where it differs, one of the two is wrong.
    pub cnpj: Option<Cnpj>,
    /// The pieces that it is about, and its freight.
    pub note: Note,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    Sale,
    /// Goods came back.
    Return(Back),
}

/// The sale that a return gives back, or a part of it.
#[derive(Debug, Clone)]
pub struct Back {
    /// Its invoice, and when that was issued: its taxes are given back by the rules of that day.
    pub of: AccessKey,
    pub sold_at: Timestamp,
    /// What stands on that invoice.
    pub sale: Note,
}

/// The whole invoice, or all that is in its way.
pub fn build(wanted: &Wanted, facts: &Facts, company: Option<&Company>, cities: &Cities) -> Result<Nfe, Vec<Problem>> {
    let Some(company) = company else {
        let text = "Informe os dados da empresa em /api/admin/settings/company";
        return Err(vec![Problem::new("company", text)]);
    };
    let mut wrong = Vec::new();
    let issuer = issuer(wanted.cnpj.as_ref(), company, cities.seller.clone(), &mut wrong);
    let buyer = buyer(facts, cities, &mut wrong);
    let from = states::find(&company.address.state);
    // What is fetched at the shop is sold there, wherever its buyer lives.
    let to = if facts.is_fetched() { from } else { states::find(&facts.address.state) };
    let ends = from.zip(to);
    let parts = parts(wanted, facts);
    let items = match ends {
        Some((from, to)) => items(wanted, &parts, facts, &setting(wanted, facts, company, (from, to)), &mut wrong),
        None => Vec::new(), // named above, with the address
    };
    let totals = totals(&items);
    if wrong.is_empty() && matches!(wanted.kind, Kind::Sale) {
        check_sums(wanted, facts, totals.as_ref(), &mut wrong);
    }
    let (Some(issuer), Some(buyer), Some(totals)) = (issuer, buyer, totals) else { return Err(wrong) };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let weight = |part: &Part<'_>| i64::from(part.line.weight_grams) * i64::from(part.quantity);
    Ok(Nfe {
        reference: wanted.reference.clone(),
        environment: wanted.environment,
        issued_at: wanted.issued_at,
        nature: match wanted.kind {
            Kind::Sale => "Venda de mercadoria".to_owned(),
            Kind::Return(_) => "Devolução de venda de mercadoria".to_owned(),
        },
        purpose: match &wanted.kind {
            Kind::Sale => Purpose::Sale,
            Kind::Return(back) => Purpose::Return { of: back.of.clone() },
        },
        notes: notes(wanted, facts, company, totals.approximate_taxes),
        payment: payment(wanted, facts, totals.invoice),
        freight: if facts.is_fetched() { FreightBy::None } else { FreightBy::Seller },
        in_person: facts.is_fetched(),
        volumes: volumes(wanted, facts, &parts),
        weight_grams: u32::try_from(parts.iter().map(weight).sum::<i64>()).unwrap_or(u32::MAX),
        issuer,
        buyer,
        items,
        totals,
    })
}

/// The boxes that the goods leave in, as their freight was quoted, but no more than there are pieces. In how many goods come back nobody
/// knows.
fn volumes(wanted: &Wanted, facts: &Facts, parts: &[Part<'_>]) -> u32 {
    let pieces = parts.iter().map(|part| part.quantity).fold(0, u32::saturating_add);
    let boxes = u32::try_from(facts.boxes).unwrap_or(0);
    if matches!(wanted.kind, Kind::Sale) { boxes.clamp(1, pieces.max(1)) } else { 1 }
}

fn setting<'a>(wanted: &Wanted, facts: &'a Facts, company: &Company, (from, to): (&'a State, &'a State)) -> Setting<'a> {
    let regime = company.tax_regime.into();
    // A buyer is always a final consumer. A company may contribute to ICMS all the same.
    let to_contributor = registration(facts) != Registration::NonContributor;
    let sold_at = match &wanted.kind {
        Kind::Sale => wanted.issued_at,
        Kind::Return(back) => back.sold_at,
    };
    Setting { regime, from, to, to_contributor, rules: &facts.rules, day: calendar::day_of(sold_at) }
}

/// How much of a line this invoice is about, with its share of the line's discount.
struct Part<'a> {
    line: &'a Line,
    /// Its item in the sale's invoice, from 1.
    number: u32,
    quantity: u32,
    gross: Money,
    discount: Money,
}

fn parts<'a>(wanted: &Wanted, facts: &'a Facts) -> Vec<Part<'a>> {
    let sale = match &wanted.kind {
        Kind::Sale => &wanted.note,
        Kind::Return(back) => &back.sale,
    };
    let sold = facts.lines.iter().filter(|line| sale.quantity(line.id) > 0).zip(1..);
    let part = |(line, number): (&'a Line, u32)| {
        let pieces = wanted.note.pieces.iter().find(|pieces| pieces.line == line.id)?;
        let quantity = pieces.quantity.unsigned_abs();
        let gross = line.unit_price.times(quantity).unwrap_or(line.gross);
        Some(Part { line, number, quantity, gross, discount: pieces.discount })
    };
    sold.filter_map(part).collect()
}

fn items(wanted: &Wanted, parts: &[Part<'_>], facts: &Facts, setting: &Setting<'_>, wrong: &mut Vec<Problem>) -> Vec<Item> {
    if parts.is_empty() || parts.len() > MAX_ITEMS {
        wrong.push(Problem::new("items", format!("Uma nota tem de 1 a {MAX_ITEMS} itens")));
    }
    let net: Vec<Money> = parts.iter().map(|p| p.gross.checked_sub(p.discount).unwrap_or(Money::ZERO)).collect();
    let freights = Money::apportion(wanted.note.freight, &net);
    let is_return = matches!(wanted.kind, Kind::Return(_));
    let mut items = Vec::with_capacity(parts.len());
    for (i, (part, freight)) in parts.iter().zip(freights).enumerate() {
        let at = format!("items[{i}]");
        let before = wrong.len();
        let data = part.line.tax.clone().or(&facts.rules.products);
        let ware = Ware { ncm: part.line.ncm.as_deref(), cfop: part.line.cfop.as_deref(), origin: part.line.origin, tax: &data };
        ware::text(&part.line.sku, &format!("{at}.sku"), wrong);
        ware::text(&part.line.name, &format!("{at}.name"), wrong);
        let kind = ware::kind(&ware, &facts.rules, &at, wrong);
        let cfop = ware::movement(setting, &ware, is_return, &at, wrong);
        let value = Money::sum([net[i], freight]).unwrap_or(Money::ZERO);
        let origin = kind.as_ref().map_or(0, |(_, origin)| *origin);
        let taxes = tax::taxes_of(setting, &data, origin, value, &at).map_err(|more| wrong.extend(more)).ok();
        let (Some((ncm, _)), Some(cfop), Some(mut taxes)) = (kind, cfop, taxes) else { continue };
        if wrong.len() > before {
            continue;
        }
        if is_return {
            returns::turn_around(setting.regime, &mut taxes);
        }
        let approximate_taxes = if is_return { None } else { tax::approximate(&facts.rules, &ncm, value) };
        items.push(Item {
            approximate_taxes,
            number: i as u32 + 1,
            sku: part.line.sku.clone(),
            name: part.line.name.clone(),
            ncm,
            cest: data.cest,
            cfop,
            unit: data.unit.unwrap_or_else(|| "UN".to_owned()),
            quantity: part.quantity,
            unit_price: part.line.unit_price,
            gross: part.gross,
            discount: part.discount,
            freight,
            sold_as: is_return.then_some(part.number),
            taxes,
        });
    }
    items
}

/// What stands on the sale's invoice and what came back before it are the order. The order's own sums are under constraints, so this
/// speaks up only where a line was lost on the way here.
fn check_sums(wanted: &Wanted, facts: &Facts, totals: Option<&Totals>, wrong: &mut Vec<Problem>) {
    let on_note = |line: &Line| wanted.note.pieces.iter().find(|pieces| pieces.line == line.id);
    let off_note = |line: &Line| {
        let quantity = on_note(line).map_or(0, |pieces| pieces.quantity);
        let gross = line.unit_price.times((line.quantity - quantity).unsigned_abs())?;
        Some((gross, line.discount.checked_sub(on_note(line).map_or(Money::ZERO, |pieces| pieces.discount))?))
    };
    let ours = || {
        let totals = totals?;
        let off: Vec<(Money, Money)> = facts.lines.iter().map(off_note).collect::<Option<_>>()?;
        let gross = Money::sum(off.iter().map(|(gross, _)| *gross))?.checked_add(totals.products)?;
        let discount = Money::sum(off.iter().map(|(_, discount)| *discount))?.checked_add(totals.discount)?;
        let invoice = gross.checked_sub(discount)?.checked_add(totals.freight)?;
        Some((gross, discount, totals.freight, invoice))
    };
    if ours() != Some((facts.subtotal, facts.discount, facts.shipping, facts.total)) {
        wrong.push(Problem::new("items", "Os itens da nota não somam o valor do pedido: a nota não foi enviada"));
    }
}

fn payment(wanted: &Wanted, facts: &Facts, total: Money) -> Payment {
    let method = match (&wanted.kind, facts.payment_method.as_deref()) {
        (Kind::Return(_), _) => PaidBy::Nothing,
        _ if total.is_zero() => PaidBy::Nothing,
        (_, Some("credit_card")) => PaidBy::CreditCard,
        (_, Some("wallet")) => PaidBy::Wallet,
        _ => PaidBy::Pix,
    };
    Payment { method, amount: if method == PaidBy::Nothing { Money::ZERO } else { total } }
}

fn notes(wanted: &Wanted, facts: &Facts, company: &Company, approximate_taxes: Money) -> String {
    use vitrine_kit::nfe::Regime;
    let mut notes = Vec::new();
    match company.tax_regime.into() {
        // What the law has them write (Resolução CGSN 140/2018, art. 59).
        Regime::Simples | Regime::Mei => notes.push(
            "Documento emitido por ME ou EPP optante pelo Simples Nacional. Não gera direito a crédito fiscal de IPI.".to_owned(),
        ),
        Regime::SimplesExcess => notes.push(
            "Estabelecimento impedido de recolher o ICMS pelo Simples Nacional, nos termos do § 1º do art. 20 da Lei Complementar \
             nº 123, de 2006."
                .to_owned(),
        ),
        Regime::Normal => {}
    }
    if let (Kind::Sale, Some(rates)) = (&wanted.kind, &facts.rules.approximate_taxes) {
        let value = approximate_taxes.to_decimal().replace('.', ",");
        notes.push(format!("Valor aproximado dos tributos: R$ {value}. Fonte: {}.", rates.source));
    }
    notes.extend(facts.rules.notes.clone());
    notes.push(match &wanted.kind {
        Kind::Sale => format!("Pedido {}.", facts.number),
        Kind::Return(back) => format!("Devolução referente ao pedido {} e à NF-e {}.", facts.number, back.of.as_str()),
    });
    notes.join(" ")
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
