//! CPF and CNPJ, checked the way a bank does: an account holder with a wrong digit is refused.

/// 11 digits of a CPF or 14 characters of a CNPJ (letters allowed), without punctuation.
pub(crate) fn is_tax_id(text: &str) -> bool {
    match text.len() {
        11 => is_cpf(text),
        14 => is_cnpj(text),
        _ => false,
    }
}

fn is_cpf(text: &str) -> bool {
    let repeated = text.bytes().all(|b| Some(b) == text.bytes().next());
    text.bytes().all(|b| b.is_ascii_digit()) && !repeated && check_digits(text, 11)
}

fn is_cnpj(text: &str) -> bool {
    let (base, check) = text.as_bytes().split_at(12);
    let repeated = text.bytes().all(|b| Some(b) == text.bytes().next());
    base.iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        && check.iter().all(u8::is_ascii_digit)
        && !repeated
        && check_digits(text, 9)
}

/// Weights run 2, 3, … `top` from the right, and again from 2.
fn check_digits(text: &str, top: u32) -> bool {
    let values: Vec<u32> = text.bytes().map(|b| u32::from(b) - 48).collect();
    [values.len() - 2, values.len() - 1].iter().all(|&at| {
        let sum: u32 = (2..=top).cycle().zip(values[..at].iter().rev()).map(|(w, v)| w * v).sum();
        let rest = sum % 11;
        values[at] == if rest < 2 { 0 } else { 11 - rest }
    })
}

#[cfg(test)]
mod tests {
    use super::is_tax_id;

    #[test]
    fn documented_numbers_pass_and_their_neighbours_do_not() {
        for good in [
            "52998224725",
            "11144477735",
            "39053344705",
            "12345678909",
            "11222333000181",
            "19513188000108",
            "00000000000191",
            "12ABC34501DE35",
            "6TS1HJ0S000170",
            "A1B2C3D4000193",
            "VTR00011000100",
        ] {
            assert!(is_tax_id(good), "{good}");
        }
        for bad in [
            "52998224724",
            "11111111111",
            "5299822472",
            "529982247250",
            "12ABC34501DE36",
            "11222333000180",
            "00000000000000",
            "12ABC34501DE3A",
            "12abc34501de35",
            "529.982.247-25",
            "",
        ] {
            assert!(!is_tax_id(bad), "{bad}");
        }
    }
}
