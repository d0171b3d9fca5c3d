use proptest::prelude::*;
use uuid::Uuid;
use vitrine_kit::TaxId;

use super::*;
use crate::ids::{LineId, OrderId};
use crate::invoices::company::{CompanyAddress, TaxRegime};
use crate::sale::address::ShippingAddress;
use crate::sale::returned::{SoldLine, Sums};
use crate::sale::states::OrderStatus;
use crate::tax::{TaxData, TaxRules};

fn reais(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn company(regime: TaxRegime) -> Company {
    let address = CompanyAddress {
        cep: "01310100".into(),
        street: "Avenida Paulista".into(),
        number: "1000".into(),
        complement: None,
        district: "Bela Vista".into(),
        city: "São Paulo".into(),
        state: "SP".into(),
        ibge_city: Some("3550308".into()),
    };
    Company {
        legal_name: "Loja Ltda".into(),
        trade_name: None,
        cnpj: "11222333000181".into(),
        state_registration: "110042490114".into(),
        tax_regime: regime,
        invoice_series: 1,
        address,
        phone: None,
    }
}

fn line(n: u128, quantity: i32, unit: i64, discount: i64) -> Line {
    Line {
        id: LineId(Uuid::from_u128(n)),
        sku: format!("SKU-{n}"),
        name: "Caneca".into(),
        quantity,
        unit_price: reais(unit),
        gross: reais(unit * i64::from(quantity)),
        discount: reais(discount),
        weight_grams: 300,
        ncm: Some("69120000".into()),
        cfop: None,
        origin: Some(0),
        tax: TaxData { csosn: Some("102".into()), ..TaxData::default() },
    }
}

fn order(lines: Vec<Line>, shipping: i64) -> Facts {
    let sum = |f: fn(&Line) -> Money| Money::sum(lines.iter().map(f)).expect("small");
    let (subtotal, discount) = (sum(|l| l.gross), sum(|l| l.discount));
    Facts {
        mended: 0,
        order: OrderId(Uuid::from_u128(9)),
        number: "V-1".into(),
        buyer_name: "Ana Silva".into(),
        buyer_tax_id: Some(TaxId::parse("52998224725").expect("valid")),
        buyer_registration: None,
        buyer_email: None,
        buyer_phone: None,
        address: ShippingAddress {
            recipient: "Ana Silva".into(),
            cep: "20040002".into(),
            street: "Rua A".into(),
            number: "10".into(),
            complement: None,
            district: "Centro".into(),
            city: "Rio de Janeiro".into(),
            state: "RJ".into(),
            ibge_city: None,
            phone: None,
        },
        payment_method: Some("pix".into()),
        boxes: 1,
        shipping_provider: "melhorenvio".into(),
        subtotal,
        discount,
        shipping: reais(shipping),
        total: reais(subtotal.cents() - discount.cents() + shipping),
        lines,
        rules: TaxRules::default(),
    }
}

/// The order's sums after so many pieces of these lines came back.
fn sums(facts: &Facts, back: &[(LineId, i32)]) -> Sums {
    let line = |line: &Line| SoldLine {
        id: line.id,
        sold: line.quantity,
        unit_price: line.unit_price,
        discount: line.discount,
        restocked: back.iter().filter(|(id, _)| *id == line.id).map(|(_, n)| n).sum(),
        written_off: 0,
    };
    let lines = facts.lines.iter().map(line).collect();
    Sums {
        status: OrderStatus::Shipped,
        lines,
        freight: facts.shipping,
        is_free: false,
        money_is_back: false,
        money_was_given_back: false,
    }
}

fn wanted(kind: Kind, note: Note) -> Wanted {
    let issued_at = "2026-11-21T15:00:00Z".parse().expect("a time");
    let cnpj = Some(Cnpj::parse("11222333000181").expect("valid"));
    Wanted { reference: "0192f0c1".into(), environment: Environment::Homologation, issued_at, cnpj, note, kind }
}

/// The sale of all that was ordered.
fn whole(facts: &Facts) -> Wanted {
    wanted(Kind::Sale, sums(facts, &[]).sale_note())
}

fn cities() -> Cities {
    Cities { seller: Some("3550308".into()), buyer: Some("3304557".into()) }
}

fn sale(facts: &Facts) -> Result<Nfe, Vec<Problem>> {
    build(&whole(facts), facts, Some(&company(TaxRegime::Simples)), &cities())
}

fn key() -> AccessKey {
    AccessKey::parse("35261011222333000181550010000001231481516233").expect("right")
}

/// A return of these pieces, after those that came back before.
fn back(facts: &Facts, lines: &[(LineId, i32)], before: &[Note]) -> Wanted {
    let earlier = before.iter().flat_map(|note| note.pieces.iter().map(|pieces| (pieces.line, pieces.quantity)));
    let counts: Vec<_> = lines.iter().copied().chain(earlier).collect();
    let (sums, sale) = (sums(facts, &counts), sums(facts, &[]).sale_note());
    let note = sums.next_returns(&sale, &before.iter().collect::<Vec<_>>(), false).goods;
    let back = Back { of: key(), sold_at: "2026-11-20T15:00:00Z".parse().expect("a time"), sale };
    wanted(Kind::Return(back), note)
}

fn returned(facts: &Facts, lines: &[(LineId, i32)]) -> Nfe {
    build(&back(facts, lines, &[]), facts, Some(&company(TaxRegime::Simples)), &cities()).expect("complete")
}

fn fields(result: Result<Nfe, Vec<Problem>>) -> Vec<String> {
    result.expect_err("it cannot be sent").into_iter().map(|problem| problem.field).collect()
}

#[test]
fn a_sale_says_who_what_how_and_what_for() {
    let nfe = sale(&order(vec![line(1, 2, 8_250, 100), line(2, 1, 1_000, 0)], 2_000)).expect("complete");
    assert_eq!((nfe.items[0].cfop.as_str(), nfe.items[0].unit.as_str(), nfe.items[1].number), ("6108", "UN", 2));
    // 16,400 and 1,000 share 2,000: 1885.06 and 114.94.
    assert_eq!((nfe.items[0].freight, nfe.items[1].freight), (reais(1_885), reais(115)));
    assert_eq!((nfe.totals.products, nfe.totals.discount, nfe.totals.invoice), (reais(17_500), reais(100), reais(19_400)));
    assert_eq!(nfe.payment, Payment { method: PaidBy::Pix, amount: reais(19_400) });
    assert_eq!((nfe.weight_grams, nfe.buyer.address.ibge_city.as_str()), (900, "3304557"));
    assert!(nfe.notes.contains("Simples Nacional") && nfe.notes.ends_with("Pedido V-1."));
}

#[test]
fn all_that_is_wrong_is_named_at_once() {
    let mut facts = order(vec![line(1, 1, 1_000, 0), line(2, 1, 1_000, 0)], 0);
    facts.lines[0].ncm = None;
    facts.lines[1].tax = TaxData { csosn: Some("500".into()), ..TaxData::default() };
    facts.lines[1].origin = None;
    facts.buyer_name = "A".into();
    facts.address.street = String::new();
    let company = Company { cnpj: "00000000000191".into(), ..company(TaxRegime::Simples) };
    let built = build(&whole(&facts), &facts, Some(&company), &Cities { buyer: None, ..cities() });
    let expected = [
        "company.cnpj",
        "buyer.name",
        "buyer.address.street",
        "buyer.address.ibge_city",
        "items[0].ncm",
        "items[1].origin",
        "items[1].tax.cest",
    ];
    assert_eq!(fields(built), expected);
}

#[test]
fn a_city_of_another_state_an_erased_buyer_and_a_missing_company_are_refused() {
    let facts = order(vec![line(1, 1, 1_000, 0)], 0);
    let elsewhere =
        build(&whole(&facts), &facts, Some(&company(TaxRegime::Simples)), &Cities { buyer: Some("3550308".into()), ..cities() });
    assert_eq!(fields(elsewhere), ["buyer.address.ibge_city"]);
    assert_eq!(fields(sale(&Facts { buyer_tax_id: None, ..facts.clone() })), ["buyer.tax_id"]);
    assert_eq!(fields(build(&whole(&facts), &facts, None, &cities())), ["company"]);
    let lost = Facts { total: reais(999), ..facts };
    assert_eq!(fields(sale(&lost)), ["items"], "a sum that is not the order's is never sent");
}

#[test]
fn the_ncm_must_be_in_the_list_in_force_or_in_the_settings() {
    let sold_as = |ncm: &str, newer: &[&str]| {
        let mut facts = order(vec![line(1, 1, 1_000, 0)], 0);
        facts.lines[0].ncm = Some(ncm.into());
        facts.rules.newer_ncm = newer.iter().map(|ncm| (*ncm).to_owned()).collect();
        sale(&facts).is_ok()
    };
    for ncm in ["01012100", "97061000", "09012100"] {
        assert!(sold_as(ncm, &[]), "{ncm}");
    }
    for ncm in ["00123456", "77010000", "98010000", "09012199", "61099999", "97060000"] {
        assert!(!sold_as(ncm, &[]), "{ncm}");
    }
    assert!(sold_as("09012199", &["09012199"]), "it came into force after the list");
}

#[test]
fn a_return_of_everything_mirrors_the_sale_and_one_of_a_part_leaves_the_freight() {
    let facts = order(vec![line(1, 3, 1_000, 100), line(2, 1, 500, 0)], 700);
    let whole = returned(&facts, &[(facts.lines[0].id, 3), (facts.lines[1].id, 1)]);
    assert_eq!((whole.totals.invoice, whole.totals.freight), (facts.total, facts.shipping));
    assert_eq!((whole.items[0].cfop.as_str(), whole.items[0].taxes.pis.situation.as_str()), ("2202", "98"));
    assert_eq!(whole.payment, Payment { method: PaidBy::Nothing, amount: Money::ZERO });
    assert_eq!(whole.purpose, Purpose::Return { of: key() });
    assert_eq!((whole.items[0].sold_as, whole.items[1].sold_as), (Some(1), Some(2)));
    let part = returned(&facts, &[(facts.lines[0].id, 1)]);
    // A third of the discount of 100, rounded by the larger remainder to the rest that stays.
    assert_eq!((part.totals.products, part.totals.discount, part.totals.freight), (reais(1_000), reais(33), Money::ZERO));
}

#[test]
fn what_comes_back_names_the_sale_s_item_and_each_only_once() {
    let facts = order(vec![line(1, 3, 1_000, 0), line(2, 2, 500, 0), line(3, 1, 700, 0)], 0);
    let ids: Vec<_> = facts.lines.iter().map(|line| line.id).collect();
    let back = returned(&facts, &[(ids[2], 1), (ids[1], 1), (ids[1], 1)]);
    let items: Vec<_> = back.items.iter().map(|item| (item.number, item.sold_as, item.quantity)).collect();
    assert_eq!(items, [(1, Some(2), 2), (2, Some(3), 1)]);
    assert!(sale(&facts).expect("complete").items.iter().all(|item| item.sold_as.is_none()));
}

#[test]
fn mei_takes_back_by_its_own_codes_and_names_what_it_may_not_sell() {
    let mut facts = order(vec![line(1, 1, 1_000, 0)], 0);
    let mei = company(TaxRegime::Mei);
    let back = build(&back(&facts, &[(facts.lines[0].id, 1)], &[]), &facts, Some(&mei), &cities()).expect("complete");
    assert_eq!((back.items[0].cfop.as_str(), back.items[0].taxes.icms.situation.as_str()), ("2202", "900"));
    facts.lines[0].cfop = Some("5405".into());
    facts.lines[0].tax.csosn = Some("500".into());
    facts.lines[0].tax.cest = Some("2104000".into());
    let wrong = build(&whole(&facts), &facts, Some(&mei), &cities());
    assert_eq!(fields(wrong), ["items[0].cfop", "items[0].tax.csosn"]);
}

#[test]
fn what_is_fetched_is_sold_in_the_seller_s_state() {
    let mut facts = Facts { shipping_provider: "pickup".into(), ..order(vec![line(1, 1, 1_000, 0)], 0) };
    facts.lines[0].tax =
        TaxData { icms_cst: Some("00".into()), pis_cst: Some("49".into()), cofins_cst: Some("49".into()), ..TaxData::default() };
    let company = company(TaxRegime::SimplesExcess);
    let nfe = build(&whole(&facts), &facts, Some(&company), &cities()).expect("complete");
    assert!(nfe.notes.starts_with("Estabelecimento impedido de recolher o ICMS pelo Simples Nacional"), "{}", nfe.notes);
    assert_eq!((nfe.in_person, nfe.freight, nfe.items[0].cfop.as_str()), (true, FreightBy::None, "5102"));
    assert_eq!(nfe.items[0].taxes.icms.own.map(|own| (own.rate, nfe.items[0].taxes.icms.difal)), Some((1800, None)));
}

#[test]
fn a_return_bears_the_taxes_of_the_sale_s_day() {
    let mut facts = order(vec![line(1, 1, 10_000, 0)], 0);
    let reform = TaxData { ibs_cbs_cst: Some("000".into()), cclasstrib: Some("000001".into()), ..facts.lines[0].tax.clone() };
    facts.lines[0].tax = reform;
    let ibs_cbs = |sold_at: &str| {
        let mut wanted = back(&facts, &[(facts.lines[0].id, 1)], &[]);
        wanted.issued_at = "2027-02-01T15:00:00Z".parse().expect("a time");
        if let Kind::Return(back) = &mut wanted.kind {
            back.sold_at = sold_at.parse().expect("a time");
        }
        let rules = TaxRules { simples_ibs_cbs_required: true, ..TaxRules::default() };
        let facts = Facts { rules, ..facts.clone() };
        build(&wanted, &facts, Some(&company(TaxRegime::Simples)), &cities()).map(|nfe| nfe.items[0].taxes.ibs_cbs.clone())
    };
    assert_eq!(ibs_cbs("2026-11-20T15:00:00Z"), Ok(None), "sold in 2026, when Simples did not name them");
    let unknown = ibs_cbs("2027-01-20T15:00:00Z").expect_err("the CBS of 2027 is for the settings to say");
    assert_eq!(unknown[0].field, "taxes.reform_rates.cbs");
}

#[test]
fn a_note_of_a_part_weighs_what_is_in_it() {
    let mut facts = order(vec![line(1, 3, 1_000, 100), line(2, 1, 500, 0)], 700);
    facts.lines[1].weight_grams = 1_100;
    let ids: Vec<_> = facts.lines.iter().map(|line| line.id).collect();
    assert_eq!(sale(&facts).expect("complete").weight_grams, 2_000);
    assert_eq!(returned(&facts, &[(ids[0], 1)]).weight_grams, 300);
    assert_eq!(returned(&facts, &[(ids[1], 1)]).weight_grams, 1_100);
    let rest = wanted(Kind::Sale, sums(&facts, &[(ids[0], 2)]).sale_note());
    let rest = build(&rest, &facts, Some(&company(TaxRegime::Simples)), &cities()).expect("complete");
    assert_eq!(rest.weight_grams, 1_400);
}

#[test]
fn what_came_back_before_the_sale_s_invoice_is_not_on_it_and_its_items_are_counted_without_it() {
    // Three of 33,33 and one of another, a discount of 1,00 and a freight of 17,19; the whole first line and one of three come back.
    let facts = order(vec![line(1, 1, 500, 0), line(2, 3, 3_333, 100), line(3, 1, 700, 0)], 1_719);
    let ids: Vec<_> = facts.lines.iter().map(|line| line.id).collect();
    let note = sums(&facts, &[(ids[0], 1), (ids[1], 1)]).sale_note();
    let build_of = |wanted: &Wanted| build(wanted, &facts, Some(&company(TaxRegime::Simples)), &cities()).expect("complete");
    let nfe = build_of(&wanted(Kind::Sale, note.clone()));
    let items: Vec<_> =
        nfe.items.iter().map(|item| (item.number, item.sku.as_str(), item.quantity, item.discount.cents())).collect();
    assert_eq!(items, [(1, "SKU-2", 2, 67), (2, "SKU-3", 1, 0)]);
    assert_eq!((nfe.totals.freight, nfe.totals.invoice), (reais(1_719), reais(2 * 3_333 - 67 + 700 + 1_719)));
    let after = sums(&facts, &[(ids[0], 1), (ids[1], 2)]).next_returns(&note, &[], false).goods;
    let back = Back { of: key(), sold_at: "2026-11-20T15:00:00Z".parse().expect("a time"), sale: note };
    let nfe = build_of(&wanted(Kind::Return(back), after));
    assert_eq!((nfe.items.len(), nfe.items[0].sold_as, nfe.items[0].quantity), (1, Some(1), 1));
    let short = Facts { lines: facts.lines[..2].to_vec(), ..facts.clone() };
    let short = build(&wanted(Kind::Sale, sums(&facts, &[]).sale_note()), &short, Some(&company(TaxRegime::Simples)), &cities());
    assert_eq!(fields(short), ["items"], "a line that is lost on the way is seen");
}

#[test]
fn what_was_given_away_is_paid_by_nothing() {
    let facts = Facts { payment_method: None, ..order(vec![line(1, 1, 1_000, 1_000)], 0) };
    assert_eq!(sale(&facts).expect("complete").payment, Payment { method: PaidBy::Nothing, amount: Money::ZERO });
}

proptest! {
    #[test]
    fn however_a_line_comes_back_it_comes_back_whole(
        unit in 1_i64..100_000,
        percent in 0_i64..=100,
        some in prop::collection::vec(1_i32..9, 1..8),
    ) {
        let quantity: i32 = some.iter().sum();
        let facts = order(vec![line(1, quantity, unit, unit * i64::from(quantity) * percent / 100)], 0);
        let id = facts.lines[0].id;
        let mut before: Vec<Note> = Vec::new();
        let mut goods = 0;
        for n in some {
            let wanted = back(&facts, &[(id, n)], &before);
            let part = build(&wanted, &facts, Some(&company(TaxRegime::Simples)), &cities()).expect("complete");
            prop_assert!(part.items[0].discount <= part.items[0].gross);
            goods += part.totals.products.cents() - part.totals.discount.cents();
            before.push(wanted.note);
        }
        prop_assert_eq!(reais(goods), facts.total);
    }

    #[test]
    fn the_items_add_up_to_the_order_to_the_centavo(
        wares in prop::collection::vec((1_i32..50, 1_i64..500_000, 0_i64..=100), 1..30),
        shipping in 0_i64..100_000,
        normal: bool,
    ) {
        let mut lines: Vec<Line> = wares
            .iter()
            .zip(1..)
            .map(|(&(quantity, unit, percent), n)| line(n, quantity, unit, unit * i64::from(quantity) * percent / 100))
            .collect();
        if normal {
            for line in &mut lines {
                line.tax = TaxData {
                    icms_cst: Some("00".into()),
                    pis_cst: Some("01".into()),
                    pis_rate: Some(165),
                    cofins_cst: Some("01".into()),
                    cofins_rate: Some(760),
                    ibs_cbs_cst: Some("000".into()),
                    cclasstrib: Some("000001".into()),
                    ..TaxData::default()
                };
            }
        }
        let facts = order(lines, shipping);
        let regime = if normal { TaxRegime::Normal } else { TaxRegime::Simples };
        let nfe = build(&whole(&facts), &facts, Some(&company(regime)), &cities()).expect("complete");
        let sum = |f: fn(&Item) -> Money| Money::sum(nfe.items.iter().map(f)).expect("small");
        let of_items = sum(|i| i.gross).cents() - sum(|i| i.discount).cents() + sum(|i| i.freight).cents();
        prop_assert_eq!(reais(of_items), facts.total);
        prop_assert_eq!(nfe.totals.invoice, facts.total);
        prop_assert_eq!(sum(|i| i.taxes.icms.own.map_or(Money::ZERO, |own| own.value)), nfe.totals.icms);
        for item in &nfe.items {
            prop_assert!(item.discount <= item.gross && !item.freight.is_negative());
            prop_assert_eq!(item.unit_price.times(item.quantity), Some(item.gross));
        }
    }
}

#[test]
fn a_sale_names_the_boxes_that_its_freight_was_quoted_for() {
    let facts = order(vec![line(1, 3, 1_000, 0)], 0);
    let volumes = |boxes| sale(&Facts { boxes, ..facts.clone() }).expect("complete").volumes;
    assert_eq!([0, 1, 3, 4].map(volumes), [1, 1, 3, 3], "no more boxes than pieces");
    let boxed = Facts { boxes: 3, ..facts.clone() };
    assert_eq!(returned(&boxed, &[(boxed.lines[0].id, 3)]).volumes, 1);
}
