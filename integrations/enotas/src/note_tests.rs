use serde_json::Value;
use vitrine_kit::nfe::{Nfe, PaidBy};

use crate::note::Note;
use crate::samples::{normal, reduced, returned, simples};

fn written(nfe: &Nfe) -> String {
    serde_json::to_string_pretty(&Note::of(nfe, format!("h-{}", nfe.reference))).expect("serialises")
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
fn payments_have_their_names() {
    for (method, name) in [
        (PaidBy::Pix, "PagamentoInstantaneoPix"),
        (PaidBy::CreditCard, "CartaoDeCredito"),
        (PaidBy::Wallet, "TransferenciaBancariaCarteiraDigital"),
        (PaidBy::Nothing, "SemPagamento"),
    ] {
        let mut nfe = simples();
        nfe.payment.method = method;
        let body: Value = serde_json::from_str(&written(&nfe)).expect("JSON");
        let paid = &body["pedido"]["pagamento"]["formas"][0];
        assert_eq!(paid["tipo"], name);
        assert_eq!(paid["credenciadoraCartao"].is_object(), matches!(method, PaidBy::CreditCard | PaidBy::Pix));
    }
}

#[test]
fn text_is_cut_to_what_the_schema_takes() {
    let mut nfe = simples();
    nfe.items[0].name = "ç".repeat(200);
    nfe.buyer.address.street = "Rua  das\tFlores 🌷".to_owned();
    let body: Value = serde_json::from_str(&written(&nfe)).expect("JSON");
    assert_eq!(body["itens"][0]["descricao"], "ç".repeat(120));
    assert_eq!(body["cliente"]["endereco"]["logradouro"], "Rua das Flores");
    assert_eq!(body["cliente"]["endereco"]["numero"], "S/N");
}
