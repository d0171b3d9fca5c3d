//! The seller, as it stands on invoices: `/api/admin/settings/company`.

use deadpool_postgres::GenericClient;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::nfe::Regime;
use vitrine_kit::phone::service_number;
use vitrine_kit::{Cnpj, Phone};

use crate::db;
use crate::error::Result;
use crate::tax::states::StateCode;
use crate::users::rules;

/// The company that sells.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "legal_name": "Loja Exemplo Ltda",
    "trade_name": "Loja Exemplo",
    "cnpj": "11.222.333/0001-81",
    "state_registration": "110042490114",
    "tax_regime": "simples",
    "invoice_series": 1,
    "address": {
        "cep": "01310-100",
        "street": "Avenida Paulista",
        "number": "1000",
        "complement": null,
        "district": "Bela Vista",
        "city": "São Paulo",
        "state": "SP"
    },
    "phone": "(11) 3333-0000"
}))]
pub struct Company {
    /// Its name by law (razão social).
    #[garde(custom(rules::words))]
    #[schema(min_length = 2, max_length = 60)]
    pub legal_name: String,
    /// The name that buyers know (nome fantasia). Null or left out: none.
    #[garde(inner(custom(rules::words)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub trade_name: Option<String>,
    /// With or without punctuation; letters are fine.
    #[garde(custom(is_cnpj))]
    #[schema(min_length = 14, max_length = 30)]
    pub cnpj: String,
    /// Its inscrição estadual: 2 to 14 digits, or `ISENTO`.
    #[garde(custom(is_state_registration))]
    #[schema(pattern = "^([0-9]{2,14}|ISENTO)$")]
    pub state_registration: String,
    /// How it is taxed.
    #[garde(skip)]
    pub tax_regime: TaxRegime,
    /// The series of its invoices.
    #[garde(range(max = 969))]
    #[schema(maximum = 969, minimum = 0)]
    pub invoice_series: u16,
    /// Where it is.
    #[garde(dive)]
    pub address: CompanyAddress,
    /// For carriers: whom to ask about a parcel. Numbers for the whole country (0800, 4004) are fine.
    #[garde(inner(custom(is_phone)))]
    #[serde(default, deserialize_with = "rules::typed", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 30)]
    pub phone: Option<String>,
}

/// How a company is taxed: `simples` (Simples Nacional), `simples_excess` (the same, above the state's sublimit), `normal` or
/// `mei`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaxRegime {
    Simples,
    /// Simples Nacional, above the state's sublimit.
    SimplesExcess,
    Normal,
    Mei,
}

impl From<TaxRegime> for Regime {
    fn from(regime: TaxRegime) -> Self {
        match regime {
            TaxRegime::Simples => Self::Simples,
            TaxRegime::SimplesExcess => Self::SimplesExcess,
            TaxRegime::Normal => Self::Normal,
            TaxRegime::Mei => Self::Mei,
        }
    }
}

/// Where the company is.
#[derive(Debug, Clone, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "cep": "01310-100",
    "street": "Avenida Paulista",
    "number": "1000",
    "complement": null,
    "district": "Bela Vista",
    "city": "São Paulo",
    "state": "SP"
}))]
pub struct CompanyAddress {
    /// The CEP, with or without its hyphen.
    #[garde(custom(rules::cep))]
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    pub cep: String,
    /// The street.
    #[garde(custom(rules::words))]
    #[schema(min_length = 2, max_length = 60)]
    pub street: String,
    /// The number in the street, as text.
    #[garde(custom(rules::shown))]
    #[schema(min_length = 1, max_length = 60)]
    pub number: String,
    /// Flat, block or floor. Null or left out: none.
    #[garde(inner(custom(rules::shown)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub complement: Option<String>,
    /// The district.
    #[garde(custom(rules::words))]
    #[schema(min_length = 2, max_length = 60)]
    pub district: String,
    /// The city.
    #[garde(custom(rules::words))]
    #[schema(min_length = 2, max_length = 60)]
    pub city: String,
    /// Of the CEP.
    #[garde(custom(is_in_capitals), custom(rules::state_of(&self.cep)))]
    #[schema(value_type = StateCode)]
    pub state: String,
    /// The IBGE's code of the city, 7 digits. Left out: looked up by the CEP.
    #[garde(inner(custom(is_ibge_city)))]
    #[serde(default, deserialize_with = "rules::typed", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub ibge_city: Option<String>,
}

/// `None`: nobody has said yet who sells.
pub async fn find(db: &impl GenericClient) -> Result<Option<Company>> {
    const FIND: &str = "SELECT value FROM settings WHERE name = 'company'";
    let row = db::query_opt(db, FIND, &[]).await?;
    Ok(row.and_then(|row| serde_json::from_value(row.get("value")).ok()))
}

/// Ten or eleven digits with area code, or a number for the whole country as it is dialled.
pub fn phone_digits(text: &str) -> Option<String> {
    let national = |phone: Phone| phone.as_str().trim_start_matches("+55").to_owned();
    Phone::parse(text).map(national).ok().or_else(|| service_number(text))
}

fn is_phone(text: &str, (): &()) -> garde::Result {
    let words = "must be a Brazilian phone number with area code, or one for the whole country (0800, 4004)";
    phone_digits(text).map(|_| ()).ok_or_else(|| garde::Error::new(words))
}

fn is_cnpj(text: &str, (): &()) -> garde::Result {
    Cnpj::parse(text).map(|_| ()).map_err(|_| garde::Error::new("is not a valid CNPJ"))
}

/// It goes onto invoices as it is kept.
fn is_in_capitals(text: &str, (): &()) -> garde::Result {
    if text.bytes().all(|b| b.is_ascii_uppercase()) { Ok(()) } else { Err(garde::Error::new("must be in capitals")) }
}

pub(super) fn is_ibge_city(text: &str, (): &()) -> garde::Result {
    let is_right = text.len() == 7 && text.bytes().all(|b| b.is_ascii_digit());
    if is_right { Ok(()) } else { Err(garde::Error::new("must have 7 digits")) }
}

fn is_state_registration(text: &str, (): &()) -> garde::Result {
    let digits = (2..=14).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits || text == "ISENTO" { Ok(()) } else { Err(garde::Error::new("must be 2 to 14 digits, or ISENTO")) }
}
