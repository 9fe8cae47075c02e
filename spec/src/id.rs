//! Identifiers and integers as the wire writes them, bounded alike in serde and in the schemas.
//!
//! Deliberately absent: any order or arithmetic beyond what the wire defines.

use std::borrow::Cow;
use std::fmt;

use ecow::EcoString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The greatest integer on the wire, 2^53−1: every JSON number up to it is exact in JavaScript.
///
/// Source: `transport.integers`.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The greatest number of Unicode scalar values in a [`Name`].
///
/// Source: `transport.names`.
pub const MAX_NAME_SCALARS: usize = 256;

/// The `replica_id` of the root element's id.
pub const ROOT_REPLICA: &str = "root";

/// An integer of the wire: 0 … 2^53−1.
///
/// Source: `transport.integers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Integer(u64);

impl Integer {
    /// The integer, or nothing where it is above [`MAX_INTEGER`].
    pub fn new(value: u64) -> Option<Self> {
        (value <= MAX_INTEGER).then_some(Self(value))
    }

    /// The value.
    #[inline]
    pub fn value(self) -> u64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u64::deserialize(deserializer)?;
        Self::new(value)
            .ok_or_else(|| D::Error::custom(format_args!("integer {value} is above 2^53-1")))
    }
}

impl JsonSchema for Integer {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Integer".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": MAX_INTEGER })
    }
}

/// A `doc_id`, `client_id`, `client_msg_id` or `replica_id`: 1 to 256 Unicode scalar values,
/// compared code point by code point (the order of `str`). Cheap to clone; up to 15 bytes are held in
/// place.
///
/// Source: `transport.names`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(EcoString);

impl Name {
    /// The name, or nothing where it is empty or longer than [`MAX_NAME_SCALARS`].
    pub fn new(text: &str) -> Option<Self> {
        // It has no more of them than bytes, which are known.
        let is_short =
            text.len() <= MAX_NAME_SCALARS || text.chars().nth(MAX_NAME_SCALARS).is_none();
        (is_short && !text.is_empty()).then(|| Self(text.into()))
    }

    /// The text of the name.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CowStr::deserialize(deserializer)?.0;
        Self::new(&text).ok_or_else(|| D::Error::custom("a name has 1 to 256 characters"))
    }
}

/// A string borrowed from the input where it holds no escape.
#[derive(Deserialize)]
pub(crate) struct CowStr<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl JsonSchema for Name {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_SCALARS })
    }
}

/// The id of an element: `[lamport, replica_id]` with a lamport of 1 … 2^53−1. Ids are ordered by
/// lamport, then by the code points of the replica id.
///
/// Source: `crdt.element-id`, `crdt.sibling-order`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId {
    lamport: Integer,
    replica_id: Name,
}

impl ElementId {
    /// The id, or nothing where `lamport` is 0.
    pub fn new(lamport: Integer, replica_id: Name) -> Option<Self> {
        (lamport.value() > 0).then_some(Self {
            lamport,
            replica_id,
        })
    }

    /// The Lamport timestamp, 1 … 2^53−1.
    #[inline]
    pub fn lamport(&self) -> u64 {
        self.lamport.value()
    }

    /// The replica that made the element.
    #[inline]
    pub fn replica_id(&self) -> &Name {
        &self.replica_id
    }

    /// The id of the same replica, so many lamports later.
    ///
    /// # Panics
    /// Where that lamport is above 2^53−1.
    pub fn later(&self, lamports: u64) -> Self {
        let lamport = Integer::new(self.lamport().saturating_add(lamports));
        Self {
            lamport: lamport.expect("a run ends at 2^53-1 or below"),
            replica_id: self.replica_id.clone(),
        }
    }
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{},{:?}]",
            self.lamport.value(),
            self.replica_id.as_str()
        )
    }
}

impl Serialize for ElementId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.lamport, &self.replica_id).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ElementId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lamport, replica_id) = Deserialize::deserialize(deserializer)?;
        Self::new(lamport, replica_id)
            .ok_or_else(|| D::Error::custom("lamport 0 is the root's alone"))
    }
}

impl JsonSchema for ElementId {
    fn schema_name() -> Cow<'static, str> {
        "ElementId".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The id of an element: `[lamport, replica_id]`.",
            "type": "array",
            "prefixItems": [
                { "type": "integer", "minimum": 1, "maximum": MAX_INTEGER },
                generator.subschema_for::<Name>(),
            ],
            "items": false,
            "minItems": 2,
            "examples": [[1001, "A"]],
        })
    }
}

/// What an insert stands under: the root `[0,"root"]` or an element.
///
/// Source: `crdt.root`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParentId {
    /// The root of the document, which always exists and has no character.
    Root,
    /// An element, which may not have arrived yet.
    Element(ElementId),
}

impl ParentId {
    /// The parent, or nothing where `lamport` is 0 and the id is not the root's.
    pub fn new(lamport: Integer, replica_id: Name) -> Option<Self> {
        if lamport.value() == 0 {
            return (replica_id.as_str() == ROOT_REPLICA).then_some(Self::Root);
        }
        ElementId::new(lamport, replica_id).map(Self::Element)
    }

    /// The lamport: 0 for the root.
    pub fn lamport(&self) -> u64 {
        self.element().map_or(0, ElementId::lamport)
    }

    /// The element, or nothing for the root.
    #[inline]
    pub fn element(&self) -> Option<&ElementId> {
        match self {
            Self::Root => None,
            Self::Element(id) => Some(id),
        }
    }
}

impl fmt::Display for ParentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => write!(f, "[0,{ROOT_REPLICA:?}]"),
            Self::Element(id) => id.fmt(f),
        }
    }
}

impl Serialize for ParentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Root => (0, ROOT_REPLICA).serialize(serializer),
            Self::Element(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ParentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (lamport, replica_id) = Deserialize::deserialize(deserializer)?;
        Self::new(lamport, replica_id)
            .ok_or_else(|| D::Error::custom("the only id with lamport 0 is [0,\"root\"]"))
    }
}

impl JsonSchema for ParentId {
    fn schema_name() -> Cow<'static, str> {
        "ParentId".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The id of an insert's parent: the root `[0,\"root\"]` or an element.",
            "anyOf": [
                { "const": [0, ROOT_REPLICA] },
                generator.subschema_for::<ElementId>(),
            ],
            "examples": [[0, ROOT_REPLICA], [1001, "A"]],
        })
    }
}
