//! Cells of the product table: how values are read and written.

use std::collections::BTreeMap;
use std::str::FromStr;

use vitrine_kit::Money;

use super::Image;

pub fn pictures(cell: &str) -> Vec<Image> {
    let pictures = split(cell, '|').into_iter().filter(|picture| !picture.trim().is_empty());
    pictures
        .map(|picture| {
            let mut parts = split(&picture, ';').into_iter();
            let url = unescape(&parts.next().unwrap_or_default()).trim().to_owned();
            let alt = parts.map(|part| unescape(&part)).collect::<Vec<_>>().join(";");
            Image { url, alt: alt.trim().to_owned() }
        })
        .collect()
}

/// An amount in centavos, as Brazil writes it or as a spreadsheet makes of that: `39,90`, `39,9`, `39.9`, `39`, `1.234,50`, `1,234.50`,
/// `R$ 10`. Where both signs are there, the last one is the decimal sign. A point alone with three digits behind it is one of
/// thousands: `1.000`. `None`: no amount, or one that cannot be told (`1,234`).
pub fn reais(text: &str) -> Option<i64> {
    let text = text.trim().strip_prefix("R$").unwrap_or(text).trim();
    let (whole, fraction, thousands) = match (text.rfind(','), text.rfind('.')) {
        (Some(comma), point) if point.is_none_or(|point| point < comma) => (&text[..comma], Some(&text[comma + 1..]), '.'),
        (comma, Some(point)) if comma.is_some() || text.len() - point <= 3 => (&text[..point], Some(&text[point + 1..]), ','),
        _ => (text, None, '.'),
    };
    let groups: Vec<&str> = whole.split(thousands).collect();
    let grouped = groups.len() == 1 || ((1..=3).contains(&groups[0].len()) && groups[1..].iter().all(|group| group.len() == 3));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fraction = fraction.unwrap_or("00");
    if !grouped || !groups.iter().all(|group| digits(group)) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    Money::parse_decimal(&format!("{}.{fraction:0<2}", groups.concat())).map(Money::cents)
}

/// A whole number, also as a spreadsheet may write it: `1.080`, `250,0`.
pub fn whole<T: FromStr>(text: &str) -> Option<T> {
    let plain = || text.bytes().next()?.is_ascii_digit().then(|| reais(text))?;
    text.parse().ok().or_else(|| plain().filter(|cents| cents % 100 == 0)?.checked_div(100)?.to_string().parse().ok())
}

/// `sim` and `não`, also as spreadsheets write what is true and false.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "sim" | "s" | "yes" | "y" | "true" | "verdadeiro" | "v" | "1" => Some(true),
        "não" | "nao" | "n" | "no" | "false" | "falso" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// A code of so many digits. Spreadsheets drop zeros in front, people write points: `0901.21.00`, `9012100` → `09012100`.
pub fn code(text: &str, digits: usize) -> String {
    let bare: String = text.chars().filter(|c| !matches!(c, '.' | ' ' | '-')).collect();
    let is_short = bare.len() + 1 == digits && bare.bytes().all(|b| b.is_ascii_digit());
    if is_short { format!("0{bare}") } else { bare }
}

/// Words that a spreadsheet reads as part of a number, a date or a time.
const OF_NUMBERS: &str = " e r am pm a p h de jan fev feb mar abr apr mai may jun jul ago aug set sep out oct nov dez dec janeiro fevereiro \
     março abril maio junho julho agosto setembro outubro novembro dezembro ";

/// Whether a spreadsheet would take the text for a formula (OWASP: CSV injection), a number, a date or a truth value, and change it.
fn is_taken_amiss(text: &str) -> bool {
    let bare = text.trim();
    if text.starts_with(['\t', '\r']) || bare.starts_with(['=', '+', '-', '@', '\'', '＝', '＋', '－', '＠']) {
        return true;
    }
    let lower = bare.to_lowercase();
    if ["true", "false", "verdadeiro", "falso"].contains(&lower.as_str()) {
        return true;
    }
    let mut words = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    lower.chars().any(|c| c.is_ascii_digit()) && words.all(|word| OF_NUMBERS.contains(&format!(" {word} ")))
}

/// A text as spreadsheets leave it alone: what they would take amiss has an apostrophe in front. [`unguarded`] takes it away.
pub fn guarded(text: &str) -> String {
    if is_taken_amiss(text) { format!("'{text}") } else { text.to_owned() }
}

