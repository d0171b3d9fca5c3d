//! Closed lists of words in the API document. Each schema is made of the list that is checked, so that the two agree.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// The schema of a text that is one of these words.
pub fn schema_of<'a>(what: &str, words: impl IntoIterator<Item = &'a str>) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).description(Some(what)).enum_values(Some(words)).build().into()
}
