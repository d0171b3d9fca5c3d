//! What follows from all that came back of an order, in whatever calls, parts and order it came: the order's state, what may still
//! come back, and what stands on the invoice of the sale and on those of its returns. Pure: from sums, without a database.
//!
//! A piece *came back* when it is on the shelf again or written off (lost or spoilt). Money *is back* when all that was paid went
//! back or is on its way, or the payer's bank took it.

use vitrine_kit::Money;

use super::goods::Goods;
use super::states::OrderStatus;
use crate::ids::LineId;

/// A line as sold, and what became of its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldLine {
    pub id: LineId,
    pub sold: i32,
    pub unit_price: Money,
    /// Its share of the order's discount.
    pub discount: Money,
    /// On the shelf again.
    pub restocked: i32,
    pub written_off: i32,
}

impl SoldLine {
    /// Pieces that came back.
    pub fn back(&self) -> i32 {
        self.restocked + self.written_off
    }

    /// Pieces that can still come back.
    pub fn left(&self) -> i32 {
        self.sold - self.back()
    }
}

/// The sums of one order: all that its state and its invoices follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    pub status: OrderStatus,
    pub lines: Vec<SoldLine>,
    pub freight: Money,
    /// It cost nothing: there is no money that could go back.
    pub is_free: bool,
    pub money_is_back: bool,
    /// The shop gave all of it back, and its bank or a provider's pages had no part in that.
    pub money_was_given_back: bool,
}

/// Pieces of one line on an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    pub line: LineId,
    pub quantity: i32,
    /// Their share of the line's discount.
    pub discount: Money,
}

/// What an invoice is about: pieces, each line once and in the order's own order, and freight.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    pub pieces: Vec<Pieces>,
    pub freight: Money,
}

impl Note {
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn quantity(&self, line: LineId) -> i32 {
        self.pieces.iter().filter(|pieces| pieces.line == line).map(|pieces| pieces.quantity).sum()
    }

    fn discount(&self, line: LineId) -> Money {
        sum(self.pieces.iter().filter(|pieces| pieces.line == line).map(|pieces| pieces.discount))
    }
}

/// Why goods are given back on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The pieces came back. That stays true whatever becomes of the money.
    Goods,
    /// The money is back, and the pieces are not: lost, spoilt, still with the buyer, or never sent. Untrue again when the refund
    /// fails.
    Money,
}

impl Ground {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Goods => "goods",
            Self::Money => "money",
        }
    }
}

/// What is to become of the invoice of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stands, less what came back.
    Stands,
    /// Nothing left the shop and nothing will: it is cancelled.
    Cancelled,
    /// The same, but too late to cancel it or after the goods had left: all of it is given back.
    GivenBack,
}

/// The return invoices that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NextReturns {
    /// For pieces that came back.
    pub goods: Note,
    /// For pieces whose money alone is back.
    pub money: Note,
    /// Returns on the ground of money give back more than is back: they are to be cancelled.
    pub is_too_much: bool,
}

/// Pieces of a line that come back in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub line: LineId,
    pub restock: i32,
    pub write_off: i32,
}

impl Sums {
    pub fn goods_are_back(&self) -> bool {
        self.lines.iter().all(|line| line.left() <= 0)
    }

    /// Goods and money are back: there is nothing left of the sale.
    pub fn is_undone(&self) -> bool {
        self.goods_are_back() && (self.money_is_back || self.is_free)
    }

    /// The state that the order is to have. One that had left and is undone was returned; before it left, it stays as it is, with
    /// its sale off, until somebody cancels it. A refund that fails later does not undo `returned`: the goods are here.
    pub fn next_status(&self) -> OrderStatus {
        match self.status {
            OrderStatus::Shipped | OrderStatus::Delivered if self.is_undone() => OrderStatus::Returned,
            status => status,
        }
    }

    /// What a call takes back, line by line; or why it cannot.
    pub fn take_back(&self, goods: &Goods) -> Result<Vec<Taken>, String> {
        let count = |items: &[(LineId, i32)], line| items.iter().filter(|(id, _)| *id == line).map(|(_, n)| n).sum::<i32>();
        if let Some((line, _)) = goods.restock.iter().chain(&goods.write_off).find(|(id, _)| self.line(*id).is_none()) {
            return Err(format!("The order has no line {line}"));
        }
        let wanted = |line: &SoldLine| (count(&goods.restock, line.id), count(&goods.write_off, line.id));
        let over: Vec<String> = self
            .lines
            .iter()
            .filter(|line| wanted(line).0 + wanted(line).1 > line.left())
            .map(|line| format!("of line {} only {} can still come back", line.id, line.left()))
            .collect();
        if !over.is_empty() {
            return Err(format!("Not so much is left: {}", over.join(", ")));
        }
        let take = |line: &SoldLine| {
            let (restock, write_off) = wanted(line);
            let restock = if goods.everything { line.left() - write_off } else { restock };
            Taken { line: line.id, restock, write_off }
        };
        let taken: Vec<Taken> = self.lines.iter().map(take).filter(|taken| taken.restock + taken.write_off > 0).collect();
        if taken.is_empty() { Err("The goods are back already".to_owned()) } else { Ok(taken) }
    }

    /// The invoice of the sale as long as none is sent: the pieces that are left, with all of the freight. Empty: there is nothing
    /// to invoice.
    pub fn sale_note(&self) -> Note {
        let pieces: Vec<Pieces> = self
            .lines
            .iter()
            .filter(|line| line.left() > 0)
            .map(|line| {
                let discount = less(line.discount, share(line.discount, line.back(), line.left()));
                Pieces { line: line.id, quantity: line.left(), discount }
            })
            .collect();
        let freight = if pieces.is_empty() { Money::ZERO } else { self.freight };
        Note { pieces, freight }
    }

