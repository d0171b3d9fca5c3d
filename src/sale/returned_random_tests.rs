//! Goods and money that come back in any order, beside a plain account of it.

use proptest::prelude::*;

use super::*;

/// How far an invoice is at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paper {
    Sent,
    Stands,
    /// It was asked to be cancelled.
    Going,
    /// The same, and it is too late.
    Stuck,
    Gone,
}

#[derive(Debug, Clone)]
struct Return {
    ground: Ground,
    note: Note,
    paper: Paper,
}

/// A shop of one order, as requests, jobs and providers move it. What it decides, it decides by the sums.
#[derive(Debug)]
struct World {
    sums: Sums,
    paid: i64,
    /// Amount, and whether the money went back for good (`None`: on its way; `false`: failed).
    refunds: Vec<(i64, Option<bool>)>,
    sale: Option<(Note, Paper)>,
    /// What stood on invoices of the sale that are gone.
    returns: Vec<Return>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Share of what is left in percent, and goods.
    Refund(i64, Comes),
    Return(Comes),
    Cancel,
    Ship,
    Deliver,
    SendSale,
    SaleIsAuthorised,
    SaleIsRejected,
    RefundIsDone(usize),
    RefundFails(usize),
    /// The jobs that follow a change of the sums.
    Jobs,
    /// The tax authority decides what was asked to be cancelled.
    Cancelled(bool),
}

#[derive(Debug, Clone)]
enum Comes {
    Nothing,
    Everything,
    /// Line, restocked, written off.
    Some(usize, i32, i32),
}

impl World {
    fn new(lines: &[(i32, i64, i64)], freight: i64) -> Self {
        let sums = order(lines, freight);
        let paid = total(&sums, &sums.whole());
        Self { sums, paid, refunds: Vec::new(), sale: None, returns: Vec::new() }
    }

    fn count_money(&mut self) {
        let back: i64 = self.refunds.iter().filter(|(_, end)| *end != Some(false)).map(|(amount, _)| amount).sum();
        assert!(back <= self.paid);
        self.sums.money_is_back = self.paid > 0 && back == self.paid;
        self.sums.money_was_given_back = self.sums.money_is_back;
        self.sums.is_free = self.paid == 0;
    }

    fn live(&self) -> Vec<&Return> {
        self.returns.iter().filter(|one| one.paper != Paper::Gone).collect()
    }

    /// As `invoices::returns::follow_sums` does.
    fn follow(&mut self, is_too_late: bool) {
        let Some((sale, Paper::Stands | Paper::Stuck)) = self.sale.clone() else { return };
        let fate = self.sums.fate(self.live().is_empty() && !is_too_late);
        if fate == Fate::Cancelled {
            return;
        }
        let next = |world: &Self| {
            let given: Vec<&Note> = world.live().iter().map(|one| &one.note).collect();
            world.sums.next_returns(&sale, &given, fate == Fate::GivenBack)
        };
        let mut plan = next(self);
        if plan.is_too_much {
            for one in self.returns.iter_mut().filter(|one| one.ground == Ground::Money) {
                one.paper = match one.paper {
                    Paper::Sent => Paper::Gone,
                    Paper::Stands => Paper::Going,
                    other => other,
                };
            }
            plan = next(self);
        }
        for (ground, note) in [(Ground::Goods, plan.goods), (Ground::Money, plan.money)] {
            if !note.is_empty() {
                self.returns.push(Return { ground, note, paper: Paper::Sent });
            }
        }
    }

    fn take(&mut self, comes: &Comes) -> bool {
        let goods = match *comes {
            Comes::Nothing => return true,
            Comes::Everything => Goods { everything: true, ..Goods::default() },
            Comes::Some(line, restock, write_off) => {
                let line = id(line % self.sums.lines.len());
                Goods { everything: false, restock: vec![(line, restock)], write_off: vec![(line, write_off)] }
            }
        };
        let Ok(taken) = self.sums.take_back(&goods) else { return false };
        for one in taken {
            let line = self.sums.lines.iter_mut().find(|line| line.id == one.line).expect("its own");
            line.restocked += one.restock;
            line.written_off += one.write_off;
        }
        true
    }

    fn is_off(&self) -> bool {
        self.sums.goods_are_back() || self.sums.money_is_back
    }

