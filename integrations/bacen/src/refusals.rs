//! The refusals of banks.

use serde_json::Value;
use vitrine_kit::http::Refusal;
use vitrine_kit::refund::Retry;

/// The standard's problem (its code is the tail of `type`), Efí's `nome`, or what a token server says.
pub(crate) fn read(body: &[u8]) -> Option<Refusal> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |field: &str| body.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let code = text("nome").or_else(|| text("type")?.rsplit('/').next()).or_else(|| text("error"))?;
    let message = text("mensagem").or_else(|| text("detail")).or_else(|| text("error_description")).or_else(|| text("title"));
    let violations = body.get("violacoes").and_then(Value::as_array).into_iter().flatten();
    // What is wrong and where. Not the value: it may be a person's.
    let violation = |v: &Value| Some(format!("{}: {}", v.get("propriedade")?.as_str()?, v.get("razao")?.as_str()?));
    let parts: Vec<String> = message.map(str::to_owned).into_iter().chain(violations.filter_map(violation)).collect();
    Some(Refusal { code: code.to_owned(), message: parts.join("; ") })
}

/// Whether the bank itself says that there is no such thing: by the standard with 404, at Efí with 400.
pub(crate) fn is_not_found(status: u16, code: &str) -> bool {
    const WORDS: [&str; 4] = ["NaoEncontrado", "NaoEncontrada", "_nao_encontrado", "_nao_encontrada"];
    matches!(status, 400 | 404) && WORDS.iter().any(|word| code.ends_with(word))
}

/// Whether a refusal of a PUT may mean that its id is taken. Then an earlier try of ours made it.
pub(crate) fn may_exist(status: u16, refusal: Option<&Refusal>) -> bool {
    const WORDS: [&str; 4] = ["CobOperacaoInvalida", "PixDevolucaoInvalida", "txid_duplicado", "devolucao_id_duplicado"];
    status == 409 || refusal.is_some_and(|refusal| WORDS.contains(&refusal.code.as_str()))
}

/// Whether a refused return may be asked for again. The standard's refusals (too much, too late, its id is used) are final, but
/// banks use the same codes for other reasons too: only their text tells which.
pub(crate) fn retry(code: &str, message: &str) -> Retry {
    Retry::read(&format!("{code} {message}"))
}
