//! Texts that fit into one SMS. One character beyond GSM-7 lowers the limit from 160 to 70, and a longer text costs twice.

use vitrine_kit::latin;

/// Characters of one SMS.
pub const PART: usize = 160;

/// Plain ASCII that every phone shows: accents are dropped, typographic characters replaced by plain ones.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    text.chars().for_each(|c| put(&mut plain, c));
    plain
}

fn put(out: &mut String, c: char) {
    let plain = match c {
        // In GSM-7's extension table, where a character counts twice.
        '[' | '{' => "(",
        ']' | '}' => ")",
        '\\' | '|' | '–' | '—' | '−' => "-",
        '~' | '^' | '`' => "",
        ' '..='\u{7e}' => return out.push(c),
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ª' => "a",
        'Á' | 'À' | 'Â' | 'Ã' | 'Ä' | 'Å' => "A",
        'é' | 'è' | 'ê' | 'ë' => "e",
        'É' | 'È' | 'Ê' | 'Ë' => "E",
        'í' | 'ì' | 'î' | 'ï' => "i",
        'Í' | 'Ì' | 'Î' | 'Ï' => "I",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'ø' | 'º' => "o",
        'Ó' | 'Ò' | 'Ô' | 'Õ' | 'Ö' | 'Ø' => "O",
        'ú' | 'ù' | 'û' | 'ü' => "u",
        'Ú' | 'Ù' | 'Û' | 'Ü' => "U",
        'ý' | 'ÿ' => "y",
        'Ý' => "Y",
        'ç' => "c",
        'Ç' => "C",
        'ñ' => "n",
        'Ñ' => "N",
        'ß' => "ss",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        '“' | '”' | '„' | '«' | '»' => "\"",
        '‘' | '’' | '‚' | '´' => "'",
        '…' => "...",
        '·' | '•' => "-",
        '×' => "x",
        '€' => "EUR",
        c if c.is_whitespace() => " ",
        'Ð' => "D",
        'ð' => "d",
        'Þ' => "Th",
        'þ' => "th",
        'µ' => "u",
        '¹' => "1",
        '²' => "2",
        '³' => "3",
        '¼' => "1/4",
        '½' => "1/2",
        '¾' => "3/4",
        '\u{80}'..='\u{ff}' => "", // signs that a phone may lack, control characters
        // Other letters by their plain sister or usual spelling, which the lines above bring to ASCII.
        c => match latin::spelling(c) {
            Some(spelling) => return spelling.chars().for_each(|c| put(out, c)),
            None if c.is_alphanumeric() => "?",
            None => "", // emoji
        },
    };
    out.push_str(plain);
}

/// Cuts to `max` ASCII characters. A longer text ends in dots, at the end of a word if one is near.
pub fn clip(text: &str, max: usize) -> String {
    const DOTS: &str = "...";
    if text.len() <= max || max < DOTS.len() {
        return text.chars().take(max).collect();
    }
    let kept: String = text.chars().take(max - DOTS.len()).collect();
    let end = kept.rfind(' ').filter(|&at| at * 2 > kept.len()).unwrap_or(kept.len());
    format!("{}{DOTS}", kept[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brazilian_words_lose_their_accents_and_nothing_else() {
        let text = "Olá, João! “Pedido” nº 7 – ação, você, à, Ü… R$ 1.234,56";
        assert_eq!(plain(text), "Ola, Joao! \"Pedido\" no 7 - acao, voce, a, U... R$ 1.234,56");
        assert_eq!(plain("Křenek Łódź 10 kΩ ﬁta ≥ 5"), "Krenek Lodz 10 kohm fita >= 5");
        assert_eq!(plain("a\u{301}gua\n\u{1f600}\u{a0}[ok] 日本"), "agua  (ok) ??");
    }

    #[test]
    fn every_character_that_comes_out_counts_once() {
        let all: String = (0..0x3000_u32).filter_map(char::from_u32).collect();
        assert!(plain(&all).chars().all(|c| (' '..='~').contains(&c) && !"[]{}\\|~^`".contains(c)));
    }

    #[test]
    fn what_is_too_long_ends_at_a_word() {
        assert_eq!(clip("Loja da Ana", 11), "Loja da Ana");
        assert_eq!(clip("Loja da Ana Maria", 13), "Loja da...");
        assert_eq!(clip("Otorrinolaringologista", 10), "Otorrin...");
        assert_eq!(clip("abcdef", 2), "ab");
    }
}