pub fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_taken_amiss(rest)).unwrap_or(text)
}

/// The parts between separators that are not escaped by a backslash; escapes stay in them.
pub fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
            continue;
        }
        escaped = c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts
}

pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

/// Puts a backslash before separators and backslashes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '|' | '=' | ';' | '>') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// `name=value` pairs. `None`: one of them is no pair.
pub fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let pairs = split(text, '|').into_iter().filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| match split(&pair, '=').as_slice() {
            [name, value] => Some((unescape(name).trim().to_owned(), unescape(value).trim().to_owned())),
            _ => None,
        })
        .collect()
}

/// What [`labels`] reads.
pub fn of_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_as_people_and_spreadsheets_write_them() {
        for (text, cents) in [
            ("39,90", 3990),
            ("39,9", 3990),
            ("39.9", 3990),
            ("39.90", 3990),
            ("39", 3900),
            ("1.234,56", 123_456),
            ("1.234,5", 123_450),
            ("1234,5", 123_450),
            ("1,234.50", 123_450),
            ("1.234.567,8", 123_456_780),
            ("R$ 10,00", 1000),
            ("R$ 10", 1000),
            ("1.000", 100_000),
            ("0,05", 5),
            ("0.5", 50),
        ] {
            assert_eq!(reais(text), Some(cents), "{text}");
        }
        for text in
            ["39,900", "1,234", "dez", "", "1.23,00", ",50", ".5", "39,", "1.2.3", "1,2,3", "-1", "1e3", "1.234,56,7", "R$", "--"]
        {
            assert_eq!(reais(text), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_truth_and_codes_survive_a_spreadsheet() {
        for (text, number) in [("1080", 1080), ("1.080", 1080), ("250,0", 250), ("250.0", 250), ("-1", -1), ("0", 0)] {
            assert_eq!(whole::<i32>(text), Some(number), "{text}");
        }
        for text in ["250,5", "x", "", "R$ 10", "99999999999"] {
            assert_eq!(whole::<i32>(text), None, "{text}");
        }
        assert_eq!(["VERDADEIRO", "TRUE", "Sim", "1"].map(flag), [Some(true); 4]);
        assert_eq!(["FALSO", "FALSE", "NÃO", "0"].map(flag), [Some(false); 4]);
        assert_eq!(flag("talvez"), None);
        assert_eq!(
            ["0901.21.00", "9012100", "09012100", "0901"].map(|text| code(text, 8)),
            ["09012100", "09012100", "09012100", "0901"]
        );
        assert_eq!(["5.102", "5102"].map(|text| code(text, 4)), ["5102", "5102"]);
    }

    #[test]
    fn no_cell_is_a_formula_or_looks_like_a_number_and_plain_texts_stay_plain() {
        for text in [
            "=1+1",
            "+55 11",
            "-10%",
            "@SUM(A1)",
            "\tx",
            "00123",
            "12-05",
            "1E5",
            "3/4",
            "MAR-1",
            "12 de março",
            "TRUE",
            "falso",
            "'90s",
            " =1",
        ] {
            assert_eq!(guarded(text), format!("'{text}"), "{text}");
            assert_eq!(unguarded(&guarded(text)), text);
        }
        for text in ["Café", "250 g", "110V", "CAF-SDM-250", "", "a=b", "/media/a.svg;x", "10x15", "D'água"] {
            assert_eq!((guarded(text).as_str(), unguarded(text)), (text, text));
        }
        assert_eq!(unguarded("'Café"), "'Café", "an apostrophe that somebody wrote stays");
    }

    proptest! {
        #[test]
        fn what_is_guarded_reads_as_it_was(text in "['=+@0-9a-e .,/-]{0,8}") {
            let guarded = guarded(&text);
            prop_assert_eq!(unguarded(&guarded), text);
        }

        #[test]
        fn what_is_escaped_is_one_part_and_reads_as_it_was(text in "[a-z|=;>\\\\ ]{0,20}") {
            for separator in ['|', '=', ';', '>'] {
                prop_assert_eq!(split(&escape(&text), separator).len(), 1);
            }
            prop_assert_eq!(unescape(&escape(&text)), text);
        }

        #[test]
        fn labels_are_read_as_they_were_written(pairs in proptest::collection::btree_map("[a-z|=;>]{1,5}", "[a-z|=;>]{0,5}", 0..4)) {
            prop_assert_eq!(labels(&of_labels(&pairs)), Some(pairs));
        }
    }
}