    fn step(&mut self, step: &Step) {
        let is_open = !matches!(self.sums.status, OrderStatus::Cancelled | OrderStatus::Pending);
        match step {
            Step::Refund(percent, comes) => {
                let left = self.paid - self.refunds.iter().filter(|r| r.1 != Some(false)).map(|r| r.0).sum::<i64>();
                let amount = (left * percent / 100).min(left);
                if amount == 0 || (matches!(comes, Comes::Everything) && amount < left) {
                    return;
                }
                if self.take(comes) {
                    self.refunds.push((amount, None));
                }
            }
            Step::Return(comes) if is_open => _ = self.take(comes),
            Step::Cancel if self.sums.status == OrderStatus::Processing => {
                self.sums.status = OrderStatus::Cancelled;
                for line in &mut self.sums.lines {
                    line.restocked += line.left();
                }
                let left = self.paid - self.refunds.iter().filter(|r| r.1 != Some(false)).map(|r| r.0).sum::<i64>();
                self.refunds.push((left, None));
            }
            // By hand only while the sale is on; the carrier's word counts in any case.
            Step::Ship if self.sums.status == OrderStatus::Processing => self.sums.status = OrderStatus::Shipped,
            Step::Deliver if self.sums.status == OrderStatus::Shipped => self.sums.status = OrderStatus::Delivered,
            Step::SendSale if self.sale.as_ref().is_none_or(|(_, paper)| *paper == Paper::Gone) && is_open && !self.is_off() => {
                let note = self.sums.sale_note();
                if !note.is_empty() {
                    self.sale = Some((note, Paper::Sent));
                    self.returns.clear(); // those of the one before it are gone with it
                }
            }
            Step::SaleIsAuthorised => self.authorise(),
            Step::SaleIsRejected if matches!(self.sale, Some((_, Paper::Sent))) => self.sale = None,
            Step::RefundIsDone(n) => self.end_refund(*n, true),
            Step::RefundFails(n) => self.end_refund(*n, false),
            Step::Jobs => self.jobs(),
            Step::Cancelled(in_time) => self.decide(*in_time),
            _ => {}
        }
        self.count_money();
        self.sums.status = self.sums.next_status();
        if matches!(step, Step::Refund(..) | Step::Return(_) | Step::SaleIsAuthorised) {
            self.follow(false);
        }
    }

    fn authorise(&mut self) {
        if let Some((_, paper @ Paper::Sent)) = &mut self.sale {
            *paper = Paper::Stands;
        }
        for one in self.returns.iter_mut().filter(|one| one.paper == Paper::Sent) {
            one.paper = Paper::Stands;
        }
    }

    fn end_refund(&mut self, n: usize, is_done: bool) {
        let count = self.refunds.len();
        if let Some((_, end)) = self.refunds.get_mut(n % count.max(1))
            && *end != Some(false)
        {
            *end = Some(is_done); // a failure after it was done is a bounce
        }
    }

    /// As `invoices::give_up` and `invoices::issue` do.
    fn jobs(&mut self) {
        let can_cancel = self.live().is_empty();
        match (&mut self.sale, self.sums.fate(can_cancel)) {
            (Some((_, paper @ Paper::Sent)), Fate::Cancelled) => *paper = Paper::Gone,
            (Some((_, paper @ (Paper::Stands | Paper::Stuck))), Fate::Cancelled) => *paper = Paper::Going,
            _ => self.follow(false),
        }
    }

    fn decide(&mut self, in_time: bool) {
        let mut is_refused = false;
        if let Some((_, paper @ Paper::Going)) = &mut self.sale {
            is_refused = !in_time;
            *paper = if in_time { Paper::Gone } else { Paper::Stuck };
        }
        for one in self.returns.iter_mut().filter(|one| one.paper == Paper::Going) {
            one.paper = if in_time { Paper::Gone } else { Paper::Stuck };
        }
        self.follow(is_refused);
    }

    fn check(&self) {
        for line in &self.sums.lines {
            assert!(line.restocked >= 0 && line.written_off >= 0 && line.left() >= 0, "{line:?}");
        }
        let is_away = matches!(self.sums.status, OrderStatus::Shipped | OrderStatus::Delivered);
        assert!(!(is_away && self.sums.is_undone()), "undone, and not returned");
        let Some((sale, paper)) = &self.sale else { return };
        if *paper == Paper::Gone {
            return;
        }
        let given: Vec<&Note> = self.live().iter().map(|one| &one.note).collect();
        let sum: i64 = given.iter().map(|note| total(&self.sums, note)).sum();
        assert!(sum <= total(&self.sums, sale), "more is given back than was sold");
        assert!(given.iter().all(|note| total(&self.sums, note) >= 0 && !note.freight.is_negative()));
        let mut is_all = true;
        for line in &self.sums.lines {
            let quantity: i32 = given.iter().map(|note| note.quantity(line.id)).sum();
            assert!(quantity <= sale.quantity(line.id), "more pieces are given back than were sold");
            is_all &= quantity == sale.quantity(line.id);
        }
        if is_all {
            assert_eq!(sum, total(&self.sums, sale), "all came back, to the centavo");
        }
    }

