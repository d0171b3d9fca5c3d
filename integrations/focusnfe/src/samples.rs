//! Invoices for tests, also for eNotas. Every amount is written out, so that a reader can add them up.

use vitrine_kit::nfe::{
    Address, ApproximateTaxes, Buyer, Contribution, Difal, Environment, FreightBy, IbsCbs, IbsCbsAmounts, Icms, IcmsOwn, Issuer,
    Item, Nfe, PaidBy, Payment, Purpose, ReformTax, Regime, Registration, TaxAmount, Taxes, Totals,
};
use vitrine_kit::{AccessKey, Cep, Cnpj, Email, Money, Phone, TaxId};

pub(crate) const REFERENCE: &str = "0192f0c17a5b7c3e8d1f2a3b4c5d6e7f";
pub(crate) const CNPJ: &str = "11222333000181";
pub(crate) const KEY: &str = "35261011222333000181550010000001231481516233";

pub(crate) fn cents(cents: i64) -> Money {
    Money::from_cents(cents)
}

fn no_tax(situation: &str) -> Contribution {
    Contribution { situation: situation.to_owned(), own: None }
}

/// Two mugs of a Simples seller in São Paulo to a person in Rio, paid by PIX, with freight and an odd discount.
pub(crate) fn simples() -> Nfe {
    let item = |number, sku: &str, name: &str, quantity, unit: i64, gross: i64, discount: i64, freight: i64| Item {
        number,
        sku: sku.to_owned(),
        name: name.to_owned(),
        ncm: "69120000".to_owned(),
        cest: None,
        cfop: "6108".to_owned(),
        unit: "UN".to_owned(),
        quantity,
        unit_price: cents(unit),
        gross: cents(gross),
        discount: cents(discount),
        freight: cents(freight),
        sold_as: None,
        taxes: Taxes {
            origin: 0,
            icms: Icms { situation: "102".to_owned(), own: None, difal: None },
            pis: no_tax("49"),
            cofins: no_tax("49"),
            ibs_cbs: None,
        },
        approximate_taxes: None,
    };
    Nfe {
        reference: REFERENCE.to_owned(),
        environment: Environment::Homologation,
        issued_at: "2026-10-01T15:00:00.123Z".parse().expect("a time"),
        nature: "Venda de mercadoria".to_owned(),
        purpose: Purpose::Sale,
        issuer: Issuer {
            cnpj: Cnpj::parse(CNPJ).expect("valid"),
            legal_name: "Loja  Vitrine\nLTDA".to_owned(),
            trade_name: Some("Vitrine".to_owned()),
            state_registration: "123456789".to_owned(),
            regime: Regime::Simples,
            series: 1,
            address: address("Av. Paulista", "1000", "Bela Vista", ("São Paulo", "3550308", "SP"), "01310100"),
        },
        buyer: Buyer {
            name: "Ana Silva".to_owned(),
            tax_id: TaxId::parse("52998224725").expect("valid"),
            registration: Registration::NonContributor,
            email: Some(Email::parse("ana@example.com").expect("valid")),
            phone: Some(Phone::parse("+5521999990000").expect("valid")),
            address: address("Rua A", "", "Centro", ("Rio de Janeiro", "3304557", "RJ"), "20040002"),
        },
        items: vec![
            item(1, "SKU-1", "Caneca “Ana” – 300 ml", 2, 8_250, 16_500, 667, 1_334),
            item(2, "SKU-2", "Pires", 1, 8_233, 8_233, 333, 666),
        ],
        totals: Totals {
            products: cents(24_733),
            discount: cents(1_000),
            freight: cents(2_000),
            invoice: cents(25_733),
            ..no_totals()
        },
        payment: Payment { method: PaidBy::Pix, amount: cents(25_733) },
        freight: FreightBy::Seller,
        in_person: false,
        volumes: 1,
        weight_grams: 1_050,
        notes: "Pedido 1001.\nDocumento emitido por ME ou EPP optante pelo Simples Nacional.".to_owned(),
    }
}

