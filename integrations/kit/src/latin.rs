//! Text in Latin-1, which is all that invoices and labels hold. What Latin-1 lacks is written by its plain sister (`Š` as `S`)
//! or its usual spelling (`œ` as `oe`, `Ω` as `ohm`); only other scripts and pictures are left out.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

mod table;

use table::{GREEK, LETTERS, SIGNS};

/// From so many Greek letters in a row on they are a word, not signs.
const GREEK_WORD: usize = 3;

/// At most `limit` characters of it, as the tax authority's schema takes text: Latin-1, no control characters, no space twice,
/// none at the ends.
pub fn text(given: &str, limit: usize) -> String {
    let (plain, _) = convert(given);
    let mut short = String::with_capacity(plain.len());
    let mut length = 0;
    for word in plain.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(length > 0);
        let left = limit.saturating_sub(length + gap);
        if left == 0 {
            break;
        }
        if gap == 1 {
            short.push(' ');
        }
        short.extend(word.chars().take(left));
        length += gap + word.chars().count().min(left);
    }
    short
}

/// A product's name with its variant's, at most `limit` characters: a long name is cut, its variant stays. A name that has the
/// variant's words already stays as it is; a part of a word does not count (`P` is not in `Preta`).
pub fn with_variant(name: &str, variant: &str, limit: usize) -> String {
    let (whole, variant) = (text(name, limit), text(variant, limit));
    if variant.is_empty() || has_words(&whole, &variant) {
        return whole;
    }
    let for_name = whole.chars().count() + 1;
    let variant = text(&variant, limit.saturating_sub(for_name).max(limit / 2));
    let cut = text(name, limit.saturating_sub(variant.chars().count() + 1));
    text(&format!("{cut} {variant}"), limit)
}

/// The name of a person or a company, at most `limit` characters: of a longer one the words between the first and the last become their
/// initials, one after the other until it fits, but those of up to three letters (`dos`). What is still too long is cut.
pub fn short_name(name: &str, limit: usize) -> String {
    let whole = text(name, usize::MAX);
    let mut words: Vec<String> = whole.split(' ').map(str::to_owned).collect();
    for at in 1..words.len().saturating_sub(1) {
        if words.iter().map(|word| word.chars().count() + 1).sum::<usize>() <= limit + 1 {
            break;
        }
        if words[at].chars().count() > 3 {
            words[at] = words[at].chars().take(1).chain(['.']).collect();
        }
    }
    text(&words.join(" "), limit)
}

fn has_words(name: &str, wanted: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(' ').map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    };
    let (name, wanted) = (words(name), words(wanted));
    !wanted.is_empty() && name.windows(wanted.len()).any(|some| some == wanted)
}

/// The characters for which [`text`] has no spelling, each once: another script, a picture.
pub fn left_out(given: &str) -> String {
    convert(given).1
}

/// One character in Latin-1. `None`: there is no spelling for it. Marks that belong to the letter before are empty.
pub fn spelling(c: char) -> Option<String> {
    match c {
        c if is_invisible(c) || is_combining_mark(c) => Some(String::new()),
        c if c.is_whitespace() || c.is_control() => Some(" ".to_owned()),
        c if u32::from(c) <= 0xff => Some(c.to_string()),
        c => match known(c) {
            Some(plain) => Some(plain.to_owned()),
            None => decomposed(c),
        },
    }
}

/// The text in Latin-1, and what has no spelling.
fn convert(given: &str) -> (String, String) {
    let chars: Vec<char> = given.nfc().collect();
    let (mut plain, mut left_out) = (String::with_capacity(given.len()), String::new());
    for (i, &c) in chars.iter().enumerate() {
        match spelling_at(&chars, i) {
            Some(spelling) => plain.push_str(&spelling),
            None if left_out.contains(c) => {}
            None => left_out.push(c),
        }
    }
    (plain, left_out)
}

/// The spelling as it depends on the neighbours: `Œuvre` is `Oeuvre`, `1⅓` is `1 1/3`, `10⁻⁶` is `10^-6`.
fn spelling_at(chars: &[char], i: usize) -> Option<String> {
    let c = chars[i];
    if let Some(sister) = greek(c).filter(|_| is_in_greek_word(chars, i)) {
        return Some(if c.is_uppercase() { sister.to_uppercase() } else { sister.to_owned() });
    }
    let mut spelling = spelling(c)?;
    let follows_digit = i.checked_sub(1).is_some_and(|before| chars[before].is_ascii_digit());
    match c {
        '\u{2150}'..='\u{215f}' | '\u{2189}' if follows_digit => spelling.insert(0, ' '),
        '\u{2070}'..='\u{207b}' if follows_digit => spelling.insert(0, '^'),
        c if c.is_uppercase() && chars.get(i + 1).is_some_and(|next| next.is_lowercase()) && is_letter(c) => {
            let starts_word = i.checked_sub(1).is_none_or(|before| !chars[before].is_lowercase());
            let kept = usize::from(starts_word);
            spelling = spelling.chars().take(kept).chain(spelling.chars().skip(kept).flat_map(char::to_lowercase)).collect();
        }
        _ => {}
    }
    Some(spelling)
}

