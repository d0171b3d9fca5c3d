//! BR Code ("copia e cola"): checks that a wallet can pay this text, and for our amount.

use crate::Money;

/// The longest code that the standard allows.
const MAX_LEN: usize = 512;
/// ISO 4217 for the real.
const BRL: &str = "986";
/// The Pix template lives in one of these.
const TEMPLATES: std::ops::RangeInclusive<u8> = 26..=51;

/// Why a code must not be shown to a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    #[error("it is not a list of fields with their lengths")]
    Shape,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it is not a Pix code in reais")]
    NotPix,
    #[error("it asks for another amount")]
    Amount,
    #[error("it pays another key")]
    Key,
}

/// Checks what a wallet checks, our amount, and, if `key` is given, that it is our Pix key: a static code names one, a dynamic
/// code has the address of its charge instead. The txid inside is not compared: banks put prefixes there, and dynamic codes only
/// `***`. White space around the code is not part of it: the caller shows it trimmed.
pub fn check(code: &str, amount: Money, key: Option<&str>) -> Result<(), Flaw> {
    let code = code.trim();
    if code.len() > MAX_LEN {
        return Err(Flaw::Shape);
    }
    let fields = fields(code).ok_or(Flaw::Shape)?;
    let find = |id: u8| fields.iter().find(|(field, _)| *field == id).map(|(_, value)| *value);
    let is_framed = fields.first() == Some(&(0, "01")) && fields.last().is_some_and(|(id, value)| *id == 63 && value.len() == 4);
    if !is_framed {
        return Err(Flaw::Shape);
    }
    let (signed, crc) = code.split_at(code.len() - 4); // the last field holds four ASCII characters: the CRC is compared below
    if !crc.eq_ignore_ascii_case(&format!("{:04X}", crc16(signed.as_bytes()))) {
        return Err(Flaw::Checksum);
    }
    let templates = fields.iter().filter(|(id, _)| TEMPLATES.contains(id)).filter_map(|(_, template)| self::fields(template));
    let is_pix = |inner: &Vec<(u8, &str)>| inner.iter().any(|(id, v)| *id == 0 && v.eq_ignore_ascii_case("br.gov.bcb.pix"));
    let Some(pix) = templates.into_iter().find(is_pix).filter(|_| find(53) == Some(BRL)) else {
        return Err(Flaw::NotPix);
    };
    let named = pix.iter().find(|(id, _)| *id == 1).map(|(_, value)| *value);
    if let (Some(theirs), Some(ours)) = (named, key)
        && !theirs.eq_ignore_ascii_case(ours)
    {
        return Err(Flaw::Key);
    }
    match find(54).map(cents) {
        // A dynamic code's amount is in its payload; some banks then write none here, or zero.
        None | Some(Some(0)) => Ok(()),
        Some(Some(asked)) if asked == amount.cents() => Ok(()),
        Some(_) => Err(Flaw::Amount),
    }
}

/// `(id, value)` in order; `None` where an id is not two digits or a length does not fit. Lengths count characters.
fn fields(mut text: &str) -> Option<Vec<(u8, &str)>> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let (id, rest) = split(text, 2)?;
        let (len, rest) = split(rest, 2)?;
        let (value, rest) = split(rest, usize::from(number(len)?))?;
        found.push((number(id)?, value));
        text = rest; // four characters shorter at least, so this ends
    }
    Some(found)
}

fn split(text: &str, chars: usize) -> Option<(&str, &str)> {
    let at = match text.char_indices().nth(chars) {
        Some((at, _)) => at,
        None if text.chars().count() == chars => text.len(),
        None => return None,
    };
    text.split_at_checked(at)
}

fn number(two_digits: &str) -> Option<u8> {
    two_digits.bytes().all(|b| b.is_ascii_digit()).then(|| two_digits.parse().ok())?
}

/// `18.50`, `18.5` or `18` in centavos.
fn cents(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    format!("{whole}{part:0<2}").parse().ok()
}