/// A shirt of the normal regime from São Paulo to Bahia: ICMS with a reduced base, DIFAL and FCP for Bahia, PIS, COFINS, IBS
/// and CBS; paid by card.
pub(crate) fn normal() -> Nfe {
    let mut nfe = simples();
    nfe.issuer.regime = Regime::Normal;
    nfe.issuer.trade_name = None;
    nfe.buyer.address = address("Rua Chile", "7", "Centro", ("Salvador", "2927408", "BA"), "40020000");
    nfe.buyer.address.complement = Some("Apto 2".to_owned());
    nfe.buyer.phone = None;
    nfe.items.truncate(1);
    let item = &mut nfe.items[0];
    (item.ncm, item.cest, item.name) = ("61091000".to_owned(), Some("2805900".to_owned()), "Camiseta".to_owned());
    (item.quantity, item.unit_price, item.gross) = (1, cents(10_000), cents(10_000));
    (item.discount, item.freight) = (Money::ZERO, cents(1_000));
    let amount = |base, rate, value| Some(TaxAmount { base: cents(base), rate, value: cents(value) });
    item.taxes = Taxes {
        origin: 0,
        icms: Icms {
            situation: "20".to_owned(),
            own: Some(IcmsOwn { reduction: Some(1_000), base: cents(9_900), rate: 700, value: cents(693), fcp: None }),
            difal: Some(Difal {
                base: cents(11_000),
                internal_rate: 2_050,
                interstate_rate: 700,
                value: cents(1_485),
                fcp_rate: 200,
                fcp_value: cents(220),
            }),
        },
        pis: Contribution { situation: "01".to_owned(), own: amount(10_307, 165, 170) },
        cofins: Contribution { situation: "01".to_owned(), own: amount(10_307, 760, 783) },
        ibs_cbs: Some(IbsCbs {
            situation: "000".to_owned(),
            classification: "000001".to_owned(),
            amounts: Some(IbsCbsAmounts {
                base: cents(9_354),
                ibs_state: ReformTax { rate: 10, reduction: None, value: cents(9) },
                ibs_city: ReformTax { rate: 0, reduction: None, value: Money::ZERO },
                cbs: ReformTax { rate: 90, reduction: None, value: cents(84) },
            }),
        }),
    };
    nfe.totals = Totals {
        products: cents(10_000),
        discount: Money::ZERO,
        freight: cents(1_000),
        invoice: cents(11_000),
        icms_base: cents(9_900),
        icms: cents(693),
        icms_destination: cents(1_485),
        fcp_destination: cents(220),
        fcp: Money::ZERO,
        pis: cents(170),
        cofins: cents(783),
        ibs_cbs_base: cents(9_354),
        ibs_state: cents(9),
        ibs_city: Money::ZERO,
        cbs: cents(84),
        approximate_taxes: Money::ZERO,
    };
    nfe.payment = Payment { method: PaidBy::CreditCard, amount: cents(11_000) };
    nfe
}

