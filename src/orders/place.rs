//! What a buyer sends to place an order, parsed and checked. After this only stock, prices and limits can refuse it.

use std::net::IpAddr;

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use vitrine_kit::{Cep, Email, Phone, TaxId};

use crate::cart::Owner;
use crate::cause::Actor;
use crate::error::{Error, FieldError, Result};
use crate::http::idempotency::Claim;
use crate::ids::AddressId;
use crate::lang::Lang;
use crate::payments::charge::methods::Method;
use crate::sale::address::ShippingAddress;
use crate::tax::registration::StateRegistration;
use crate::text::is_hidden;
use crate::users::rules;

/// Who asks for an order, and how.
#[derive(Debug)]
pub struct Asked<'a> {
    pub owner: &'a Owner,
    pub actor: Actor,
    /// The language of a guest who does not name one.
    pub spoken: Lang,
    pub address: IpAddr,
    pub key: Option<&'a Claim>,
}

/// A new order, from the cart.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "address_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2",
    "quote_token": "eyJxIjoi…",
    "expected_total_cents": 12632,
    "cpf": "529.982.247-25",
    "pay": {"method": "pix"}
}))]
pub struct PlaceOrder {
    /// One of the customer's saved addresses.
    #[garde(skip)]
    pub address_id: Option<AddressId>,
    /// The address, instead of `address_id`. Required of guests.
    #[garde(dive)]
    pub address: Option<NewAddress>,
    /// From POST /api/shipping/calculate, for exactly the cart's items and this address's CEP.
    #[garde(length(bytes, min = 1, max = 20_000))]
    #[schema(min_length = 1, max_length = 20000)]
    pub quote_token: String,
    /// What the buyer was told that the order costs, freight and discounts included. Where it costs more, it is not placed: 409
    /// `price-changed`.
    #[garde(inner(range(min = 0, max = 100_000_000_000_000)))]
    #[schema(minimum = 0, maximum = 100000000000000i64)]
    pub expected_total_cents: Option<i64>,
    /// Replaces the cart's coupon. One that frees the freight is not spent where the freight is free without it, as with pickup.
    #[garde(inner(length(chars, min = 1, max = 40)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 40)]
    pub coupon: Option<String>,
    /// CPF or CNPJ of the buyer, for the invoice. Optional where the account has one.
    #[garde(inner(length(chars, max = 20)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 20)]
    pub cpf: Option<String>,
    /// Inscrição estadual of a company that buys (its CNPJ in `cpf`, or in the account): digits as its state gives them, or `ISENTO`.
    /// Without it the invoice says that the buyer does not contribute to ICMS, which is refused if it does.
    #[garde(inner(length(chars, max = 30)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub state_registration: Option<String>,
    /// How it will be paid, where its price depends on that. Left out: as `pay` says, or not chosen yet.
    #[garde(skip)]
    pub payment_method: Option<Method>,
    /// Starts the payment once the order is placed, and adds it to the answer.
    #[garde(skip)]
    pub pay: Option<Pay>,
    /// What the buyer wants the shop to know.
    #[garde(inner(length(chars, max = 500)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 500)]
    pub notes: Option<String>,
    /// Guests only: the e-mail that order and payment are written to.
    #[garde(inner(length(chars, max = 254)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// Guests only: the buyer's name.
    #[garde(inner(custom(rules::persons_words)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub name: Option<String>,
    /// Guests only: the buyer's phone.
    #[garde(inner(length(chars, max = 30)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub phone: Option<String>,
    /// Guests only: the language of what is written to them. Unset: the one that `Accept-Language` prefers.
    #[garde(skip)]
    pub locale: Option<Lang>,
    /// Guests only: whether to send SMS about the order to the phone.
    #[garde(skip)]
    pub sms_opt_in: Option<bool>,
    /// Guests only: the version of the privacy notice that was accepted. It is kept with the order.
    #[garde(inner(custom(rules::version)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 40)]
    pub privacy_version: Option<String>,
}

/// How the order is paid.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"method": "pix"}))]
pub struct Pay {
    /// The method.
    pub method: Method,
}