/// CRC-16/CCITT-FALSE, over all bytes up to and with `6304`.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANUAL: &str = "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Fulano de Tal6008BRASILIA62070503***63041D3D";
    const STATIC: &str = "00020126580014br.gov.bcb.pix0136123e4567-e89b-12d3-a456-426614174000520400005303986540518.505802BR5912LOJA VITRINE6009SAO PAULO62160512PEDIDO0001236304E1E3";
    const DYNAMIC: &str = "00020101021226760014br.gov.bcb.pix2554pix.example.com/qr/v2/2353c790eefb11eaadc10242ac1200025204000053039865802BR5912LOJA VITRINE6009SAO PAULO62070503***630455B0";

    /// With a checksum that fits.
    fn sealed(body: &str) -> String {
        let body = format!("{body}6304");
        format!("{body}{:04X}", crc16(body.as_bytes()))
    }

    #[test]
    fn codes_of_the_manual_are_sound() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
        for code in [MANUAL, STATIC, DYNAMIC] {
            assert_eq!(check(code, Money::from_cents(1850), None), Ok(()), "{code}");
        }
    }

    #[test]
    fn another_amount_is_refused_and_none_or_nought_is_not() {
        assert_eq!(check(STATIC, Money::from_cents(1851), None), Err(Flaw::Amount));
        let with = |amount: &str| sealed(&format!("00020126180014br.gov.bcb.pix530398654{:02}{amount}", amount.len()));
        assert_eq!(check(&with("0.00"), Money::from_cents(7), None), Ok(()));
        assert_eq!(check(&with("18.5"), Money::from_cents(1850), None), Ok(()));
        assert_eq!(check(&with("18"), Money::from_cents(1800), None), Ok(()));
        assert_eq!(check(&with("1,00"), Money::from_cents(100), None), Err(Flaw::Amount));
    }

    #[test]
    fn a_static_code_pays_its_key_and_a_dynamic_one_names_none() {
        let ours = Some("123E4567-e89b-12d3-a456-426614174000");
        assert_eq!(check(STATIC, Money::from_cents(1850), ours), Ok(()));
        assert_eq!(check(STATIC, Money::from_cents(1850), Some("ana@example.com")), Err(Flaw::Key));
        assert_eq!(check(DYNAMIC, Money::from_cents(1850), ours), Ok(()));
    }

    #[test]
    fn a_newline_around_the_code_does_not_count() {
        for code in [format!("{STATIC}\n"), format!(" {STATIC}\r\n")] {
            assert_eq!(check(&code, Money::from_cents(1850), None), Ok(()));
        }
        assert_eq!(check(&STATIC.replace("LOJA VITRINE", "LOJA\nVITRINE"), Money::from_cents(1850), None), Err(Flaw::Checksum));
    }

    #[test]
    fn another_scheme_or_currency_is_not_pix() {
        assert_eq!(check(&sealed("00020126150011com.example5303986"), Money::from_cents(1), None), Err(Flaw::NotPix));
        assert_eq!(check(&sealed("00020126180014br.gov.bcb.pix5303840"), Money::from_cents(1), None), Err(Flaw::NotPix));
    }

    #[test]
    fn a_truncated_or_altered_code_is_refused() {
        for end in 0..DYNAMIC.len() {
            assert!(check(&DYNAMIC[..end], Money::from_cents(1850), None).is_err(), "{end}");
        }
        assert_eq!(check(&DYNAMIC.replace("2353", "2354"), Money::from_cents(1850), None), Err(Flaw::Checksum));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "\\PC{0,200}") {
            let _ = check(&text, Money::from_cents(1), None);
        }

        #[test]
        fn lengths_count_characters(name in "[A-Za-zÀ-ú ]{1,25}", cents in 1_i64..100_000_000) {
            let amount = Money::from_cents(cents).to_decimal();
            let body = format!("00020126180014br.gov.bcb.pix530398654{:02}{amount}59{:02}{name}", amount.len(), name.chars().count());
            prop_assert_eq!(check(&sealed(&body), Money::from_cents(cents), None), Ok(()));
            prop_assert_eq!(check(&sealed(&body), Money::from_cents(cents + 1), None), Err(Flaw::Amount));
        }
    }
}