/// Soap at a reduced rate of IBS and CBS and a book without any, of the normal regime inside São Paulo.
pub(crate) fn reduced() -> Nfe {
    let mut nfe = normal();
    nfe.buyer.address = address("Rua Augusta", "5", "Consolação", ("São Paulo", "3550308", "SP"), "01305000");
    let amount = |base, rate, value| Some(TaxAmount { base: cents(base), rate, value: cents(value) });
    let soap = &mut nfe.items[0];
    (soap.ncm, soap.cest, soap.name, soap.cfop) = ("34011190".to_owned(), None, "Sabonete".to_owned(), "5102".to_owned());
    soap.freight = Money::ZERO;
    let own = Some(IcmsOwn { reduction: None, base: cents(10_000), rate: 1_800, value: cents(1_800), fcp: None });
    soap.taxes.icms = Icms { situation: "00".to_owned(), own, difal: None };
    soap.taxes.pis.own = amount(8_200, 165, 135);
    soap.taxes.cofins.own = amount(8_200, 760, 623);
    let tax = |rate, value| ReformTax { rate, reduction: Some(6_000), value: cents(value) };
    soap.taxes.ibs_cbs = Some(IbsCbs {
        situation: "200".to_owned(),
        classification: "200035".to_owned(),
        amounts: Some(IbsCbsAmounts { base: cents(7_442), ibs_state: tax(10, 3), ibs_city: tax(0, 0), cbs: tax(90, 27) }),
    });
    let mut book = nfe.items[0].clone();
    (book.number, book.sku, book.name, book.ncm) = (2, "SKU-2".to_owned(), "Livro".to_owned(), "49019900".to_owned());
    (book.unit_price, book.gross) = (cents(5_000), cents(5_000));
    book.taxes = Taxes {
        origin: 0,
        icms: Icms { situation: "41".to_owned(), own: None, difal: None },
        pis: no_tax("06"),
        cofins: no_tax("06"),
        ibs_cbs: Some(IbsCbs { situation: "410".to_owned(), classification: "410008".to_owned(), amounts: None }),
    };
    book.approximate_taxes = Some(ApproximateTaxes { rate: 1_345, value: cents(673), source: "IBPT 26.2.A".to_owned() });
    nfe.items[0].approximate_taxes =
        Some(ApproximateTaxes { rate: 3_145, value: cents(3_145), source: "IBPT 26.2.A".to_owned() });
    nfe.items.push(book);
    nfe.totals = Totals {
        approximate_taxes: cents(3_818),
        products: cents(15_000),
        invoice: cents(15_000),
        icms_base: cents(10_000),
        icms: cents(1_800),
        pis: cents(135),
        cofins: cents(623),
        ibs_cbs_base: cents(7_442),
        ibs_state: cents(3),
        cbs: cents(27),
        ..no_totals()
    };
    nfe.payment.amount = cents(15_000);
    nfe
}

/// A return by a company in the same state: no freight, no payment, in production.
pub(crate) fn returned() -> Nfe {
    let mut nfe = simples();
    nfe.environment = Environment::Production;
    nfe.nature = "Devolução de venda".to_owned();
    nfe.purpose = Purpose::Return { of: AccessKey::parse(KEY).expect("right") };
    nfe.buyer.name = "Café & Companhia LTDA".to_owned();
    nfe.buyer.tax_id = TaxId::parse("12ABC34501DE35").expect("valid");
    nfe.buyer.registration = Registration::Contributor("110042490114".to_owned());
    nfe.buyer.address = address("Rua Augusta", "5", "Consolação", ("São Paulo", "3550308", "SP"), "01305000");
    nfe.items.truncate(1);
    let item = &mut nfe.items[0];
    (item.cfop, item.discount, item.freight, item.sold_as) = ("1202".to_owned(), Money::ZERO, Money::ZERO, Some(2));
    nfe.totals = Totals { products: cents(16_500), invoice: cents(16_500), ..no_totals() };
    nfe.payment = Payment { method: PaidBy::Nothing, amount: Money::ZERO };
    nfe.freight = FreightBy::None;
    nfe.volumes = 0;
    nfe.notes = String::new();
    nfe
}

fn no_totals() -> Totals {
    let none = Money::ZERO;
    Totals {
        products: none,
        discount: none,
        freight: none,
        invoice: none,
        icms_base: none,
        icms: none,
        icms_destination: none,
        fcp_destination: none,
        fcp: none,
        pis: none,
        cofins: none,
        ibs_cbs_base: none,
        ibs_state: none,
        ibs_city: none,
        cbs: none,
        approximate_taxes: none,
    }
}

fn address(street: &str, number: &str, district: &str, (city, ibge, state): (&str, &str, &str), cep: &str) -> Address {
    Address {
        street: street.to_owned(),
        number: number.to_owned(),
        complement: None,
        district: district.to_owned(),
        city: city.to_owned(),
        ibge_city: ibge.to_owned(),
        state: state.to_owned(),
        cep: Cep::parse(cep).expect("valid"),
    }
}
