//! The edits of the text: inserts and deletes, of one element or, with the profile `runs`, of several.
//!
//! Deliberately absent: what an op does to a text; that is an engine's.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{ElementId, Integer, MAX_INTEGER, Name, ParentId};
use crate::message::Object;

/// The greatest `max_run` that a server may announce.
///
/// Source: `runs.limits`.
pub const MOST_RUN: u64 = 65_536;

/// The least `max_run` that a server may announce.
///
/// Source: `runs.limits`.
pub const LEAST_RUN: u64 = 1_024;

/// One edit of the text: an insert or a delete.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Op {
    /// Inserts characters after its parent.
    Ins(Insert),
    /// Deletes elements.
    Del(Delete),
}

/// `ins`: new elements, a character each. The first is the child of `parent_id`, each other the
/// child of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Insert {
    /// The element after which the first character was typed.
    pub parent_id: ParentId,
    /// The first new element's id; its lamport is greater than the parent's.
    pub id: ElementId,
    /// A character each element: exactly one where the profile `runs` is off.
    pub value: RunText,
}

/// `del`: marks elements deleted, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Delete {
    /// The first element to delete.
    pub id: ElementId,
    /// How many elements of this replica, with consecutive lamports; 1 where the field is missing.
    #[serde(default, skip_serializing_if = "Count::is_one")]
    pub count: Count,
}

/// One edit of one element, as connections without the profile `runs` write and read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Op")]
pub enum SingleOp {
    /// Inserts one character after its parent.
    Ins(SingleInsert),
    /// Deletes one element.
    Del(SingleDelete),
}

/// `ins`: a new element with one character, child of `parent_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Insert")]
pub struct SingleInsert {
    /// The element after which the character was typed.
    pub parent_id: ParentId,
    /// The new element's id; its lamport is greater than the parent's.
    pub id: ElementId,
    /// Exactly one Unicode scalar value.
    pub value: char,
}

/// `del`: marks an element deleted, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Delete")]
pub struct SingleDelete {
    /// The element to delete.
    pub id: ElementId,
}

impl Op {
    /// The id of the first element that the op inserts or deletes.
    #[inline]
    pub fn id(&self) -> &ElementId {
        match self {
            Self::Ins(insert) => &insert.id,
            Self::Del(delete) => &delete.id,
        }
    }

    /// How many elements the op inserts or deletes; so many seqs it takes.
    ///
    /// Source: `runs.seqs`.
    pub fn elements(&self) -> u64 {
        match self {
            Self::Ins(insert) => insert.value.elements(),
            Self::Del(delete) => delete.count.value(),
        }
    }

    /// The last lamport of the op's elements.
    pub fn last_lamport(&self) -> u64 {
        self.id().lamport().saturating_add(self.elements() - 1)
    }

    /// The element that must be there before the op takes effect: the parent of an insert (nothing
    /// where that is the root), the first target of a delete.
    pub fn dependency(&self) -> Option<&ElementId> {
        match self {
            Self::Ins(insert) => insert.parent_id.element(),
            Self::Del(delete) => Some(&delete.id),
        }
    }

    /// The op on its elements from `skip` on, the whole where that is 0.
    ///
    /// # Panics
    /// Where nothing is left.
    ///
    /// Source: `runs.replay-inside`.
    pub fn rest(&self, skip: u64) -> Self {
        if skip == 0 {
            return self.clone();
        }
        let id = self.id().later(skip);
        match self {
            Self::Ins(Insert { value, .. }) => Self::Ins(Insert {
                parent_id: ParentId::Element(self.id().later(skip - 1)),
                id,
                value: value.rest(skip),
            }),
            Self::Del(Delete { count, .. }) => Self::Del(Delete {
                id,
                count: Count::new(count.value() - skip).expect("something is left of the op"),
            }),
        }
    }

    /// The same as ops of one element each, in their order.
    ///
    /// Source: `runs.split`.
    pub fn singles(&self) -> impl Iterator<Item = Self> {
        let mut values = match self {
            Self::Ins(insert) => insert.value.as_str(),
            Self::Del(_) => "",
        }
        .chars();
        (0..self.elements()).map(move |at| {
            let id = self.id().later(at);
            match self {
                Self::Del(_) => Self::Del(Delete::one(id)),
                Self::Ins(insert) => Self::Ins(Insert {
                    parent_id: match at {
                        0 => insert.parent_id.clone(),
                        _ => ParentId::Element(self.id().later(at - 1)),
                    },
                    id,
                    value: values.next().expect("an element has a value").into(),
                }),
            }
        })
    }
}

impl Delete {
    /// The delete of one element.
    pub fn one(id: ElementId) -> Self {
        let count = Count::default();
        Self { id, count }
    }
}

impl From<SingleOp> for Op {
    fn from(single: SingleOp) -> Self {
        match single {
            SingleOp::Ins(SingleInsert {
                parent_id,
                id,
                value,
            }) => Self::Ins(Insert {
                parent_id,
                id,
                value: value.into(),
            }),
            SingleOp::Del(SingleDelete { id }) => Self::Del(Delete::one(id)),
        }
    }
}

/// The `value` of an insert: one Unicode scalar value or more, one an element. Cheap to clone where
/// it is short.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RunText(CompactString);

impl RunText {
    /// The text, or nothing where it is empty.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many scalar values it has.
    pub fn elements(&self) -> u64 {
        match self.0.len() {
            1 => 1,
            _ => self.0.chars().count() as u64,
        }
    }

