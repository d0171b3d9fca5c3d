//! Elements and figures as the layout writes them.

/// `<name>text</name>`.
pub(super) fn el(name: &str, text: impl std::fmt::Display) -> String {
    format!("<{name}>{}</{name}>", escape(&text.to_string()))
}

/// `<name>…</name>` around elements.
pub(super) fn group(name: &str, inside: &[String]) -> String {
    format!("<{name}>{}</{name}>", inside.concat())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Centavos as reais with two places.
pub(super) fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Ten-thousandths with four places.
pub(super) fn rate(e4: i64) -> String {
    format!("{}.{:04}", e4 / 10_000, e4 % 10_000)
}
