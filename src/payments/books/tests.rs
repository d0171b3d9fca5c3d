use jiff::civil::{DateTime, date};
use proptest::prelude::*;
use uuid::Uuid;
use vitrine_kit::Money;

use super::compare::{Books, Ours, Pair, Stray, Theirs, report};
use super::*;
use crate::ids::{OrderId, PaymentId};
use crate::payments::store::Payment;
use crate::sale::states::PaymentStatus;

const DAY: Date = date(2026, 10, 1);

fn local(time: DateTime) -> Zoned {
    time.to_zoned(zone()).expect("a time of day")
}

#[test]
fn a_day_is_compared_at_five_and_before_that_the_day_before_is_the_last() {
    let (early, late) = (local(DAY.at(4, 59, 59, 0)), local(DAY.at(5, 0, 0, 0)));
    assert_eq!((last_due(&early), last_due(&late)), (date(2026, 9, 29), date(2026, 9, 30)));
    assert_eq!(next_run(&early), late.timestamp());
    assert_eq!(next_run(&late), "2026-10-02T08:00:00Z".parse().expect("a time"));
}

#[test]
fn days_touch_and_none_is_lost_also_where_a_summer_time_began_at_midnight() {
    for (day, from, to) in [
        (DAY, "2026-10-01T03:00:00Z", "2026-10-02T03:00:00Z"),
        (date(2018, 11, 3), "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"),
        (date(2018, 11, 4), "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
    ] {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(bounds(day).expect("a day"), (time(from), time(to)), "{day}");
    }
}

fn days(due: &[(Date, String)]) -> Vec<(i8, &str)> {
    due.iter().map(|(day, provider)| (day.day(), provider.as_str())).collect()
}

#[test]
fn missed_days_are_caught_up_with_from_the_first_payment_on() {
    let (first, last) = (date(2026, 10, 1), date(2026, 10, 5));
    let life = |name: &str, from: i8, to: i8| (name.to_owned(), (date(2026, 10, from), date(2026, 10, to)));
    let made = |day: i8, name: &str| (date(2026, 10, day), name.to_owned());
    let none = HashSet::new();
    assert_eq!(due(&["bank", "cards"], first, last, &HashMap::new(), &none), [], "nobody has paid yet");
    let one = HashMap::from([life("bank", 4, 4)]);
    assert_eq!(days(&due(&["bank", "cards"], first, last, &one, &none)), [(4, "bank"), (5, "bank")]);
    let reported = HashSet::from([made(2, "cards"), made(5, "bank")]);
    assert_eq!(
        days(&due(&["bank", "cards"], first, last, &one, &reported)),
        [(3, "cards"), (4, "bank"), (4, "cards"), (5, "cards")],
        "a provider that was compared goes on being"
    );
    let old = HashMap::from([("gone".to_owned(), (date(2026, 9, 1), date(2026, 10, 2)))]);
    assert_eq!(days(&due(&["bank"], first, last, &old, &none)), [(1, "gone"), (2, "gone")], "only until its last payment");
    let today = HashMap::from([life("bank", 6, 6)]);
    assert_eq!(due(&["bank"], first, last, &today, &none), [], "the day is not over");
}

fn ours(captured: i64, returned: i64) -> Ours {
    let now = Timestamp::now();
    let payment = Payment {
        id: PaymentId::new(),
        order_id: OrderId::new(),
        method: "pix".to_owned(),
        provider: "bank".to_owned(),
        status: if captured > 0 { PaymentStatus::Paid } else { PaymentStatus::Expired },
        amount: Money::from_cents(captured.max(1)),
        captured: Money::from_cents(captured),
        lost: Money::ZERO,
        is_surplus: false,
        refunded: Money::from_cents(returned),
        currency: "BRL".to_owned(),
        method_discount: Money::ZERO,
        tries: 1,
        provider_ref: Some("txid".to_owned()),
        end_to_end_id: None,
        copy_paste: None,
        qr_code_url: None,
        error: None,
        expires_at: now,
        grace_ends_at: now,
        paid_at: Some(now),
        created_at: now,
        is_over: true,
        is_past_grace: true,
        is_fresh: false,
    };
    Ours { payment, number: "1001".to_owned(), returned: Money::from_cents(returned), is_refund_open: false, is_of_day: true }
}

fn theirs(amount: i64, refunded: i64) -> Theirs {
    Theirs {
        payment_id: Some(Uuid::now_v7()),
        reference: "txid".to_owned(),
        amount: Money::from_cents(amount),
        currency: "BRL".to_owned(),
        refunded: Money::from_cents(refunded),
        paid_at: None,
    }
}

fn pair(ours: Ours, theirs: Option<Theirs>) -> Pair {
    Pair { ours, theirs, counts: true, lists_refunds: true }
}

#[test]
fn every_difference_is_a_line_and_what_heals_by_itself_is_set_in_motion() {
    let pairs = vec![
        pair(ours(100, 0), Some(theirs(100, 0))),
        pair(ours(0, 0), Some(theirs(200, 50))),
        pair(ours(300, 0), None),
        pair(ours(400, 0), Some(theirs(390, 0))),
        pair(ours(500, 100), Some(theirs(500, 200))),
        Pair { lists_refunds: false, ..pair(ours(600, 100), Some(theirs(600, 0))) },
    ];
    let (unpaid, refunded) = (pairs[1].ours.payment.id, pairs[4].ours.payment.id);
    let strays = vec![Stray { theirs: theirs(700, 0), named: None, note: "" }];
    let compared = report(DAY, "bank", &Books { pairs, strays });
    let lines = &compared.report.lines;
    let found: Vec<_> = lines.iter().map(|l| (l.kind, l.ours_cents, l.theirs_cents, l.set_in_motion)).collect();
    let mut expected = [
        (Kind::UnknownHere, None, Some(700), None),
        (Kind::MissingHere, None, Some(200), Some(Motion::CheckPayment)),
        (Kind::MissingThere, Some(300), None, None),
        (Kind::AmountDiffers, Some(400), Some(390), None),
        (Kind::RefundDiffers, Some(0), Some(50), Some(Motion::LookAtRefunds)),
        (Kind::RefundDiffers, Some(100), Some(200), Some(Motion::LookAtRefunds)),
        (Kind::RefundDiffers, Some(100), Some(0), None),
    ];
    expected.sort_by_key(|e| lines.iter().position(|l| (l.kind, l.ours_cents, l.theirs_cents) == (e.0, e.1, e.2)));
    assert_eq!(found, expected);
    let mut heal = compared.heal;
    heal.sort_by_key(|(job, wait)| (job.kind(), *wait));
    let later = Some(jiff::SignedDuration::from_mins(10));
    assert_eq!(
        heal,
        [
            (Job::CheckPayment { payment: unpaid }, None),
            (Job::LookAtRefunds { payment: refunded }, None),
            (Job::LookAtRefunds { payment: unpaid }, later),
        ],
        "refunds wait until their payment is paid here"
    );
}

#[test]
fn the_operator_is_told_once_and_again_only_of_something_else() {
    let of = |amount: i64| {
        let pairs = vec![pair(ours(500, 0), Some(theirs(amount, 0)))];
        report(DAY, "bank", &Books { pairs, strays: Vec::new() }).report
    };
    assert_eq!(of(500).alert(None), None);
    let first = of(123_456);
    let (subject, text) = first.alert(None).expect("a mail");
    assert_eq!(subject, "Conciliação de 01/10/2026: 1 diferença(s), bank");
    assert_eq!(
        text,
        "No dia 01/10/2026 os livros da loja e do provedor bank diferem em 1 ponto(s):\n\
         - valor pago diferente: 1 (R$ 1.229,56), 1 à espera de uma pessoa\n\
         Ao todo: 1 recebimento(s) aqui, R$ 5,00; 1 no provedor, R$ 1.234,56.\n\
         O relatório de conciliação do dia mostra cada ponto."
    );
    assert_eq!(first.alert(Some(&first)), None);
    assert!(first.alert(Some(&of(500))).is_some());
}

#[test]
fn a_cell_that_begins_like_a_formula_stays_text_and_a_comma_stays_in_its_cell() {
    let stray = |reference: &str| Stray {
        theirs: Theirs { reference: reference.to_owned(), ..theirs(1, 0) },
        named: None,
        note: "a, \"b\"",
    };
    let strays = ["=1+1", "+1", "-1", "@a", "\tb", "plain"].map(stray).into();
    let report = report(DAY, "bank", &Books { pairs: Vec::new(), strays }).report;
    let table = String::from_utf8(csv(&[report]).expect("a table")).expect("UTF-8");
    let lines: Vec<&str> = table.split_terminator("\r\n").skip(1).collect();
    let line = |reference: &str| format!("2026-10-01,bank,differs,unknown_here,,,{reference},,,,1,BRL,,\"a, \"\"b\"\"\"");
    assert_eq!(
        lines[..2],
        ["2026-10-01,bank,differs,captured,,,,0,0,6,6,BRL,,", "2026-10-01,bank,differs,refunded,,,,0,0,0,0,BRL,,"]
    );
    assert_eq!(lines[2..], ["'\tb", "'+1", "'-1", "'=1+1", "'@a", "plain"].map(line));
}

proptest! {
    /// The lines explain the difference of the sums to the centavo.
    #[test]
    fn the_lines_add_up_to_the_difference(
        pairs in prop::collection::vec((0_i64..3, 0_i64..3, prop::option::of((1_i64..3, 0_i64..3))), 0..12),
        strays in prop::collection::vec(1_i64..1_000, 0..4),
    ) {
        let pairs = pairs.into_iter().map(|(captured, returned, their)| {
            pair(ours(captured, if captured > 0 { returned } else { 0 }), their.map(|(amount, refunded)| theirs(amount, refunded)))
        }).collect();
        let strays = strays.into_iter().map(|amount| Stray { theirs: theirs(amount, 0), named: None, note: "" }).collect();
        let found = report(DAY, "bank", &Books { pairs, strays }).report;
        let explained: i64 = found.lines.iter().map(|line| {
            let gap = line.theirs_cents.unwrap_or(0) - line.ours_cents.unwrap_or(0);
            if line.kind == Kind::RefundDiffers { -gap } else { gap }
        }).sum();
        prop_assert_eq!(found.summary.difference_cents, Some(explained));
        prop_assert_eq!(found.summary.status == Status::Agrees, found.lines.is_empty());
        prop_assert_eq!(found.summary.differences as usize, found.lines.len());
    }
}