/// An address as it is typed. The buyer is the recipient unless another is named.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "cep": "01310-100",
    "street": "Avenida Paulista",
    "number": "1000",
    "complement": "Apto 12",
    "district": "Bela Vista",
    "city": "São Paulo",
    "state": "SP"
}))]
pub struct NewAddress {
    /// Who receives it. Left out or null: the buyer.
    #[garde(inner(custom(rules::persons_words)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub recipient: Option<String>,
    /// The CEP, with or without its hyphen.
    #[garde(custom(rules::cep))]
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    pub cep: String,
    /// The street.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub street: String,
    /// The number in the street, as text: `1000`, `12-A`, `s/n`.
    #[garde(custom(rules::persons_detail))]
    #[schema(min_length = 1, max_length = 60)]
    pub number: String,
    /// Flat, block or floor.
    #[garde(inner(custom(rules::persons_detail)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub complement: Option<String>,
    /// Blank where the town has none.
    #[garde(custom(rules::district))]
    #[schema(max_length = 60)]
    pub district: String,
    /// The city.
    #[garde(custom(rules::persons_words))]
    #[schema(min_length = 2, max_length = 60)]
    pub city: String,
    /// The two letters of the state, in capitals or not.
    #[garde(custom(rules::state_of(&self.cep)))]
    #[schema(min_length = 2, max_length = 2)]
    pub state: String,
    /// Whom the carrier can ask.
    #[garde(inner(custom(rules::phone)))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 30)]
    pub phone: Option<String>,
    /// A name for the address, where it is saved: `Casa`.
    #[garde(inner(custom(rules::persons_line(60))))]
    #[serde(default, deserialize_with = "rules::typed")]
    #[schema(max_length = 60)]
    pub label: Option<String>,
    /// Whether it becomes the default of the saved addresses.
    #[garde(skip)]
    pub is_default: Option<bool>,
}

/// A state registration, or the 422 that says why it is none.
pub fn registration(text: Option<&str>, buyer: &TaxId, state: &str) -> Result<Option<StateRegistration>> {
    let parse = |text| StateRegistration::parse(text, buyer, state).map_err(|why| Error::field("state_registration", why));
    text.map(parse).transpose()
}

/// The buyer, as the order keeps it.
#[derive(Debug, Clone)]
pub struct Contact {
    pub name: String,
    pub email: Option<Email>,
    pub phone: Option<Phone>,
    pub document: TaxId,
}

impl PlaceOrder {
    /// The method of payment, if the buyer chose one: it sets the price.
    pub fn method(&self) -> Option<Method> {
        self.pay.map(|pay| pay.method).or(self.payment_method)
    }

    /// The document that was sent, if one was.
    pub fn document(&self) -> Result<Option<TaxId>> {
        self.cpf.as_deref().map(|text| TaxId::parse(text).map_err(|e| Error::field("cpf", e.to_string()))).transpose()
    }

    /// The state registration that was sent, of this buyer at this address.
    pub fn registration(&self, buyer: &TaxId, address: &ShippingAddress) -> Result<Option<StateRegistration>> {
        registration(self.state_registration.as_deref(), buyer, &address.state)
    }

    /// A guest's own data. The error names every field that is missing or wrong.
    pub fn guest(&self) -> Result<Contact> {
        let mut wrong = Vec::new();
        let mut miss = |field: &str, message: String| wrong.push(FieldError { field: field.into(), message });
        let name = self.name.as_deref().map(str::trim).filter(|n| !n.is_empty() && !n.chars().any(is_hidden));
        if name.is_none() {
            miss("name", "is required of a guest".into());
        }
        let email = match self.email.as_deref().map(Email::parse) {
            Some(Ok(email)) => Some(email),
            Some(Err(e)) => {
                miss("email", e.to_string());
                None
            }
            None => {
                miss("email", "is required of a guest".into());
                None
            }
        };
        let phone = match self.phone.as_deref().map(Phone::parse) {
            Some(Err(e)) => {
                miss("phone", e.to_string());
                None
            }
            Some(Ok(phone)) => Some(phone),
            None => None,
        };
        let document = match self.cpf.as_deref().map(TaxId::parse) {
            Some(Ok(document)) => Some(document),
            Some(Err(e)) => {
                miss("cpf", e.to_string());
                None
            }
            None => {
                miss("cpf", "is required: a CPF or CNPJ for the invoice".into());
                None
            }
        };
        if self.address.is_none() {
            miss("address", "is required of a guest".into());
        }
        match (name, email, document) {
            (Some(name), Some(email), Some(document)) if wrong.is_empty() => {
                Ok(Contact { name: name.to_owned(), email: Some(email), phone, document })
            }
            _ => Err(Error::Invalid(wrong)),
        }
    }
}

impl NewAddress {
    /// The copy that the order keeps. `name` is the recipient if the address names none.
    pub fn to_shipping(&self, name: &str) -> Result<ShippingAddress> {
        let cep = Cep::parse(&self.cep).map_err(|e| Error::field("address.cep", e.to_string()))?;
        let phone = self
            .phone
            .as_deref()
            .map(|p| Phone::parse(p).map_err(|e| Error::field("address.phone", e.to_string())))
            .transpose()?
            .map(|p| p.as_str().to_owned());
        let trimmed = |text: &str| text.trim().to_owned();
        Ok(ShippingAddress {
            recipient: self.recipient.as_deref().map(str::trim).filter(|r| !r.is_empty()).unwrap_or(name).to_owned(),
            cep: cep.as_str().to_owned(),
            street: trimmed(&self.street),
            number: trimmed(&self.number),
            complement: self.complement.as_deref().map(trimmed).filter(|c| !c.is_empty()),
            district: rules::kept_district(&self.district),
            city: trimmed(&self.city),
            state: self.state.to_uppercase(),
            ibge_city: None,
            phone,
        })
    }
}
