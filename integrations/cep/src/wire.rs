//! The wire formats of both sources.

use serde::Deserialize;
use vitrine_kit::Cep;

use crate::Address;

#[derive(Deserialize)]
pub(crate) struct ViaCep {
    erro: Option<Flag>,
    cep: Option<String>,
    logradouro: Option<String>,
    bairro: Option<String>,
    localidade: Option<String>,
    uf: Option<String>,
    ibge: Option<String>,
}

/// `true` in older answers, `"true"` in newer ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Text(String),
}

impl ViaCep {
    pub(crate) fn is_unknown(&self) -> bool {
        match &self.erro {
            Some(Flag::Bool(erro)) => *erro,
            Some(Flag::Text(erro)) => erro == "true",
            None => false,
        }
    }

    /// `None`: it is not the address of `asked`. Their `complemento` is a range of house numbers, not the buyer's flat.
    pub(crate) fn address(self, asked: &Cep) -> Option<Address> {
        let cep = Cep::parse(&self.cep?).ok().filter(|cep| cep == asked)?;
        Some(Address {
            cep,
            street: filled(self.logradouro),
            district: filled(self.bairro),
            city: filled(self.localidade)?,
            state: filled(self.uf)?,
            ibge_city: filled(self.ibge),
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct BrasilApi {
    cep: String,
    state: Option<String>,
    city: Option<String>,
    neighborhood: Option<String>,
    street: Option<String>,
    ibge: Option<Ibge>,
}

#[derive(Deserialize)]
struct Ibge {
    city: Option<String>,
}

impl BrasilApi {
    /// `None`: it is not the address of `asked`.
    pub(crate) fn address(self, asked: &Cep) -> Option<Address> {
        let cep = Cep::parse(&self.cep).ok().filter(|cep| cep == asked)?;
        Some(Address {
            cep,
            street: filled(self.street),
            district: filled(self.neighborhood),
            city: filled(self.city)?,
            state: filled(self.state)?,
            ibge_city: filled(self.ibge.and_then(|ibge| ibge.city)),
        })
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