    /// The whole order, as it was sold.
    pub fn whole(&self) -> Note {
        let pieces = |line: &SoldLine| Pieces { line: line.id, quantity: line.sold, discount: line.discount };
        Note { pieces: self.lines.iter().map(pieces).collect(), freight: self.freight }
    }

    /// A return of which only the counts are known: the release before this one wrote no amounts down.
    pub fn of_counts(&self, counts: &[(LineId, i32)]) -> Note {
        let count = |line: LineId| counts.iter().filter(|(id, _)| *id == line).map(|(_, n)| n).sum::<i32>();
        let pieces = |line: &SoldLine| {
            let quantity = count(line.id).min(line.sold);
            Pieces { line: line.id, quantity, discount: share(line.discount, quantity, line.sold - quantity) }
        };
        let pieces: Vec<Pieces> = self.lines.iter().filter(|line| count(line.id) > 0).map(pieces).collect();
        let is_whole = self.lines.iter().all(|line| count(line.id) >= line.sold);
        Note { pieces, freight: if is_whole { self.freight } else { Money::ZERO } }
    }

    /// What an invoice comes to. `None`: it does not fit, which the order's own sums would not have either.
    pub fn total(&self, note: &Note) -> Option<Money> {
        let value = |pieces: &Pieces| {
            let gross = self.line(pieces.line)?.unit_price.times(pieces.quantity.unsigned_abs())?;
            gross.checked_sub(pieces.discount)
        };
        note.pieces.iter().try_fold(note.freight, |total, pieces| total.checked_add(value(pieces)?))
    }

    /// What is to become of the invoice of the sale. `can_cancel`: no return names it, and nobody has said that it is too late.
    pub fn fate(&self, can_cancel: bool) -> Fate {
        let has_left = matches!(self.status, OrderStatus::Shipped | OrderStatus::Delivered | OrderStatus::Returned);
        // Money that a bank took, or that somebody refunded elsewhere, does not say that goods come back that had left.
        let money_ends_it = if has_left { self.money_was_given_back } else { self.money_is_back };
        let is_over = self.status == OrderStatus::Cancelled || self.goods_are_back() || money_ends_it;
        match (is_over, has_left, can_cancel) {
            (false, ..) => Fate::Stands,
            (true, false, true) => Fate::Cancelled,
            (true, ..) => Fate::GivenBack,
        }
    }

    /// The returns that are missing. `sale`: what stands on the invoice of the sale; `live`: what its returns give back so far.
    ///
    /// Pieces that came back before that invoice are not on it. A return that completes it carries what is left of its freight;
    /// shares of a discount are taken from what the other returns left of it. So all returns together are the invoice of the sale
    /// to the centavo, also where one of them was cancelled and replaced.
    pub fn next_returns(&self, sale: &Note, live: &[&Note], is_whole: bool) -> NextReturns {
        let mut next = NextReturns::default();
        let (mut goods, mut money) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let on_sale = sale.quantity(line.id);
            let given = live.iter().map(|note| note.quantity(line.id)).sum::<i32>();
            let back = (line.back() - (line.sold - on_sale)).clamp(0, on_sale);
            let due = (back - given).max(0);
            goods.push((line.id, due));
            money.push((line.id, if is_whole { (on_sale - given - due).max(0) } else { 0 }));
            next.is_too_much |= !is_whole && given > back;
        }
        next.goods = part(sale, live, &goods);
        let before: Vec<&Note> = live.iter().copied().chain([&next.goods]).collect();
        next.money = part(sale, &before, &money);
        next
    }

    pub fn line(&self, id: LineId) -> Option<&SoldLine> {
        self.lines.iter().find(|line| line.id == id)
    }
}

/// So many pieces of what the other returns of a sale left of it.
fn part(sale: &Note, others: &[&Note], counts: &[(LineId, i32)]) -> Note {
    let given = |line| others.iter().map(|note| note.quantity(line)).sum::<i32>();
    let left = |line| (sale.quantity(line) - given(line)).max(0);
    let pieces: Vec<Pieces> = counts
        .iter()
        .filter(|(_, quantity)| *quantity > 0)
        .map(|(line, quantity)| {
            let unshared = less(sale.discount(*line), sum(others.iter().map(|note| note.discount(*line))));
            Pieces { line: *line, quantity: *quantity, discount: share(unshared, *quantity, left(*line) - quantity) }
        })
        .collect();
    let taken = |line| pieces.iter().filter(|one| one.line == line).map(|one| one.quantity).sum::<i32>();
    let is_last = !pieces.is_empty() && sale.pieces.iter().all(|one| left(one.line) <= taken(one.line));
    let freight = if is_last { less(sale.freight, sum(others.iter().map(|note| note.freight))) } else { Money::ZERO };
    Note { pieces, freight }
}

/// What `some` pieces bear of a discount on `some` and `others`, by the largest remainder.
fn share(discount: Money, some: i32, others: i32) -> Money {
    if some <= 0 {
        return Money::ZERO;
    }
    Money::apportion(discount, &[Money::from_cents(some.into()), Money::from_cents(others.into())])[0]
}

/// Never below nothing.
fn less(all: Money, some: Money) -> Money {
    all.checked_sub(some).unwrap_or(Money::ZERO).max(Money::ZERO)
}

/// Parts of one order: they fit wherever the order does.
fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    Money::sum(amounts).unwrap_or(Money::ZERO)
}

#[cfg(test)]
#[path = "returned_tests.rs"]
mod tests;