    /// Runs what is still to be run, and holds paper against goods: what stands on the sale's invoice and on no return is with the
    /// buyer, or still to be sent.
    fn come_to_rest(&mut self, in_time: bool) {
        for _ in 0..4 {
            self.step(&Step::SaleIsAuthorised);
            self.step(&Step::Jobs);
            self.step(&Step::Cancelled(in_time));
            self.check();
        }
        let Some((sale, Paper::Stands | Paper::Stuck)) = &self.sale else { return };
        let is_whole = self.sums.fate(self.live().is_empty()) == Fate::GivenBack;
        let is_stuck = self.returns.iter().any(|one| one.paper == Paper::Stuck);
        for line in &self.sums.lines {
            let given: i32 = self.live().iter().map(|one| one.note.quantity(line.id)).sum();
            let out = sale.quantity(line.id) - given;
            assert!(out == if is_whole { 0 } else { line.left() } || (is_stuck && out < line.left()), "{line:?}: {out}");
        }
    }
}

fn comes() -> impl Strategy<Value = Comes> {
    prop_oneof![
        3 => Just(Comes::Nothing),
        1 => Just(Comes::Everything),
        4 => (0_usize..4, 0_i32..4, 0_i32..2).prop_map(|(line, restock, write_off)| Comes::Some(line, restock, write_off)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop_oneof![Just(100), 1_i64..100], comes()).prop_map(|(percent, comes)| Step::Refund(percent, comes)),
        3 => comes().prop_map(Step::Return),
        1 => Just(Step::Cancel),
        2 => Just(Step::Ship),
        1 => Just(Step::Deliver),
        3 => Just(Step::SendSale),
        3 => Just(Step::SaleIsAuthorised),
        1 => Just(Step::SaleIsRejected),
        2 => (0_usize..8).prop_map(Step::RefundIsDone),
        2 => (0_usize..8).prop_map(Step::RefundFails),
        3 => Just(Step::Jobs),
        2 => any::<bool>().prop_map(Step::Cancelled),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Refunds, goods, shipments, invoices, and refunds that fail, in any order: after each step the notes fit the sale, and at
    /// rest they say where the goods are.
    #[test]
    fn whatever_happens_in_whatever_order_the_notes_and_the_state_are_what_the_sums_say(
        lines in prop::collection::vec((1_i32..5, 0_i64..5_000, 0_i64..=100), 1..4),
        freight in 0_i64..3_000,
        steps in prop::collection::vec(step(), 0..40),
        in_time: bool,
    ) {
        let lines: Vec<_> = lines.iter().map(|&(n, price, percent)| (n, price, i64::from(n) * price * percent / 100)).collect();
        let mut world = World::new(&lines, freight);
        world.count_money();
        for step in &steps {
            world.step(step);
            world.check();
        }
        world.come_to_rest(in_time);
    }

    /// However an order comes back, its sale's invoice and what came back before are the order, and its returns are that invoice.
    #[test]
    fn what_came_back_before_and_after_the_note_is_the_order(
        lines in prop::collection::vec((1_i32..9, 0_i64..100_000, 0_i64..=100), 1..6),
        freight in 0_i64..5_000,
        before in prop::collection::vec(0_i32..9, 6),
        parts in prop::collection::vec((0_usize..6, 1_i32..4), 0..20),
    ) {
        let lines: Vec<_> = lines.iter().map(|&(n, price, percent)| (n, price, i64::from(n) * price * percent / 100)).collect();
        let mut sums = order(&lines, freight);
        let whole = total(&sums, &sums.whole());
        for (line, n) in sums.lines.iter_mut().zip(&before) {
            line.restocked = (*n).min(line.sold);
        }
        let sale = sums.sale_note();
        let early: i64 = sums.lines.iter().map(|line| {
            let of_rest: i64 = sale.pieces.iter().filter(|one| one.line == line.id).map(|one| one.discount.cents()).sum();
            line.unit_price.cents() * i64::from(line.back()) - (line.discount.cents() - of_rest)
        }).sum();
        let freight = if sale.is_empty() { freight } else { 0 };
        prop_assert_eq!(total(&sums, &sale) + early + freight, whole);
        let mut returns: Vec<Note> = Vec::new();
        for (line, n) in parts.into_iter().chain((0..sums.lines.len()).map(|line| (line, 9))) {
            let count = sums.lines.len();
            let line = &mut sums.lines[line % count];
            line.restocked += n.min(line.left());
            let next = sums.next_returns(&sale, &returns.iter().collect::<Vec<_>>(), false);
            prop_assert!(next.money.is_empty() && !next.is_too_much);
            for one in &next.goods.pieces {
                let price = sums.line(one.line).map_or(0, |line| line.unit_price.cents());
                prop_assert!(!one.discount.is_negative() && one.discount.cents() <= price * i64::from(one.quantity));
            }
            returns.extend(Some(next.goods).filter(|note| !note.is_empty()));
        }
        let sum: i64 = returns.iter().map(|note| total(&sums, note)).sum();
        prop_assert_eq!(sum, total(&sums, &sale));
        prop_assert_eq!(returns.iter().map(|note| note.freight.cents()).sum::<i64>(), sale.freight.cents());
    }
}
