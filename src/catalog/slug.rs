//! Slugs from names: `Café Torrado – 250 g` becomes `cafe-torrado-250-g`.

use std::collections::HashSet;

use vitrine_kit::latin;

/// Long enough for any name, short enough that a suffix still fits.
const MAX_LEN: usize = 120;

/// Lower-case ASCII letters, digits and single hyphens; `item` for a name that has none of them.
pub fn slugify(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars() {
        // What Latin-1 lacks first by its plain sister or its usual spelling: `Š`, `Ω`.
        let spelled = if u32::from(c) > 0xff { latin::spelling(c).unwrap_or_else(|| " ".to_owned()) } else { c.to_string() };
        spelled.chars().flat_map(char::to_lowercase).for_each(|c| put(&mut slug, c));
        if slug.len() >= MAX_LEN {
            break;
        }
    }
    slug.truncate(MAX_LEN); // all of it is ASCII
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "item".to_owned() } else { slug.to_owned() }
}

fn put(slug: &mut String, c: char) {
    match plain(c) {
        Some(letters) => slug.push_str(letters),
        None if c.is_ascii_alphanumeric() => slug.push(c),
        None if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
        None => {}
    }
}

/// Letters of Portuguese and related languages without their accents.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ª' => "a",
        'é' | 'è' | 'ê' | 'ë' => "e",
        'í' | 'ì' | 'î' | 'ï' => "i",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'º' => "o",
        'ú' | 'ù' | 'û' | 'ü' => "u",
        'ç' => "c",
        'ñ' => "n",
        'ß' => "ss",
        'æ' => "ae",
        'ø' => "o",
        'ý' | 'ÿ' => "y",
        '\'' => "", // marks inside words are dropped without a hyphen
        _ => return None,
    })
}

/// Words that stand in the place of a slug in the shop's own addresses: a product named so could not be reached.
pub const RESERVED: [&str; 5] = ["search", "featured", "category", "import", "export"];

/// The slug itself, or the first of `slug-2`, `slug-3` … that is free.
pub fn free_slug(wanted: &str, taken: &HashSet<String>) -> String {
    if !taken.contains(wanted) && !RESERVED.contains(&wanted) {
        return wanted.to_owned();
    }
    // The search ends: `taken` is finite.
    (2_u64..).map(|n| format!("{wanted}-{n}")).find(|slug| !taken.contains(slug)).unwrap_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::rules::is_slug;

    #[test]
    fn accents_spaces_and_marks_become_an_address() {
        assert_eq!(slugify("Café Torrado – 250 g"), "cafe-torrado-250-g");
        assert_eq!(slugify("  Pão de Açúcar!  "), "pao-de-acucar");
        assert_eq!(slugify("Pa\u{303}o d'água"), "pao-dagua");
        assert_eq!(slugify("Škoda d’água – 10 kΩ ﬁta Łódź"), "skoda-dagua-10-kohm-fita-lodz");
        assert_eq!(slugify("???"), "item");
    }

    #[test]
    fn a_taken_slug_gets_the_first_free_number() {
        let taken = HashSet::from(["cafe".to_owned(), "cafe-2".to_owned()]);
        assert_eq!(free_slug("cafe", &taken), "cafe-3");
        assert_eq!(free_slug("cha", &taken), "cha");
    }

    proptest! {
        #[test]
        fn every_name_makes_a_slug_that_the_table_accepts(name in ".{0,300}") {
            let slug = slugify(&name);
            prop_assert!(is_slug(&slug), "{slug}");
            prop_assert!(slug.len() <= MAX_LEN);
        }
    }
}
