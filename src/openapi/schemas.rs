//! Schemas that stand in several places are written once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Replaces each object schema that is a copy of a component by a reference to it: the items of lists, and what else is generic.
pub(super) fn share(document: &mut Value) {
    let Some(components) = document["components"]["schemas"].as_object() else { return };
    let named = components.iter().filter(|(_, schema)| is_an_object(schema));
    let named: BTreeMap<String, String> = named.map(|(name, schema)| (schema.to_string(), name.clone())).collect();
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        replace_within(schema, &named);
    }
    replace_within(&mut document["paths"], &named);
}

/// With fields of its own, or made of others.
fn is_an_object(schema: &Value) -> bool {
    schema.get("properties").is_some() || schema.get("allOf").is_some()
}

fn replace_within(value: &mut Value, named: &BTreeMap<String, String>) {
    let children: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    for child in children {
        let copied = Some(&*child).filter(|child| is_an_object(child)).and_then(|child| named.get(&child.to_string()));
        match copied {
            Some(name) => *child = json!({"$ref": format!("#/components/schemas/{name}")}),
            None => replace_within(child, named),
        }
    }
}

/// The first sentence about each component: what an answer says of itself where its feature says nothing.
pub(super) fn descriptions(components: &Value) -> BTreeMap<String, String> {
    let schemas = components["schemas"].as_object().into_iter().flatten();
    schemas
        .filter_map(|(name, schema)| {
            let first = schema["description"].as_str()?.split("\n\n").next()?;
            Some((format!("#/components/schemas/{name}"), first.to_owned()))
        })
        .collect()
}
