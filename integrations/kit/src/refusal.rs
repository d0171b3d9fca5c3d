//! What a provider says when it refuses, in its own code and words.

/// Their own code and words for a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Empty where they have none: then it is the status.
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// Code and words in one text, for the operator.
    pub fn said(&self) -> String {
        said(&self.code, &self.message)
    }
}

/// "539: Rejeição: …", what there is of a refusal's code and words, without a full stop: the text goes on behind it.
pub fn said(code: &str, message: &str) -> String {
    let words = |text: &str| text.trim().trim_end_matches(['.', ':', '-', ' ']).to_owned();
    match (words(code), words(message)) {
        (code, message) if code.is_empty() && message.is_empty() => "sem motivo informado".to_owned(),
        (code, message) if message.is_empty() => code,
        (code, message) if message.starts_with(&code) => message, // some begin their words with the code
        (code, message) => format!("{code}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_a_reason_leaves_no_colon_and_no_full_stop() {
        assert_eq!(said("539", "Rejeição: duplicidade"), "539: Rejeição: duplicidade");
        assert_eq!(said("CancelamentoNegado", ""), "CancelamentoNegado");
        assert_eq!(said("CancelamentoNegado", " . "), "CancelamentoNegado");
        assert_eq!(said("", "Prazo vencido."), "Prazo vencido");
        assert_eq!((said("501", "501 - Prazo superior"), said("501", "501 - ")), ("501 - Prazo superior".into(), "501".into()));
        assert_eq!(said("", ""), "sem motivo informado");
    }
}
