//! Goods that come back, as somebody tells of them: everything that is left, or so many pieces of which lines.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::ids::LineId;

/// So many pieces of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"line_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 1}))]
pub struct RestockItem {
    /// A line of the order: `items[].id`.
    #[garde(skip)]
    pub line_id: LineId,
    /// How many pieces of it.
    #[garde(range(min = 1, max = 9999))]
    #[schema(minimum = 1, maximum = 9999)]
    pub quantity: i32,
}

/// What comes back in one call. No line is named twice in one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Goods {
    /// All pieces that are left go back on the shelf, but those that are written off.
    pub everything: bool,
    /// So many of these lines go back on the shelf.
    pub restock: Vec<(LineId, i32)>,
    /// So many of these lines are lost or spoilt: they are out of the sale and on no shelf.
    pub write_off: Vec<(LineId, i32)>,
}

impl Goods {
    /// The goods that a request names.
    ///
    /// Errors: 422 lines beside `restock: true`, or a line that stands twice in a list.
    pub fn asked(everything: bool, restock: &[RestockItem], write_off: &[RestockItem]) -> Result<Self> {
        if everything && !restock.is_empty() {
            return Err(Error::field("restock_items", "cannot be named together with restock: true"));
        }
        for (field, items) in [("restock_items", restock), ("write_off_items", write_off)] {
            let is_repeated = |i: usize| items[..i].iter().any(|other| other.line_id == items[i].line_id);
            if (0..items.len()).any(is_repeated) {
                return Err(Error::field(field, "names a line twice"));
            }
        }
        let counts = |items: &[RestockItem]| items.iter().map(|item| (item.line_id, item.quantity)).collect();
        Ok(Self { everything, restock: counts(restock), write_off: counts(write_off) })
    }

    pub fn is_nothing(&self) -> bool {
        !self.everything && self.restock.is_empty() && self.write_off.is_empty()
    }
}
