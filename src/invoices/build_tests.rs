use proptest::prelude::*;
use uuid::Uuid;
use vitrine_kit::TaxId;

use super::*;
use crate::ids::OrderId;
use crate::invoices::company::TaxRegime;
use crate::invoices::tax_data::{TaxData, TaxRules};

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
        order: OrderId(Uuid::from_u128(9)),
        number: "V-1".into(),
        buyer_name: "Ana Silva".into(),
        buyer_tax_id: Some(TaxId::parse("52998224725").expect("valid")),
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
        shipping_provider: "melhorenvio".into(),
        subtotal,
        discount,
        shipping: reais(shipping),
        total: reais(subtotal.cents() - discount.cents() + shipping),
        lines,
        rules: TaxRules::default(),
    }
}

fn wanted(kind: Kind) -> Wanted {
    let issued_at = "2026-11-21T15:00:00Z".parse().expect("a time");
    let cnpj = Some(Cnpj::parse("11222333000181").expect("valid"));
    Wanted { reference: "0192f0c1".into(), environment: Environment::Homologation, issued_at, cnpj, kind }
}

fn cities() -> Cities {
    Cities { seller: Some("3550308".into()), buyer: Some("3304557".into()) }
}

fn sale(facts: &Facts) -> Result<Nfe, Vec<Problem>> {
    build(&wanted(Kind::Sale), facts, Some(&company(TaxRegime::Simples)), &cities())
}

fn key() -> AccessKey {
    AccessKey::parse("35261011222333000181550010000001231481516233").expect("right")
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
    let built = build(&wanted(Kind::Sale), &facts, Some(&company), &Cities { buyer: None, ..cities() });
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
    let elsewhere = build(
        &wanted(Kind::Sale),
        &facts,
        Some(&company(TaxRegime::Simples)),
        &Cities { buyer: Some("3550308".into()), ..cities() },
    );
    assert_eq!(fields(elsewhere), ["buyer.address.ibge_city"]);
    assert_eq!(fields(sale(&Facts { buyer_tax_id: None, ..facts.clone() })), ["buyer.tax_id"]);
    assert_eq!(fields(build(&wanted(Kind::Sale), &facts, None, &cities())), ["company"]);
    let lost = Facts { total: reais(999), ..facts };
    assert_eq!(fields(sale(&lost)), ["items"], "a sum that is not the order's is never sent");
}

#[test]
fn the_ncm_must_be_of_a_chapter_that_exists() {
    for (ncm, is_right) in [("01012100", true), ("97060000", true), ("00123456", false), ("77010000", false), ("98010000", false)]
    {
        let mut facts = order(vec![line(1, 1, 1_000, 0)], 0);
        facts.lines[0].ncm = Some(ncm.into());
        assert_eq!(sale(&facts).is_ok(), is_right, "{ncm}");
    }
}

#[test]
fn a_return_of_everything_mirrors_the_sale_and_one_of_a_part_leaves_the_freight() {
    let facts = order(vec![line(1, 3, 1_000, 100), line(2, 1, 500, 0)], 700);
    let back = |lines: Vec<(LineId, i32)>| {
        let kind = Kind::Return { of: key(), lines };
        build(&wanted(kind), &facts, Some(&company(TaxRegime::Simples)), &cities()).expect("complete")
    };
    let whole = back(vec![(facts.lines[0].id, 3), (facts.lines[1].id, 1)]);
    assert_eq!((whole.totals.invoice, whole.totals.freight), (facts.total, facts.shipping));
    assert_eq!((whole.items[0].cfop.as_str(), whole.items[0].taxes.pis.situation.as_str()), ("2202", "98"));
    assert_eq!(whole.payment, Payment { method: PaidBy::Nothing, amount: Money::ZERO });
    assert_eq!(whole.purpose, Purpose::Return { of: key() });
    let part = back(vec![(facts.lines[0].id, 1)]);
    // A third of the discount of 100, rounded by the larger remainder to the rest that stays.
    assert_eq!((part.totals.products, part.totals.discount, part.totals.freight), (reais(1_000), reais(33), Money::ZERO));
}

#[test]
fn what_was_given_away_is_paid_by_nothing() {
    let facts = Facts { payment_method: None, ..order(vec![line(1, 1, 1_000, 1_000)], 0) };
    assert_eq!(sale(&facts).expect("complete").payment, Payment { method: PaidBy::Nothing, amount: Money::ZERO });
}

proptest! {
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
        let nfe = build(&wanted(Kind::Sale), &facts, Some(&company(regime)), &cities()).expect("complete");
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
