//! Characters that no line of text has.

/// Whether a character is not seen and changes what is seen around it: control characters, separators of lines and paragraphs, and those
/// that turn the direction of writing (Unicode Standard Annex 9), by which a name can be shown as another one.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_text_is_found_and_names_of_all_scripts_are_left_alone() {
        assert!("\0\n\u{7f}\u{85}\u{202e}\u{2066}\u{200f}\u{2029}".chars().all(is_hidden));
        assert!(!"João da Silva-Sauro, 王小明 محمد 👩‍👧 d'Ávila".chars().any(is_hidden));
    }
}
