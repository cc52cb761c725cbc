//! What the schemas of answers do not say as utoipa derives them from what serde serialises.

use serde_json::Value;
use utoipa::openapi::{
    Components, Paths, RefOr, Type,
    schema::{ArrayItems, Object, Schema, SchemaType},
};

use super::operations;

/// Corrects the schemas of all answers, those with names and those without.
pub(super) fn correct(paths: &mut Paths, components: &mut Components) {
    let operations = paths.paths.values_mut().flat_map(operations);
    for response in operations.flat_map(|operation| operation.responses.responses.values_mut()) {
        let RefOr::T(response) = response else { continue };
        for content in response.content.values_mut() {
            if let RefOr::T(content) = content {
                content.schema.iter_mut().for_each(correct_schema);
            }
        }
    }
    let of_answers = components.schemas.iter_mut().filter(|(name, _)| !is_of_request(name));
    of_answers.for_each(|(_, schema)| correct_schema(schema));
}

/// `request.rs` writes its schemas itself.
fn is_of_request(name: &str) -> bool {
    name.ends_with("Request") || name == "File"
}

fn correct_schema(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => correct_object(object),
        RefOr::T(Schema::Array(array)) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                correct_schema(items);
            }
        }
        _ => {}
    }
}

fn correct_object(object: &mut Object) {
    for (name, property) in &mut object.properties {
        correct_schema(property);
        let RefOr::T(Schema::Object(property)) = property else { continue };
        // utoipa takes `()` for anything; serde writes null.
        if property.schema_type == SchemaType::AnyValue && property.default == Some(Value::Null) {
            property.schema_type = Type::Null.into();
            property.default = None;
        }
        // It takes an `Option` for what may be absent. With us what may be null is always there, and the few that may be
        // absent are never null.
        let may_be_null =
            matches!(&property.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
        if may_be_null && !object.required.contains(name) {
            object.required.push(name.clone());
        }
    }
}