    /// The text from the scalar value `skip` on.
    fn rest(&self, skip: u64) -> Self {
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let from = self.0.char_indices().nth(skip).map(|(at, _)| at);
        Self(self.0[from.expect("something is left of the op")..].into())
    }
}

impl From<char> for RunText {
    fn from(value: char) -> Self {
        Self(CompactString::from_iter([value]))
    }
}

impl fmt::Display for RunText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        match text.is_empty() {
            true => Err(D::Error::custom("an insert has one character or more")),
            false => Ok(Self(text)),
        }
    }
}

impl JsonSchema for RunText {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RunText".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// The `count` of a delete: 1 … 2^53−1.
///
/// Source: `runs.del`, `runs.schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Count(Integer);

impl Count {
    /// The count, or nothing where it is 0 or above 2^53−1.
    pub fn new(count: u64) -> Option<Self> {
        Integer::new(count).filter(|_| count > 0).map(Self)
    }

    /// How many.
    #[inline]
    pub fn value(self) -> u64 {
        self.0.value()
    }

    fn is_one(&self) -> bool {
        self.value() == 1
    }
}

impl Default for Count {
    fn default() -> Self {
        Self::new(1).expect("1 is a count")
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_INTEGER })
    }
}

/// The parent of element `id`. Where both are of one replica, they share its name.
pub(crate) fn parent_of(id: &ElementId, lamport: u64, replica_id: &str) -> Option<ParentId> {
    let own = id.replica_id();
    let replica_id = match replica_id == own.as_str() {
        true => own.clone(),
        false => Name::new(replica_id)?,
    };
    ParentId::new(Integer::new(lamport)?, replica_id)
}

/// An op's fields before its type is looked at: what one type alone defines is unknown to the other.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(deserialize_with = "crate::message::word")]
    r#type: OpType,
    id: ElementId,
    #[serde(borrow, default)]
    parent_id: Untyped<'a>,
    #[serde(borrow, default)]
    value: Untyped<'a>,
    #[serde(borrow, default)]
    count: Untyped<'a>,
}

/// The `type` of an op.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpType {
    Ins,
    Del,
}

/// The value of a field that may be unknown: what fields of ops hold, or anything else.
#[derive(Default)]
pub(crate) enum Untyped<'a> {
    #[default]
    Missing,
    Integer(u64),
    Text(Cow<'a, str>),
    /// An array of these two.
    Id(u64, Cow<'a, str>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Untyped<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UntypedVisitor;

        impl<'de> Visitor<'de> for UntypedVisitor {
            type Value = Untyped<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Untyped::Integer(value))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Untyped::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Untyped::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Untyped::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Untyped::Other)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Untyped::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Untyped::Text(Cow::Owned(text.into())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let first = items.next_element()?;
                let second = items.next_element()?;
                let mut is_longer = false;
                while items.next_element::<IgnoredAny>()?.is_some() {
                    is_longer = true;
                }
                Ok(match (first, second) {
                    (Some(Untyped::Integer(lamport)), Some(Untyped::Text(replica_id)))
                        if !is_longer =>
                    {
                        Untyped::Id(lamport, replica_id)
                    }
                    _ => Untyped::Other,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Untyped::Other)
            }
        }

        deserializer.deserialize_any(UntypedVisitor)
    }
}

impl<'a> Untyped<'a> {
    /// The field as the parent of element `id`.
    fn parent_of<E: de::Error>(self, id: &ElementId) -> Result<ParentId, E> {
        let (lamport, replica_id) = match self {
            Self::Id(lamport, replica_id) => (lamport, replica_id),
            Self::Missing => return Err(E::missing_field("parent_id")),
            _ => return Err(E::custom("parent_id is no id")),
        };
        parent_of(id, lamport, &replica_id)
            .ok_or_else(|| E::custom("parent_id is neither [0,\"root\"] nor the id of an element"))
    }

    fn text<E: de::Error>(self) -> Result<Cow<'a, str>, E> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Missing => Err(E::missing_field("value")),
            _ => Err(E::custom("value is no string")),
        }
    }

    fn count<E: de::Error>(self) -> Result<Count, E> {
        match self {
            Self::Integer(count) => {
                Count::new(count).ok_or_else(|| E::custom("a count is from 1 to 2^53-1"))
            }
            Self::Missing => Ok(Count::default()),
            _ => Err(E::custom("count is no integer")),
        }
    }
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(fields) = Object::<Fields<'_>>::deserialize(deserializer)?;
        let op = match fields.r#type {
            OpType::Ins => Self::Ins(Insert {
                parent_id: fields.parent_id.parent_of(&fields.id)?,
                id: fields.id,
                value: RunText::new(&fields.value.text()?)
                    .ok_or_else(|| D::Error::custom("an insert has one character or more"))?,
            }),
            OpType::Del => Self::Del(Delete {
                id: fields.id,
                count: fields.count.count()?,
            }),
        };
        if op.last_lamport() > MAX_INTEGER {
            return Err(D::Error::custom("the last lamport is above 2^53-1"));
        }
        Ok(op)
    }
}

impl<'de> Deserialize<'de> for SingleOp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(fields) = Object::<Fields<'_>>::deserialize(deserializer)?;
        Ok(match fields.r#type {
            OpType::Ins => Self::Ins(SingleInsert {
                parent_id: fields.parent_id.parent_of(&fields.id)?,
                id: fields.id,
                value: fields
                    .value
                    .text()?
                    .parse()
                    .map_err(|_| D::Error::custom("an insert has one character"))?,
            }),
            OpType::Del => Self::Del(SingleDelete { id: fields.id }),
        })
    }
}
