//! What a change to a product or a category may name: any of its fields, and nothing is required.

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::category_admin::{self, CategoryInput};
use super::product_admin::{self, ProductInput};
use super::{Category, Product};

/// The body of a change to a product.
#[derive(Debug)]
pub enum ProductChange {}

/// The body of a change to a category.
#[derive(Debug)]
pub enum CategoryChange {}

impl PartialSchema for ProductChange {
    fn schema() -> RefOr<Schema> {
        let what = "Any fields of a product; those that are left out keep their values. Fields that only answers show are \
                    taken and not looked at, so that a product can be sent back as it was read.";
        let example = json!({"price_cents": 5490, "compare_at_cents": 5990});
        part_of(ProductInput::schema(), Product::schema(), &product_admin::READ_ONLY, what, example)
    }
}

impl ToSchema for ProductChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProductInput::schemas(schemas);
    }
}

impl PartialSchema for CategoryChange {
    fn schema() -> RefOr<Schema> {
        let what = "Any fields of a category; those that are left out keep their values. Fields that only answers show are \
                    taken and not looked at, so that a category can be sent back as it was read.";
        let example = json!({"name": "Camisetas", "position": 2});
        part_of(CategoryInput::schema(), Category::schema(), &category_admin::READ_ONLY, what, example)
    }
}

impl ToSchema for CategoryChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CategoryInput::schemas(schemas);
    }
}

/// The input's schema with nothing required, and with the fields of the answer that are not looked at.
fn part_of(input: RefOr<Schema>, answer: RefOr<Schema>, ignored: &[&str], what: &str, example: Value) -> RefOr<Schema> {
    let (RefOr::T(Schema::Object(mut part)), RefOr::T(Schema::Object(answer))) = (input.clone(), answer) else { return input };
    part.required.clear();
    part.description = Some(what.to_owned());
    part.example = Some(example);
    for (name, field) in answer.properties {
        if ignored.contains(&name.as_str()) {
            part.properties.insert(name, field);
        }
    }
    RefOr::T(Schema::Object(part))
}
