//! Words that customers use for the same thing: the setting `search`, which `search_query` in the database reads.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;

/// How products are searched.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    /// Up to 100 lists of 2 to 5 words or phrases. A query with one of a list finds the others too.
    #[garde(
        length(max = 100),
        inner(length(min = 2, max = 5), inner(length(chars, min = 1, max = 60), custom(rules::one_line)))
    )]
    pub synonyms: Vec<Vec<String>>,
}