/// Without its marks, each part by its own spelling; `None` if a part has none.
fn decomposed(c: char) -> Option<String> {
    let mut plain = String::new();
    for part in std::iter::once(c).nfkd().filter(|part| !is_combining_mark(*part)) {
        match known(part) {
            Some(spelling) => plain.push_str(spelling),
            None if u32::from(part) <= 0xff => plain.push(part),
            None => return None,
        }
    }
    (!plain.trim().is_empty()).then_some(plain)
}

fn known(c: char) -> Option<&'static str> {
    LETTERS.iter().chain(SIGNS).find(|(_, chars)| chars.contains(c)).map(|(plain, _)| *plain)
}

fn is_letter(c: char) -> bool {
    LETTERS.iter().any(|(_, letters)| letters.contains(c))
}

/// The Latin sister of a Greek letter, with or without its accent.
fn greek(c: char) -> Option<&'static str> {
    let base = std::iter::once(c).nfd().next()?;
    GREEK.iter().find(|(_, letters)| letters.contains(base)).map(|(sister, _)| *sister)
}

fn is_in_greek_word(chars: &[char], i: usize) -> bool {
    let is_greek = |c: &&char| greek(**c).is_some();
    let before = chars[..i].iter().rev().take_while(is_greek).count();
    before + chars[i..].iter().take_while(is_greek).count() >= GREEK_WORD
}

