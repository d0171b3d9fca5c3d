//! The state of Correios that is not in the books.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

use crate::books::parcels::Scan;

/// The state of Correios that is not in the books. A restart of the sandbox loses it, and the shop must continue.
#[derive(Debug, Default)]
pub(crate) struct Office {
    /// Token → its end.
    pub(crate) tokens: HashMap<String, Timestamp>,
    /// Object → what happened to it, oldest first.
    pub(crate) objects: BTreeMap<String, Vec<Passage>>,
}

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Passage {
    /// `PO`, `RO`, `OEC`, `BDE` …
    pub codigo: String,
    /// `01`
    pub tipo: String,
    pub descricao: String,
    pub cidade: String,
    pub uf: String,
    /// Left out: now.
    #[serde(default = "Timestamp::now")]
    pub at: Timestamp,
}

impl From<Scan> for Passage {
    fn from(scan: Scan) -> Self {
        let Scan { code, kind, description, city, state, at } = scan;
        Self { codigo: code, tipo: kind, descricao: description, cidade: city, uf: state, at }
    }
}
