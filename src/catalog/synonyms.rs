//! Words that customers use for the same thing: the setting `search`, which `search_query` in the database reads.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;

/// How products are searched.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"synonyms": [["camiseta", "camisa", "t-shirt"]]}))]
pub struct SearchSettings {
    /// Up to 100 lists of 2 to 5 words or phrases. A query with one of a list finds the others too.
    #[garde(
        length(max = 100),
        inner(length(min = 2, max = 5), inner(length(chars, min = 1, max = 60), custom(rules::one_line)))
    )]
    #[schema(value_type = Vec<SynonymGroup>, max_items = 100)]
    pub synonyms: Vec<Vec<String>>,
}

/// Words or phrases that mean the same.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "it stands in the document; the setting holds the lists themselves")]
#[schema(min_items = 2, max_items = 5, min_length = 1, max_length = 60, example = json!(["camiseta", "t-shirt"]))]
struct SynonymGroup(Vec<String>);
