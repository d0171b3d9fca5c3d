use uuid::Uuid;

use super::*;

#[path = "returned_random_tests.rs"]
mod random;

fn reais(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn id(n: usize) -> LineId {
    LineId(Uuid::from_u128(n as u128 + 1))
}

/// A paid order with these lines: quantity, price of a piece, discount of the line.
fn order(lines: &[(i32, i64, i64)], freight: i64) -> Sums {
    let line = |(n, &(sold, price, discount)): (usize, &(i32, i64, i64))| SoldLine {
        id: id(n),
        sold,
        unit_price: reais(price),
        discount: reais(discount),
        restocked: 0,
        written_off: 0,
    };
    Sums {
        status: OrderStatus::Processing,
        lines: lines.iter().enumerate().map(line).collect(),
        freight: reais(freight),
        is_free: false,
        money_is_back: false,
        money_was_given_back: false,
    }
}

fn total(sums: &Sums, note: &Note) -> i64 {
    sums.total(note).expect("small").cents()
}

#[test]
fn a_piece_that_came_back_before_the_note_is_not_on_it_and_the_rest_comes_back_to_the_centavo() {
    let mut sums = order(&[(3, 3_333, 0)], 1_719);
    sums.lines[0].restocked = 1;
    let sale = sums.sale_note();
    assert_eq!((sale.quantity(id(0)), total(&sums, &sale)), (2, 2 * 3_333 + 1_719));
    sums.status = OrderStatus::Delivered;
    sums.lines[0].written_off = 1;
    let first = sums.next_returns(&sale, &[], false);
    assert_eq!((total(&sums, &first.goods), first.money.is_empty()), (3_333, true), "the goods alone");
    sums.lines[0].restocked = 2;
    let last = sums.next_returns(&sale, &[&first.goods], false).goods;
    assert_eq!((total(&sums, &last), last.freight), (3_333 + 1_719, reais(1_719)), "the freight with the last one");
}

#[test]
fn what_came_back_before_does_not_come_back_again_on_paper() {
    let mut sums = order(&[(3, 1_000, 100)], 0);
    sums.lines[0].restocked = 2;
    let sale = sums.sale_note();
    assert_eq!(sums.next_returns(&sale, &[], false), NextReturns::default());
    assert_eq!((sale.pieces[0].quantity, sale.pieces[0].discount), (1, reais(33)));
}

#[test]
fn a_return_that_was_cancelled_and_replaced_leaves_no_centavo_and_no_second_freight() {
    let mut sums = order(&[(3, 1_000, 100)], 700);
    let sale = sums.whole();
    sums.lines[0].restocked = 2;
    let first = sums.next_returns(&sale, &[], false).goods;
    sums.lines[0].restocked = 3;
    let second = sums.next_returns(&sale, &[&first], false).goods;
    assert_eq!(total(&sums, &first) + total(&sums, &second), total(&sums, &sale));
    let again = sums.next_returns(&sale, &[&second], false).goods; // the first one is cancelled
    assert_eq!((again.freight, total(&sums, &again) + total(&sums, &second)), (Money::ZERO, total(&sums, &sale)));
}

#[test]
fn money_that_is_back_gives_the_rest_back_on_paper_and_not_any_more_when_the_refund_fails() {
    let mut sums = order(&[(2, 1_000, 0), (1, 500, 0)], 300);
    sums.status = OrderStatus::Delivered;
    sums.lines[0].restocked = 1;
    (sums.money_is_back, sums.money_was_given_back) = (true, true);
    let sale = sums.whole();
    assert_eq!(sums.fate(true), Fate::GivenBack);
    let next = sums.next_returns(&sale, &[], true);
    assert_eq!((total(&sums, &next.goods), total(&sums, &next.money)), (1_000, 1_000 + 500 + 300));
    (sums.money_is_back, sums.money_was_given_back) = (false, false); // it bounced
    assert_eq!(sums.fate(false), Fate::Stands);
    let after = sums.next_returns(&sale, &[&next.goods, &next.money], false);
    assert_eq!(after, NextReturns { is_too_much: true, ..NextReturns::default() });
    sums.lines.iter_mut().for_each(|line| line.restocked = line.sold); // the goods do come back
    let after = sums.next_returns(&sale, &[&next.goods, &next.money], false);
    assert_eq!(after, NextReturns::default(), "what was given back for the money stays for the goods");
}

#[test]
fn money_that_the_shop_did_not_give_back_says_nothing_about_goods_that_had_left() {
    let mut sums = order(&[(2, 1_000, 0)], 300);
    sums.money_is_back = true; // a bank took it, or somebody refunded it on the provider's pages
    for (status, fate) in
        [(OrderStatus::Processing, Fate::Cancelled), (OrderStatus::Shipped, Fate::Stands), (OrderStatus::Delivered, Fate::Stands)]
    {
        sums.status = status;
        assert_eq!(sums.fate(true), fate, "{status}");
    }
    sums.status = OrderStatus::Processing;
    assert_eq!(sums.fate(false), Fate::GivenBack, "it never left, and it is too late to cancel");
    sums.status = OrderStatus::Delivered;
    sums.lines[0].restocked = 2;
    assert_eq!(sums.fate(true), Fate::GivenBack, "a person said that the goods are here");
}

#[test]
fn the_state_follows_whichever_came_last() {
    let mut sums = order(&[(1, 1_000, 0)], 0);
    for status in [OrderStatus::Shipped, OrderStatus::Delivered] {
        for money_first in [true, false] {
            sums = Sums { status, money_is_back: money_first, ..sums };
            sums.lines[0].restocked = i32::from(!money_first);
            assert_eq!(sums.next_status(), status);
            sums.money_is_back = true;
            sums.lines[0].restocked = 1;
            assert_eq!(sums.next_status(), OrderStatus::Returned);
        }
    }
    for status in [OrderStatus::Processing, OrderStatus::Cancelled, OrderStatus::Returned] {
        sums.status = status;
        assert_eq!(sums.next_status(), status);
    }
    let free = Sums { status: OrderStatus::Delivered, is_free: true, money_is_back: false, ..sums };
    assert_eq!(free.next_status(), OrderStatus::Returned, "there is no money that could go back");
}

#[test]
fn asking_for_more_says_what_is_left() {
    let mut sums = order(&[(3, 1_000, 0), (1, 500, 0)], 0);
    sums.lines[0].restocked = 1;
    let ask = |restock: Vec<(LineId, i32)>, write_off| sums.take_back(&Goods { everything: false, restock, write_off });
    let refused = ask(vec![(id(0), 2), (id(1), 1)], vec![(id(0), 1)]).expect_err("three of two");
    assert_eq!(refused, format!("Not so much is left: of line {} only 2 can still come back", id(0)));
    assert_eq!(ask(vec![(id(7), 1)], vec![]).expect_err("no line"), format!("The order has no line {}", id(7)));
    let all = sums.take_back(&Goods { everything: true, restock: vec![], write_off: vec![(id(0), 2)] }).expect("fits");
    let taken = |line, restock, write_off| Taken { line, restock, write_off };
    assert_eq!(all, [taken(id(0), 0, 2), taken(id(1), 1, 0)]);
    sums.lines.iter_mut().for_each(|line| line.restocked = line.sold);
    let nothing = sums.take_back(&Goods { everything: true, ..Goods::default() });
    assert_eq!(nothing, Err("The goods are back already".to_owned()));
}
