//! The BR Code of a dynamic charge, for banks that give only its address, or a code that wallets cannot read.

use vitrine_kit::Money;
use vitrine_kit::brcode::{Flaw, check, crc16};

/// Wallets show the name and city of the charge's payload. The standard requires some value here.
const NAME: &str = "RECEBEDOR";
const CITY: &str = "BRASIL";
/// The address shares 99 characters with the scheme's name.
const MAX_LOCATION: usize = 77;

/// "Copia e cola" for a `location`, with or without its scheme. `None`: it does not fit, or is not an address.
pub(crate) fn of_location(location: &str) -> Option<String> {
    let url = location.strip_prefix("https://").unwrap_or(location);
    let is_address = url.contains('/') && url.bytes().all(|b| b.is_ascii_graphic()) && url.len() <= MAX_LOCATION;
    is_address.then(|| dynamic(url, NAME, CITY))
}

/// The bank's code; or one made from the charge's address, if the bank gives none or an invalid one.
///
/// Errors: it pays another key than ours. Any other fault is checked by the shop.
pub(crate) fn best(given: Option<String>, location: Option<&str>, amount: Money, key: &str) -> Result<String, &'static str> {
    let built = || location.and_then(of_location);
    let Some(code) = given.map(|code| code.trim().to_owned()).filter(|code| !code.is_empty()) else {
        return Ok(built().unwrap_or_default());
    };
    match check(&code, amount, Some(key)) {
        Err(Flaw::Key) => Err("the code pays another key"),
        Err(Flaw::Checksum | Flaw::Shape) => Ok(built().unwrap_or(code)),
        _ => Ok(code),
    }
}

/// All ASCII, so that a length counts characters and bytes alike.
fn dynamic(url: &str, name: &str, city: &str) -> String {
    let account = field("00", "br.gov.bcb.pix") + &field("25", url);
    let code = field("00", "01")
        + &field("01", "12")
        + &field("26", &account)
        + &field("52", "0000")
        + &field("53", "986")
        + &field("58", "BR")
        + &field("59", name)
        + &field("60", city)
        + &field("62", &field("05", "***"))
        + "6304";
    let crc = crc16(code.as_bytes());
    format!("{code}{crc:04X}")
}

fn field(id: &str, value: &str) -> String {
    format!("{id}{:02}{value}", value.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANUAL: &str = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D";
    const STATIC: &str = "00020126580014br.gov.bcb.pix0136123e4567-e89b-12d3-a456-426614174000520400005303986540518.505802BR5912LOJA VITRINE6009SAO PAULO62160512PEDIDO0001236304E1E3";
    const DYNAMIC: &str = "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/2353c790eefb11eaadc10242ac1200025204000053039865802BR5912LOJA VITRINE6009SAO PAULO62070503***630455B0";

    /// As a wallet takes it apart.
    fn fields(mut text: &str) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        while !text.is_empty() {
            let len: usize = text[2..4].parse().expect("two digits");
            found.push((&text[..2], &text[4..4 + len]));
            text = &text[4 + len..];
        }
        found
    }

    #[test]
    fn the_crc_is_the_documented_one() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
        for code in [MANUAL, STATIC, DYNAMIC] {
            let (body, crc) = code.split_at(code.len() - 4);
            assert_eq!(format!("{:04X}", crc16(body.as_bytes())), crc);
        }
    }

    #[test]
    fn a_dynamic_code_is_the_documented_one() {
        let url = "pix.example.com/qr/v2/2353c790eefb11eaadc10242ac120002";
        assert_eq!(dynamic(url, "LOJA VITRINE", "SAO PAULO"), DYNAMIC);
        let ours = of_location(&format!("https://{url}")).expect("fits");
        let expected = DYNAMIC.replace("5912LOJA VITRINE6009SAO PAULO", "5909RECEBEDOR6006BRASIL");
        assert_eq!(ours[..ours.len() - 4], expected[..expected.len() - 4]);
        assert_eq!(of_location(url).as_deref(), Some(ours.as_str()));
    }

    #[test]
    fn a_broken_code_is_replaced_by_one_of_the_address_and_a_code_of_another_key_is_refused() {
        let (amount, location) = (Money::from_cents(1850), "pix.example.com/qr/v2/2353c790eefb11eaadc10242ac120002");
        let key = "123e4567-e89b-12d3-a456-426614174000";
        let best = |given: &str, location| best(Some(given.to_owned()), location, amount, key);
        assert_eq!(best(DYNAMIC, Some(location)).as_deref(), Ok(DYNAMIC));
        assert_eq!(best(&format!("{DYNAMIC}\r\n"), None).as_deref(), Ok(DYNAMIC));
        assert_eq!(best(STATIC, None).as_deref(), Ok(STATIC));
        let broken = DYNAMIC.replace("55B0", "0000");
        assert_eq!(best(&broken, Some(location)).ok(), of_location(location));
        assert_eq!(best(&broken, None), Ok(broken.clone()), "the shop sees what is wrong with it");
        assert_eq!(best("", Some(location)).ok(), of_location(location));
        assert_eq!(best(MANUAL, Some(location)), Err("the code pays another key"));
    }

    #[test]
    fn what_is_no_address_makes_no_code() {
        for location in ["", "pix.example.com", "pix.exemplo.com/é", "pix.example.com/a b", &format!("a/{}", "b".repeat(76))] {
            assert_eq!(of_location(location), None, "{location}");
        }
    }

    proptest! {
        #[test]
        fn every_address_that_fits_comes_back_out_of_its_code(url in "[a-z0-9.-]{1,20}/[!-~]{0,56}") {
            let code = of_location(&url).expect("fits");
            let parts = fields(&code);
            let ids: Vec<&str> = parts.iter().map(|(id, _)| *id).collect();
            prop_assert_eq!(ids, ["00", "01", "26", "52", "53", "58", "59", "60", "62", "63"]);
            prop_assert_eq!(fields(parts[2].1), [("00", "br.gov.bcb.pix"), ("25", url.as_str())]);
            prop_assert_eq!(parts[9].1, format!("{:04X}", crc16(&code.as_bytes()[..code.len() - 4])));
            prop_assert!(code.len() <= 512);
        }

        #[test]
        fn one_changed_character_is_always_noticed(at in 0_usize..150, to in "[0-9A-Za-z]") {
            let (body, crc) = DYNAMIC.split_at(DYNAMIC.len() - 4);
            let at = at % body.len();
            let changed = format!("{}{to}{}", &body[..at], &body[at + 1..]);
            prop_assert_eq!(format!("{:04X}", crc16(changed.as_bytes())) == crc, changed == body);
        }
    }
}
