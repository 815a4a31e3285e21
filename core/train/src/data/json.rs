//! JSON values for chat templates: keys stay in the order of the file, because templates print
//! them.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::form::shortened;

/// Number of keys up to which duplicates are found by linear search.
const FEW_KEYS: usize = 16;
/// 2^53. A float beyond it may stand for an integer that did not fit 64 bits.
const LARGEST_FLOAT: f64 = 9_007_199_254_740_992.0;

/// A JSON value that, unlike `serde_json::Value`, keeps the order of keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object with distinct keys.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The value of a key; `None` if this is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The string; `None` if this is not one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Bytes of all its strings and keys, plus a few for everything else.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 8,
            Self::Text(text) => text.len(),
            Self::List(items) => items.iter().map(Self::bytes).sum(),
            Self::Object(entries) => entries.iter().map(|(k, v)| k.len() + v.bytes()).sum(),
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_i64(value),
                (_, Ok(value)) => serializer.serialize_u64(value),
                _ => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    /// serde_json reads an integer beyond 64 bits as a float; templates would print it as one.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        if value.abs() > LARGEST_FLOAT {
            return Err(E::custom("a number beyond 2^53 that is not whole, or beyond 64 bits"));
        }
        Ok(Json::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        // Only objects with many keys need a hash set.
        let mut known: HashSet<String> = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let is_known = match object.len() {
                0..=FEW_KEYS => object.iter().any(|(name, _)| *name == key),
                _ => known.contains(&key),
            };
            if is_known {
                return Err(A::Error::custom(format!(
                    "the key {:?} stands twice",
                    shortened(&key)
                )));
            }
            if object.len() == FEW_KEYS {
                known.extend(object.iter().map(|(name, _)| name.clone()));
            }
            if object.len() >= FEW_KEYS {
                known.insert(key.clone());
            }
            object.push((key, entries.next_value()?));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_order_and_none_stands_twice() {
        let text = r#"{"z":18446744073709551615,"a":[null,true,2.5,"x"],"m":-3}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        for many in [1, 20, 300] {
            let mut keys: Vec<String> = (0..many).map(|key| format!("\"{key}\":{key}")).collect();
            let parse = |keys: &[String]| {
                serde_json::from_str::<Json>(&format!("[{{{}}}]", keys.join(",")))
            };
            assert!(parse(&keys).is_ok());
            keys.push(format!("\"{}\":null", many - 1));
            let error = parse(&keys).unwrap_err().to_string();
            assert!(error.contains("stands twice"), "{error}");
        }
        assert!(serde_json::from_str::<Json>("1000000000000000000000").is_err());
    }
}
