//! The buyer of a sale as its invoice names it. After an erasure nothing else does, and what is given back is given back to the same
//! buyer: tax law makes the shop keep the document (CTN, article 195), which is why it outlives the person's erasure (LGPD, article 16, I).

use deadpool_postgres::GenericClient;
use roxmltree::{Document, Node};
use vitrine_kit::{AccessKey, TaxId};

use super::facts::Facts;
use crate::db;
use crate::error::Result;
use crate::sale::address::ShippingAddress;
use crate::tax::registration::StateRegistration;

/// Puts the buyer of that sale's invoice into the facts of an erased order. Where its XML is not kept nothing changes, and what is missing is
/// named when the invoice is built.
pub async fn fill(db: &impl GenericClient, facts: &mut Facts, sale: &AccessKey) -> Result<()> {
    const FIND: &str = "SELECT xml FROM invoices WHERE order_id = $1 AND chave = $2 AND xml IS NOT NULL";
    if facts.buyer_tax_id.is_some() {
        return Ok(());
    }
    let row = db::query_opt(db, FIND, &[&facts.order, &sale.as_str()]).await?;
    if let Some(buyer) = row.and_then(|row| Buyer::read(row.get("xml"))) {
        facts.buyer_name = buyer.name;
        facts.buyer_tax_id = Some(buyer.tax_id);
        facts.buyer_registration = buyer.registration;
        facts.buyer_phone = buyer.address.phone.clone();
        facts.address = buyer.address;
    }
    Ok(())
}

/// `dest` of an NF-e.
struct Buyer {
    name: String,
    tax_id: TaxId,
    registration: Option<StateRegistration>,
    address: ShippingAddress,
}

impl Buyer {
    fn read(xml: &[u8]) -> Option<Self> {
        let document = Document::parse(std::str::from_utf8(xml).ok()?).ok()?;
        let buyer = document.descendants().find(|node| node.tag_name().name() == "dest")?;
        let text = |name: &str| text_of(&buyer, name);
        let must = |name: &str| text(name).unwrap_or_default();
        Some(Self {
            name: text("xNome")?,
            tax_id: TaxId::parse(&text("CPF").or_else(|| text("CNPJ"))?).ok()?,
            registration: match must("indIEDest").as_str() {
                "1" => text("IE").map(StateRegistration::Number),
                "2" => Some(StateRegistration::Exempt),
                _ => None,
            },
            address: ShippingAddress {
                recipient: text("xNome")?,
                cep: must("CEP"),
                street: must("xLgr"),
                number: must("nro"),
                complement: text("xCpl"),
                district: must("xBairro"),
                city: must("xMun"),
                state: must("UF"),
                ibge_city: text("cMun"),
                phone: text("fone"),
            },
        })
    }
}

fn text_of(within: &Node<'_, '_>, name: &str) -> Option<String> {
    within.descendants().find(|node| node.tag_name().name() == name)?.text().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buyer_of_a_sale_is_read_from_its_invoice() {
        let address = "<enderDest><xLgr>Rua A &amp; B</xLgr><nro>10</nro><xCpl>Apto 2</xCpl><xBairro>Centro</xBairro><cMun>3304557</cMun>\
                       <xMun>Rio de Janeiro</xMun><UF>RJ</UF><CEP>20040002</CEP><cPais>1058</cPais><fone>2133334444</fone></enderDest>";
        let of = |document: &str, register: &str| {
            let xml = format!(
                "<nfeProc xmlns=\"http://www.portalfiscal.inf.br/nfe\"><NFe><infNFe><emit><CNPJ>11222333000181</CNPJ><xNome>Loja</xNome></emit>\
                 <dest>{document}<xNome>Ana Silva</xNome>{address}{register}</dest></infNFe></NFe></nfeProc>"
            );
            Buyer::read(xml.as_bytes())
        };
        let ana = of("<CPF>52998224725</CPF>", "<indIEDest>9</indIEDest>").expect("a buyer");
        assert_eq!((ana.name.as_str(), ana.tax_id.formatted().as_str()), ("Ana Silva", "529.982.247-25"));
        assert_eq!((ana.registration, ana.address.street.as_str()), (None, "Rua A & B"));
        assert_eq!(
            (ana.address.ibge_city.as_deref(), ana.address.state.as_str(), ana.address.cep.as_str()),
            (Some("3304557"), "RJ", "20040002")
        );
        let company = of("<CNPJ>11222333000181</CNPJ>", "<indIEDest>1</indIEDest><IE>12345678</IE>").expect("a buyer");
        assert_eq!(company.registration, Some(StateRegistration::Number("12345678".into())));
        let exempt = of("<CNPJ>11222333000181</CNPJ>", "<indIEDest>2</indIEDest>").expect("a buyer");
        assert_eq!(exempt.registration, Some(StateRegistration::Exempt));
        assert!(of("", "").is_none() && Buyer::read(b"<nfeProc").is_none());
    }
}
