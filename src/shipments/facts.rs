//! The data of a label, read when it is bought.

use deadpool_postgres::GenericClient;
use serde_json::Value;
use tokio_postgres::Row;
use vitrine_kit::{Cep, Cnpj, Money, TaxId};
use vitrine_melhorenvio::{Contact, Content, NewLabel};

use super::plan::{self, Paper};
use super::store::Shipment;
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::OrderId;
use crate::invoices::company::{self, Company};
use crate::invoices::facts;
use crate::sale::address::{ShippingAddress, tracking_url};
use crate::sale::returned::Note;
use crate::sale::stock;

/// Why no label can be asked for yet.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// The shop has to complete its settings; then the job continues by itself.
    Shop(&'static str),
    /// This order can never have a label.
    Order(&'static str),
    /// Its NF-e is not authorized yet.
    Invoice,
}

/// The data of a label, or what is missing for it.
pub async fn read(db: &impl GenericClient, app: &App, shipment: &Shipment) -> Result<std::result::Result<NewLabel, Missing>> {
    const FIND: &str = "
        SELECT o.number, o.customer_name, o.customer_email, o.customer_phone, o.tax_id_sealed, o.tax_id_key, o.shipping_address,
               (SELECT value -> 'label_agency' FROM settings WHERE name = 'shipping') AS agency,
               (SELECT max(s.volume)::bigint FROM shipments s WHERE s.order_id = o.id) AS parcels
          FROM orders o WHERE o.id = $1";
    const LINES: &str = "SELECT id, name, variant_name, unit_price_cents FROM order_lines WHERE order_id = $1 ORDER BY position";
    let Some(company) = company::find(db).await? else {
        return Ok(Err(Missing::Shop("Preencha os dados da empresa: sem eles não há remetente")));
    };
    let Some(row) = db::query_opt(db, FIND, &[&shipment.order]).await? else {
        return Ok(Err(Missing::Order("O pedido não existe")));
    };
    let Some(paper) = plan::invoice(db, app, shipment.order).await? else { return Ok(Err(Missing::Invoice)) };
    let Some(document) = open(app, &row)? else {
        return Ok(Err(Missing::Order("O pedido não tem mais o CPF ou CNPJ de quem comprou")));
    };
    let Ok(address) = serde_json::from_value::<ShippingAddress>(row.get("shipping_address")) else {
        return Ok(Err(Missing::Order("O pedido não tem mais o endereço de entrega")));
    };
    let Ok(cep) = Cep::parse(&address.cep) else { return Ok(Err(Missing::Order("O CEP de entrega não é um CEP"))) };
    let from = match sender(app, company, &paper) {
        Ok(from) => from,
        Err(why) => return Ok(Err(Missing::Shop(why))),
    };
    let Some(sums) = stock::find_sums(db, shipment.order).await? else {
        return Ok(Err(Missing::Order("O pedido não existe")));
    };
    // Pieces that came back before the parcel left are not in it.
    let in_it = Note { freight: Money::ZERO, ..sums.sale_note() };
    let lines = db::query(db, LINES, &[&shipment.order]).await?;
    let name = |line: &Row| match facts::described(line.get("name"), line.get("variant_name")) {
        described if described.is_empty() => line.get("name"), // another script: as it is typed
        described => described,
    };
    let contents = lines.iter().map(|line| Content {
        name: name(line),
        quantity: in_it.quantity(line.get("id")).unsigned_abs(),
        unit_price: line.get("unit_price_cents"),
    });
    let goods = sums.total(&in_it).unwrap_or_default();
    Ok(Ok(NewLabel {
        tag: shipment.id.to_string(),
        tag_url: tracking_url(&app.config.http.public_url, row.get("number")),
        service: shipment.service_code.clone(),
        agency: row.get::<_, Option<Value>>("agency").and_then(|agency| agency.as_u64()),
        from,
        to: Contact {
            name: address.recipient,
            phone: address.phone.or(row.get("customer_phone")),
            email: row.get("customer_email"),
            document,
            state_registration: None,
            street: address.street,
            number: address.number,
            complement: address.complement,
            district: address.district,
            city: address.city,
            state: address.state,
            cep,
        },
        contents: contents.filter(|content| content.quantity > 0).collect(),
        volumes: shipment.volumes.clone(),
        insured: share(goods, row.get("parcels"), shipment.volume),
        invoice_key: match paper {
            Paper::Invoice(key) => Some(key),
            Paper::Declaration => None,
        },
    }))
}

/// The buyer's document, by which labels are searched at the provider. `None`: the buyer was erased.
pub async fn document(db: &impl GenericClient, app: &App, order: OrderId) -> Result<Option<TaxId>> {
    const FIND: &str = "SELECT tax_id_sealed, tax_id_key FROM orders WHERE id = $1";
    match db::query_opt(db, FIND, &[&order]).await? {
        Some(row) => open(app, &row),
        None => Ok(None),
    }
}

fn open(app: &App, row: &Row) -> Result<Option<TaxId>> {
    let sealed: Option<Vec<u8>> = row.get("tax_id_sealed");
    let key: Option<i16> = row.get("tax_id_key");
    sealed.zip(key).map(|(sealed, key)| app.keys.open(&sealed, key)).transpose()
}

/// The part of the goods' value that this parcel is insured for. The parts of all parcels add up to the whole, to the centavo.
fn share(goods: Money, parcels: i64, volume: i16) -> Money {
    let parcels = usize::try_from(parcels).unwrap_or(1).max(1);
    let at = usize::try_from(volume - 1).unwrap_or(0);
    Money::apportion(goods, &vec![Money::from_cents(1); parcels]).get(at).copied().unwrap_or_default()
}

/// The sender: the company of the settings, at the address where parcels leave. The error says what is wrong with the settings.
fn sender(app: &App, company: Company, paper: &Paper) -> std::result::Result<Contact, &'static str> {
    let cnpj = Cnpj::parse(&company.cnpj).map_err(|_| "O CNPJ da empresa não é válido")?;
    let address = company.address;
    let cep = app.config.shipping.sender_cep.clone();
    if cep.state() != address.state {
        return Err("O endereço da empresa não é do estado de SHIPPING_SENDER_CEP");
    }
    let from = app.config.mail.from.as_str();
    let email = from.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(from, |(address, _)| address);
    Ok(Contact {
        name: company.trade_name.unwrap_or(company.legal_name),
        phone: company.phone.as_deref().and_then(company::phone_digits),
        email: Some(email.to_owned()),
        document: TaxId::Cnpj(cnpj),
        // A declaration of contents is only for senders who pay no ICMS: the label is refused if a registration is given too.
        state_registration: matches!(paper, Paper::Invoice(_)).then_some(company.state_registration),
        street: address.street,
        number: address.number,
        complement: address.complement,
        district: address.district,
        city: address.city,
        state: address.state,
        cep,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parcels_are_insured_for_the_goods_and_not_a_centavo_more() {
        let shares: Vec<i64> = (1..=3).map(|volume| share(Money::from_cents(100), 3, volume).cents()).collect();
        assert_eq!(shares, [34, 33, 33]);
        assert_eq!(share(Money::from_cents(100), 1, 1).cents(), 100);
    }
}
