//! Reads an object only from a JSON object. serde's derive also takes an array, as a struct's fields in their order: then `[]` would be
//! an object of which nothing was said.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

/// A deserializer that refuses arrays for structs, at every depth: all that it hands on is wrapped as well. What serde buffers (for
/// `flatten`, `untagged` and `tag`) is not seen here; a body has no struct below one of these.
pub struct Objects<T>(pub T);

/// The visitor of a struct. It takes no array.
struct Struct<V>(V);

macro_rules! hand_on {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.0.$method($($argument,)* Objects(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Objects<D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any() deserialize_bool()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_char() deserialize_str() deserialize_string()
        deserialize_bytes() deserialize_byte_buf() deserialize_option() deserialize_unit()
        deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str)
        deserialize_seq() deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize) deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Objects(Struct(visitor)))
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Struct<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}

macro_rules! pass {
    ($($method:ident($($value:ident: $type:ty)?))*) => {$(
        fn $method<E: Error>(self $(, $value: $type)?) -> Result<V::Value, E> {
            self.0.$method($($value)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Objects<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    pass! {
        visit_bool(value: bool) visit_i64(value: i64) visit_i128(value: i128) visit_u64(value: u64) visit_u128(value: u128)
        visit_f64(value: f64) visit_str(value: &str) visit_borrowed_str(value: &'de str) visit_string(value: String)
        visit_bytes(value: &[u8]) visit_borrowed_bytes(value: &'de [u8]) visit_byte_buf(value: Vec<u8>) visit_none() visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Objects(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Objects(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Objects(seq))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Objects(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Objects(data))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Objects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Objects(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed) // a name
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Objects(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Objects<A> {
    type Error = A::Error;
    type Variant = Objects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        self.0.variant_seed(seed).map(|(value, variant)| (value, Objects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Objects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Objects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Objects(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Objects(Struct(visitor)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Leaf {
        word: Option<String>,
        number: Option<i64>,
        pair: Option<(i64, f64)>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Kind {
        Plain,
        One(Leaf),
        Named { leaf: Leaf },
        Pair(Leaf, Leaf),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Leaf);

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Tree {
        leaf: Leaf,
        maybe: Option<Leaf>,
        list: Vec<Leaf>,
        named: BTreeMap<String, Leaf>,
        kind: Option<Kind>,
        wrapped: Option<Box<Wrapped>>,
        anything: Value,
    }

    /// Read from a text and from a value.
    fn read(tree: &Value) -> Result<Tree, String> {
        let text = tree.to_string();
        let of_text = Tree::deserialize(Objects(&mut serde_json::Deserializer::from_str(&text)));
        let of_value = Tree::deserialize(Objects(tree.clone()));
        assert_eq!(of_text.is_ok(), of_value.is_ok(), "{tree}");
        of_text.map_err(|e| e.to_string())
    }

    #[test]
    fn an_array_is_no_object_at_any_depth() {
        for tree in [
            json!([]),
            json!({"leaf": []}),
            json!({"leaf": ["x", 1, [1, 2.5]]}),
            json!({"maybe": []}),
            json!({"list": [[]]}),
            json!({"list": [{}, []]}),
            json!({"named": {"a": []}}),
            json!({"kind": {"One": []}}),
            json!({"kind": {"Named": [{}]}}),
            json!({"kind": {"Named": {"leaf": []}}}),
            json!({"kind": {"Pair": [{}, []]}}),
            json!({"wrapped": []}),
        ] {
            assert!(serde_json::from_str::<Tree>(&tree.to_string()).is_ok(), "serde alone takes {tree}");
            let error = read(&tree).expect_err("an array");
            assert!(error.starts_with("invalid type: sequence, expected an object"), "{tree}: {error}");
        }
    }

    #[test]
    fn what_is_none_of_that_is_read_as_ever() {
        for tree in [
            json!({}),
            json!({"leaf": {"word": "x", "number": -1, "pair": [1, 2.5]}, "maybe": null, "list": [{}, {"word": "\u{e9}\n"}]}),
            json!({"named": {"a": {"number": 1}}, "kind": "Plain", "anything": [[], {"a": [1, null, true]}]}),
            json!({"kind": {"Named": {"leaf": {}}}, "wrapped": {"word": "x"}}),
            json!({"kind": {"Pair": [{}, {"number": 2}]}, "maybe": {"word": null}}),
        ] {
            assert_eq!(read(&tree).ok(), serde_json::from_value(tree.clone()).ok(), "{tree}");
            assert!(read(&tree).is_ok(), "{tree}");
        }
        for (tree, why) in [
            (json!({"leaf": 1}), "invalid type: integer `1`, expected an object"),
            (json!({"leaf": {"number": "1"}}), "invalid type: string \"1\", expected i64"),
            (json!(null), "invalid type: null, expected an object"),
        ] {
            assert!(read(&tree).expect_err("wrong").starts_with(why), "{tree}");
        }
    }
}
