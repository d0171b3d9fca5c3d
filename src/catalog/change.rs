//! What a change to a product or a category may name: any of its fields, and nothing is required.

use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayItems, SchemaType};
use utoipa::openapi::{Object, ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::category_admin::{self, CategoryInput};
use super::product_admin;
use super::product_input::{ProductInput, VariantInput};

/// The body of a change to a product.
#[derive(Debug)]
pub enum ProductChange {}

/// The body of a change to a category.
#[derive(Debug)]
pub enum CategoryChange {}

/// A variant in the body of a change to a product.
#[derive(Debug)]
pub enum VariantChange {}

impl PartialSchema for ProductChange {
    fn schema() -> RefOr<Schema> {
        let what = "Any fields of a product; those that are left out keep their values. Fields that only answers show are \
                    taken and not looked at, so that a product can be sent back as it was read.";
        let example = json!({"price_cents": 5490, "compare_at_cents": 5990});
        let mut part = part_of(ProductInput::schema(), &product_admin::READ_ONLY, what, example);
        if let RefOr::T(Schema::Object(part)) = &mut part
            && let Some(RefOr::T(Schema::Array(variants))) = part.properties.get_mut("variants")
        {
            variants.items = ArrayItems::RefOrSchema(Box::new(RefOr::Ref(Ref::from_schema_name(VariantChange::name()))));
        }
        part
    }
}

impl ToSchema for ProductChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((VariantChange::name().into_owned(), VariantChange::schema()));
        ProductInput::schemas(schemas);
    }
}

impl PartialSchema for VariantChange {
    fn schema() -> RefOr<Schema> {
        edited(VariantInput::schema(), |variant| not_looked_at(variant, &product_admin::VARIANT_READ_ONLY))
    }
}

impl ToSchema for VariantChange {}

impl PartialSchema for CategoryChange {
    fn schema() -> RefOr<Schema> {
        let what = "Any fields of a category; those that are left out keep their values. Fields that only answers show are \
                    taken and not looked at, so that a category can be sent back as it was read.";
        let example = json!({"name": "Camisetas", "position": 2});
        part_of(CategoryInput::schema(), &category_admin::READ_ONLY, what, example)
    }
}

impl ToSchema for CategoryChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CategoryInput::schemas(schemas);
    }
}

/// The input's schema with nothing required, and with the fields of the answer that are not looked at.
fn part_of(input: RefOr<Schema>, read_only: &[&str], what: &str, example: Value) -> RefOr<Schema> {
    edited(input, |part| {
        part.required.clear();
        part.description = Some(what.to_owned());
        part.example = Some(example);
        not_looked_at(part, read_only);
    })
}

fn edited(schema: RefOr<Schema>, edit: impl FnOnce(&mut Object)) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            edit(&mut object);
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

/// These fields may hold any value.
fn not_looked_at(object: &mut Object, fields: &[&str]) {
    let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Shown by answers; not looked at here."));
    let any = any.build();
    object.properties.extend(fields.iter().map(|field| ((*field).to_owned(), any.clone().into())));
}