/// Soft hyphens, joiners, marks of direction, variants of a picture.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use proptest::prelude::*;

    use super::*;

    /// Latin Extended A, B, Additional, C, D and E, phonetic letters.
    const LATIN: [RangeInclusive<u32>; 7] =
        [0x100..=0x2af, 0x2b0..=0x2ff, 0x1d00..=0x1dbf, 0x1e00..=0x1eff, 0x2c60..=0x2c7f, 0xa722..=0xa7bf, 0xab30..=0xab68];
    /// Numbers raised and lowered, currencies, signs like letters, fractions, Roman numbers, ligatures, squared units, full width,
    /// styled letters.
    const COMMON: [RangeInclusive<u32>; 11] = [
        0x2070..=0x2071,
        0x2074..=0x208e,
        0x20a0..=0x20bf,
        0x2100..=0x2134,
        0x2150..=0x2188,
        0x2460..=0x24e9,
        0x3380..=0x33df,
        0xfb00..=0xfb06,
        0xff01..=0xff5e,
        0xffe0..=0xffe6,
        0x1d400..=0x1d454,
    ];

    fn all(ranges: &[RangeInclusive<u32>]) -> impl Iterator<Item = char> {
        ranges.iter().cloned().flatten().filter_map(char::from_u32)
    }

    #[test]
    fn accents_stay_and_what_the_schema_refuses_goes() {
        for (given, written) in [
            ("São João del-Rei", "São João del-Rei"),
            ("  Rua\tA,\r\n 10  ", "Rua A, 10"),
            ("Caneca “Ana” – 300 ml…", "Caneca \"Ana\" - 300 ml..."),
            ("Camiseta 👕 azul", "Camiseta azul"),
            ("nbsp\u{a0}\u{a0}aqui", "nbsp aqui"),
            ("a\u{0}b\u{7f}c\u{85}d", "a b c d"),
            ("🎁", ""),
        ] {
            assert_eq!(text(given, 60), written, "{given:?}");
        }
        assert_eq!(text("abc def", 4), "abc", "no space at the end");
        assert_eq!(text("ação ação", 7), "ação aç", "characters are counted, not bytes");
        assert_eq!(text("abc", 0), "");
    }

    #[test]
    fn what_latin_1_lacks_is_written_by_its_sister_or_its_usual_spelling() {
        for (given, written) in [
            ("Křenek Škoda Łódź Nguyễn Đặng", "Krenek Skoda Lódz Nguyen Dang"),
            ("Cœur, Œuvre, ŒUVRE, Straẞe, STRAẞE", "Coeur, Oeuvre, OEUVRE, Strasse, STRASSE"),
            ("Joa\u{303}o da Conceic\u{327}a\u{303}o", "João da Conceição"),
            ("Resistor 10 kΩ, 10 kΩ, 5 μΩ", "Resistor 10 kohm, 10 kohm, 5 µohm"),
            ("100 μF 100 µF β-caroteno Ελλάδα", "100 µF 100 µF beta-caroteno Ellada"),
            ("ﬁta ﬂor oﬃcial ĳs ŉ", "fita flor official ijs 'n"),
            ("≥ 5 mm ≤ 9 ≠ 7 ≈ 8 −1 20✕30", ">= 5 mm <= 9 != 7 ~ 8 -1 20x30"),
            ("25 ℃ 2 ㎏ 5 ㎡ ⅓ 1⅓ ½ №7", "25 °C 2 kg 5 m² 1/3 1 1/3 ½ No.7"),
            ("10⁻⁶ CO₂ 10⁴ xⁿ 1️⃣ ①", "10^-6 CO2 10^4 xn 1 1"),
            ("‹a› «b» ‚c‘ „d“ 5′ 7″ • ‐ ― ‰", "<a> «b» 'c' \"d\" 5' 7\" - - - por mil"),
            ("Ｌｏｊａ　１２３！ 𝓑𝓮𝓵𝓪 Café™ ₹ 5 € 7", "Loja 123! Bela CaféTM INR 5 EUR 7"),
            ("so\u{ad}ft zero\u{200b}width \u{feff}", "soft zerowidth"),
        ] {
            assert_eq!((text(given, 200), left_out(given)), (written.to_owned(), String::new()), "{given:?}");
        }
    }

    #[test]
    fn a_variant_stands_in_its_products_name() {
        for (name, variant, written) in [
            ("Camiseta Preta", "P", "Camiseta Preta P"),
            ("Camiseta Preta (P)", "P", "Camiseta Preta (P)"),
            ("Camiseta P&B", "P", "Camiseta P&B P"),
            ("Calça 38-40", "40", "Calça 38-40 40"),
            ("Camiseta azul gg", "Azul / GG", "Camiseta azul gg"),
            ("Camiseta", "", "Camiseta"),
            ("Anel", "+", "Anel +"),
            ("Resistor", "10 kΩ", "Resistor 10 kohm"),
            ("", "P", "P"),
        ] {
            assert_eq!(with_variant(name, variant, 120), written, "{name:?} {variant:?}");
        }
        let long = "Vestido ".repeat(30);
        assert_eq!(with_variant(&long, "GG", 20), "Vestido Vestido V GG");
        assert_eq!(with_variant(&format!("{long} GG"), "GG", 20), "Vestido Vestido V GG", "its words were cut away");
        assert_eq!(with_variant(&long, &"x".repeat(30), 20), format!("Vestido V {}", "x".repeat(10)));
        assert_eq!(with_variant("Anel", &"x".repeat(30), 20), format!("Anel {}", "x".repeat(15)));
    }

    #[test]
    fn a_long_name_keeps_its_first_and_its_last_word() {
        let name = "Maria Aparecida dos Santos Oliveira Cavalcanti";
        for (limit, short) in [
            (46, name),
            (45, "Maria A. dos Santos Oliveira Cavalcanti"),
            (38, "Maria A. dos S. Oliveira Cavalcanti"),
            (30, "Maria A. dos S. O. Cavalcanti"),
            (20, "Maria A. dos S. O. C"),
        ] {
            assert_eq!(short_name(name, limit), short, "{limit}");
        }
        assert_eq!(short_name(&"x".repeat(60), 50), "x".repeat(50));
        assert_eq!((short_name("", 50), short_name("Ana", 50)), (String::new(), "Ana".to_owned()));
    }

    #[test]
    fn what_has_no_spelling_is_named_once() {
        assert_eq!(left_out("Chá 茶 👕 Чай 茶 ㈱"), "茶👕Чай㈱");
        assert_eq!(text("Chá 茶 👕 Чай", 60), "Chá");
        assert_eq!(left_out("👩\u{200d}🔧 ❤\u{fe0f}"), "👩🔧❤");
        assert_eq!(left_out("São João 10 kΩ"), "");
    }

    #[test]
    fn no_latin_letter_and_no_common_sign_vanishes() {
        let letters = all(&LATIN).filter(|c| c.is_alphabetic());
        let vanishes = |c: &char| {
            let grows =
                |given: &str| text(given, 60).len() > text(&given.replace(*c, ""), 60).len() && left_out(given).is_empty();
            !(grows(&c.to_string()) && grows(&format!("a{c}b")) && grows(&format!("5 {c}")))
        };
        let vanished: Vec<String> =
            letters.chain(all(&COMMON)).filter(vanishes).map(|c| c.escape_unicode().to_string()).collect();
        assert_eq!(vanished, Vec::<String>::new());
        for c in ('A'..='Z').chain('a'..='z') {
            for mark in all(&[0x300..=0x36f]) {
                let written = text(&format!("{c}{mark}"), 60);
                assert!(written.chars().any(char::is_alphabetic), "{c} with U+{:04X}: {written:?}", u32::from(mark));
            }
        }
    }

    #[test]
    fn the_tables_hold_each_character_once_and_spell_in_latin_1() {
        let mut seen = std::collections::HashSet::new();
        for (plain, chars) in LETTERS.iter().chain(SIGNS) {
            assert!(plain.chars().all(|c| (' '..='\u{ff}').contains(&c) && !c.is_control()), "{plain}");
            assert!(chars.nfc().eq(chars.chars()), "{chars}: the text is composed before it is looked up");
            for c in chars.chars() {
                assert!(u32::from(c) > 0xff && seen.insert(c), "{c} stands there twice, or needs no spelling");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_fits_the_schema(given: String, limit in 0_usize..200) {
            let written = text(&given, limit);
            prop_assert!(written.chars().count() <= limit);
            let fits = |c: char| c == ' ' || (('!'..='\u{ff}').contains(&c) && !c.is_control());
            prop_assert!(written.chars().all(fits));
            prop_assert!(!written.contains("  ") && written.trim() == written);
            prop_assert_eq!(text(&written, limit), written, "twice is once");
        }
    }
}
