//! Both ends of an invoice, the seller and the buyer, and what the tax authority would refuse of them.

use vitrine_kit::nfe::{Address, Buyer, Issuer, LINE_MAX, Registration};
use vitrine_kit::{Cep, Cnpj, Email, Phone, sefaz};

use super::company::{Company, CompanyAddress};
use super::facts::Facts;
use super::problem::Problem;
use crate::sale::address::ShippingAddress;
use crate::tax::registration::{self, StateRegistration};
use crate::tax::states;

/// Both ends' cities by the IBGE's code; `None`: nobody knows.
#[derive(Debug, Clone, Default)]
pub struct Cities {
    pub seller: Option<String>,
    pub buyer: Option<String>,
}

/// The seller, or what is wrong with it. `configured`: NFE_CNPJ; `ibge_city`: its city.
pub fn issuer(
    configured: Option<&Cnpj>,
    company: &Company,
    ibge_city: Option<String>,
    wrong: &mut Vec<Problem>,
) -> Option<Issuer> {
    let cnpj = Cnpj::parse(&company.cnpj).map_err(|_| wrong.push(Problem::new("company.cnpj", "CNPJ inválido"))).ok();
    if configured.is_some_and(|configured| cnpj.as_ref().is_some_and(|cnpj| cnpj != configured)) {
        wrong.push(Problem::new("company.cnpj", "O CNPJ da empresa não é o de NFE_CNPJ: um dos dois está errado"));
    }
    if !shows(&company.legal_name, 2) {
        wrong.push(Problem::new("company.legal_name", "A razão social precisa de pelo menos 2 letras que uma nota mostra"));
    }
    let CompanyAddress { cep, street, number, complement, district, city, state, .. } = &company.address;
    let given = ShippingAddress {
        recipient: company.legal_name.clone(),
        cep: cep.clone(),
        street: street.clone(),
        number: number.clone(),
        complement: complement.clone(),
        district: district.clone(),
        city: city.clone(),
        state: state.clone(),
        ibge_city,
        phone: None,
    };
    let address = address("company.address", &given, wrong);
    Some(Issuer {
        cnpj: cnpj?,
        legal_name: company.legal_name.clone(),
        trade_name: company.trade_name.clone(),
        state_registration: company.state_registration.clone(),
        regime: company.tax_regime.into(),
        series: company.invoice_series,
        address: address?,
    })
}

pub fn buyer(facts: &Facts, cities: &Cities, wrong: &mut Vec<Problem>) -> Option<Buyer> {
    let name = facts.buyer_name.trim();
    if !shows(name, 2) {
        wrong.push(Problem::new("buyer.name", "O nome do comprador precisa de pelo menos 2 letras que uma nota mostra"));
    }
    if facts.buyer_tax_id.is_none() {
        wrong.push(Problem::new("buyer.tax_id", "O CPF ou CNPJ do comprador já não existe: os dados da pessoa foram apagados"));
    }
    let given = ShippingAddress { ibge_city: cities.buyer.clone(), ..facts.address.clone() };
    let address = address("buyer.address", &given, wrong);
    Some(Buyer {
        name: name.to_owned(),
        tax_id: facts.buyer_tax_id.clone()?,
        registration: registration(facts),
        email: facts.buyer_email.as_deref().and_then(|text| Email::parse(text).ok()),
        phone: facts.buyer_phone.as_deref().and_then(|text| Phone::parse(text).ok()),
        address: address?,
    })
}

/// So many characters are left of a text in the invoice's own.
fn shows(text: &str, least: usize) -> bool {
    sefaz::text(text, LINE_MAX).chars().count() >= least
}

/// indIEDest, by what the buyer said at the checkout.
pub fn registration(facts: &Facts) -> Registration {
    match &facts.buyer_registration {
        Some(StateRegistration::Number(digits)) => Registration::Contributor(digits.clone()),
        Some(StateRegistration::Exempt) if registration::knows_exempt(&facts.address.state) => Registration::Exempt,
        Some(StateRegistration::Exempt) | None => Registration::NonContributor,
    }
}

fn address(at: &str, given: &ShippingAddress, wrong: &mut Vec<Problem>) -> Option<Address> {
    let before = wrong.len();
    for (field, text, what, least) in [
        ("street", &given.street, "o logradouro", 2),
        ("number", &given.number, "o número (S/N onde não há)", 1),
        ("district", &given.district, "o bairro", 2),
        ("city", &given.city, "o município", 2),
    ] {
        if text.trim().is_empty() {
            wrong.push(Problem::new(format!("{at}.{field}"), format!("Falta {what}")));
        } else if !shows(text, least) {
            let text = format!("Falta {what}: a nota mostra letras latinas e números, e precisa de pelo menos {least}");
            wrong.push(Problem::new(format!("{at}.{field}"), text));
        }
    }
    let cep = Cep::parse(&given.cep).map_err(|_| wrong.push(Problem::new(format!("{at}.cep"), "CEP inválido"))).ok();
    let state = states::find(&given.state);
    if state.is_none() {
        wrong.push(Problem::new(format!("{at}.state"), "UF inválida"));
    }
    match (&given.ibge_city, state) {
        (None, _) => {
            let text = "O código IBGE do município não foi encontrado pelo CEP: informe-o";
            wrong.push(Problem::new(format!("{at}.ibge_city"), text));
        }
        (Some(city), Some(state)) if !city.starts_with(state.code) => {
            let text = format!("O município {city} do CEP não fica em {}: o endereço e o CEP não combinam", state.abbreviation);
            wrong.push(Problem::new(format!("{at}.ibge_city"), text));
        }
        _ => {}
    }
    if wrong.len() > before {
        return None;
    }
    Some(Address {
        street: given.street.trim().to_owned(),
        number: given.number.trim().to_owned(),
        complement: given.complement.clone().filter(|text| !text.trim().is_empty()),
        district: given.district.trim().to_owned(),
        city: given.city.trim().to_owned(),
        ibge_city: given.ibge_city.clone()?,
        state: given.state.clone(),
        cep: cep?,
    })
}
