//! Who buys, and where it goes: what the request says, and what the account has.

use tokio_postgres::Row;
use vitrine_kit::Cep;

use super::place::{Contact, PlaceOrder};
use crate::app::App;
use crate::error::{Error, Result};
use crate::sale::address::ShippingAddress;

/// The account's data, with the document that was sent or the account's own.
pub(super) fn customer(app: &App, new: &PlaceOrder, row: &Row) -> Result<Contact> {
    let document = match (new.document()?, row.get::<_, Option<Vec<u8>>>("tax_id_sealed")) {
        (Some(document), _) => document,
        (None, Some(sealed)) => app.keys.open(&sealed, row.get("tax_id_key"))?,
        (None, None) => return Err(Error::field("cpf", "is required: a CPF or CNPJ for the invoice")),
    };
    Ok(Contact {
        name: row.get("name"),
        email: vitrine_kit::Email::parse(row.get("email")).ok(),
        phone: row.get::<_, Option<&str>>("phone").and_then(|p| vitrine_kit::Phone::parse(p).ok()),
        document,
    })
}

pub(super) fn customer_address(new: &PlaceOrder, row: &Row) -> Result<ShippingAddress> {
    if new.address_id.is_none() {
        let typed = new.address.as_ref().ok_or_else(|| Error::field("address_id", "is required: where should it go?"))?;
        return typed.to_shipping(row.get("name"));
    }
    let cep: Option<String> = row.get("cep");
    let cep = cep.ok_or(Error::NotFound("The address"))?;
    Ok(ShippingAddress {
        recipient: row.get("recipient"),
        cep,
        street: row.get("street"),
        number: row.get("number"),
        complement: row.get("complement"),
        district: row.get("district"),
        city: row.get("city"),
        state: row.get("state"),
        ibge_city: row.get("ibge_city"),
        phone: row.get("address_phone"),
    })
}

/// The tax of the sale goes by the state, and the parcel by the CEP.
pub(super) fn check_state(address: &ShippingAddress) -> Result<()> {
    match Cep::parse(&address.cep).map(|cep| cep.state()) {
        Ok(state) if state != address.state => {
            Err(Error::field("address.state", format!("is not the state of the CEP, which is of {state}")))
        }
        _ => Ok(()),
    }
}
