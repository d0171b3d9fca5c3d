//! Rules for the catalog's texts.

use std::collections::BTreeMap;

use crate::tax;
use crate::text::is_hidden;
use vitrine_kit::nfe::LINE_MAX;
use vitrine_kit::sefaz;

type Checked = garde::Result;

/// No control characters and none that turn the writing: they break CSV, mails and terminals, and show a name as another one.
pub fn one_line(text: &str, _: &()) -> Checked {
    refuse_if(text.chars().any(is_hidden), "must not contain control characters")
}

/// The same, but with line breaks.
pub fn free_text(text: &str, _: &()) -> Checked {
    refuse_if(text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t'), "must not contain control characters")
}

/// A name: one line that is not blank.
pub fn name(text: &str, _: &()) -> Checked {
    refuse_if(text.trim().is_empty(), "must not be blank")?;
    refuse_if(text.trim() != text, "must not begin or end with spaces")?;
    one_line(text, &())
}

/// A product's name: one of which an invoice and a label can show something.
pub fn title(text: &str, _: &()) -> Checked {
    name(text, &())?;
    shown(text)
}

/// A variant's name, such as `P` or `Azul`: it stands behind the product's on invoices and labels. It may be blank.
pub fn variant(text: &str, _: &()) -> Checked {
    one_line(text, &())?;
    if text.trim().is_empty() { Ok(()) } else { shown(text) }
}

/// Invoices and labels are written in Latin letters: of other scripts and pictures nothing is left.
fn shown(text: &str) -> Checked {
    let is_shown = sefaz::text(text, usize::MAX).chars().any(char::is_alphanumeric);
    refuse_if(!is_shown, "must have a Latin letter or a digit, which an invoice can show")
}

pub fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

pub fn slug(text: &str, _: &()) -> Checked {
    refuse_if(!is_slug(text), "must be lower-case letters without accents, digits and single hyphens")
}

pub fn sku(text: &str, _: &()) -> Checked {
    let plain = |c: char| !is_hidden(c) && !c.is_whitespace();
    refuse_if(!text.chars().all(plain), "must not contain spaces or control characters")?;
    // Cut on the invoice, two of them could read alike.
    let is_cut = sefaz::text(text, usize::MAX).chars().count() > LINE_MAX;
    refuse_if(is_cut, "has more than 60 characters as an invoice spells it")?;
    shown(text)
}

pub fn ncm(text: &str, _: &()) -> Checked {
    refuse_if(text.len() != 8 || !all_digits(text), "must have 8 digits")
}

pub fn cfop(text: &str, _: &()) -> Checked {
    refuse_if(text.len() != 4 || !all_digits(text), "must have 4 digits")?;
    refuse_if(tax::cfop::find(text).is_none(), "must be the code of a sale of goods inside the state, such as 5102 or 5405")
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// A picture's address: on this server or on the web. Never a scheme that a browser would run.
pub fn picture_url(url: &str, _: &()) -> Checked {
    let lower = url.to_ascii_lowercase();
    let ours = url.starts_with('/') && !url.starts_with("//");
    let web = lower.starts_with("https://") || lower.starts_with("http://");
    refuse_if(!ours && !web, "must start with https://, http:// or /")?;
    refuse_if(url.chars().any(|c| c.is_control() || c.is_whitespace()), "must not contain spaces or control characters")
}

/// Attributes and options: a few short labels with short values.
pub fn labels(labels: &BTreeMap<String, String>, _: &()) -> Checked {
    const MAX: usize = 50;
    refuse_if(labels.len() > MAX, "must not have more than 50 entries")?;
    for (key, value) in labels {
        refuse_if(key.trim().is_empty(), "must not have a blank name")?;
        refuse_if(key.chars().count() > 60 || value.chars().count() > 300, "names have at most 60 characters, values 300")?;
        refuse_if(key.trim() != key || value.trim() != value, "must not begin or end with spaces")?;
        one_line(key, &())?;
        one_line(value, &())?;
    }
    Ok(())
}

fn refuse_if(bad: bool, message: &str) -> Checked {
    if bad { Err(garde::Error::new(message)) } else { Ok(()) }
}
