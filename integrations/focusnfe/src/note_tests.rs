use proptest::prelude::*;
use serde_json::Value;
use vitrine_kit::Money;
use vitrine_kit::nfe::{Environment, Nfe, PaidBy, Registration};

use crate::note::Note;
use crate::samples::{cents, normal, reduced, returned, simples};

fn written(nfe: &Nfe) -> String {
    serde_json::to_string_pretty(&Note::from(nfe)).expect("serialises")
}

fn value(nfe: &Nfe) -> Value {
    serde_json::from_str(&written(nfe)).expect("JSON")
}

/// Compares the exact JSON: types, decimal places, and what is left out.
#[test]
fn bodies_are_those_that_were_reviewed() {
    for (name, nfe, kept) in [
        ("simples", simples(), include_str!("../fixtures/note_simples.json")),
        ("normal", normal(), include_str!("../fixtures/note_normal.json")),
        ("reduced", reduced(), include_str!("../fixtures/note_reduced.json")),
        ("returned", returned(), include_str!("../fixtures/note_returned.json")),
    ] {
        let body = written(&nfe);
        assert!(body == kept.trim_end(), "{name} is now\n{body}");
    }
}

#[test]
fn an_invoice_of_homologation_never_names_the_buyer() {
    assert_eq!(value(&simples())["nome_destinatario"], "NF-E EMITIDA EM AMBIENTE DE HOMOLOGACAO - SEM VALOR FISCAL");
    let nfe = Nfe { environment: Environment::Production, ..simples() };
    assert_eq!(value(&nfe)["nome_destinatario"], "Ana Silva");
}

#[test]
fn payments_and_registrations_have_their_codes() {
    for (method, code, integration) in [
        (PaidBy::Pix, "17", 2.into()),
        (PaidBy::CreditCard, "03", 2.into()),
        (PaidBy::Wallet, "18", Value::Null),
        (PaidBy::Nothing, "90", Value::Null),
    ] {
        let mut nfe = simples();
        nfe.payment.method = method;
        let paid = &value(&nfe)["formas_pagamento"][0];
        assert_eq!((&paid["forma_pagamento"], &paid["tipo_integracao"]), (&Value::from(code), &integration));
    }
    for (registration, code) in
        [(Registration::Contributor("1".into()), 1), (Registration::Exempt, 2), (Registration::NonContributor, 9)]
    {
        let mut nfe = simples();
        nfe.buyer.registration = registration;
        let body = value(&nfe);
        assert_eq!(body["indicador_inscricao_estadual_destinatario"], code);
        assert_eq!(body["inscricao_estadual_destinatario"].is_string(), code == 1);
    }
}

#[test]
fn what_is_fetched_is_sold_at_the_shop_wherever_the_buyer_lives() {
    let body = value(&Nfe { in_person: true, ..simples() });
    assert_eq!((&body["local_destino"], &body["presenca_comprador"]), (&1.into(), &1.into()));
    assert!(body.get("indicador_intermediario").is_none());
}

#[test]
fn text_is_cut_to_what_the_schema_takes() {
    let mut nfe = simples();
    nfe.items[0].name = "ç".repeat(200);
    nfe.buyer.address.street = "Rua  das\tFlores 🌷".to_owned();
    nfe.buyer.address.complement = Some(" \u{0} ".to_owned());
    let body = value(&nfe);
    assert_eq!(body["items"][0]["descricao"], "ç".repeat(120));
    assert_eq!(body["logradouro_destinatario"], "Rua das Flores");
    assert_eq!(body["numero_destinatario"], "S/N");
    assert!(body.get("complemento_destinatario").is_none());
}

/// Adds amounts by their digits, as the tax authority does.
fn sum(lines: &[&serde_json::value::RawValue]) -> Money {
    let each = lines.iter().map(|line| Money::parse_decimal(line.get()).expect("two places"));
    Money::sum(each).expect("fits")
}

#[derive(serde::Deserialize)]
struct Sums<'a> {
    #[serde(borrow)]
    valor_produtos: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    valor_desconto: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    valor_frete: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    valor_total: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    items: Vec<LineSums<'a>>,
}

#[derive(serde::Deserialize)]
struct LineSums<'a> {
    #[serde(borrow)]
    valor_bruto: &'a serde_json::value::RawValue,
    #[serde(borrow, default)]
    valor_desconto: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    valor_frete: Option<&'a serde_json::value::RawValue>,
}

proptest! {
    #[test]
    fn what_is_written_adds_up_to_the_centavo(
        lines in prop::collection::vec((1_u32..1_000, 1_i64..100_000_000), 1..30),
        discount_share in 0_i64..=100, freight in 0_i64..10_000_000,
    ) {
        let mut nfe = simples();
        let sample = nfe.items[0].clone();
        let gross: Vec<Money> = lines.iter().map(|&(quantity, unit)| cents(unit * i64::from(quantity))).collect();
        let products = Money::sum(gross.iter().copied()).expect("fits");
        let discount = cents(products.cents() / 100 * discount_share);
        let (discounts, freights) = (Money::apportion(discount, &gross), Money::apportion(cents(freight), &gross));
        nfe.items = (0..lines.len()).map(|i| vitrine_kit::nfe::Item {
            number: i as u32 + 1,
            quantity: lines[i].0,
            unit_price: cents(lines[i].1),
            gross: gross[i],
            discount: discounts[i],
            freight: freights[i],
            ..sample.clone()
        }).collect();
        nfe.totals.products = products;
        nfe.totals.discount = discount;
        nfe.totals.freight = cents(freight);
        nfe.totals.invoice = cents(products.cents() - discount.cents() + freight);
        let body = written(&nfe);
        let read: Sums<'_> = serde_json::from_str(&body).expect("as it is written");
        let of = |pick: for<'a> fn(&LineSums<'a>) -> Option<&'a serde_json::value::RawValue>| {
            sum(&read.items.iter().filter_map(pick).collect::<Vec<_>>())
        };
        prop_assert_eq!(of(|line| Some(line.valor_bruto)), sum(&[read.valor_produtos]));
        prop_assert_eq!(of(|line| line.valor_desconto), sum(&[read.valor_desconto]));
        prop_assert_eq!(of(|line| line.valor_frete), sum(&[read.valor_frete]));
        let total = sum(&[read.valor_produtos]).cents() - sum(&[read.valor_desconto]).cents() + sum(&[read.valor_frete]).cents();
        prop_assert_eq!(total, sum(&[read.valor_total]).cents());
    }
}
