//! What can be changed in a message, by its schema: at the bounds, over them by one, to another type,
//! and to another writing of the same.
//!
//! Deliberately absent: which of the changes are allowed; that is the verdict's.

use serde_json::{Value, json};

use super::json::{Json, Path, Writing};
use super::shape::{Field, Shape};
use super::texts;
use super::whole::Whole;
use crate::ids;

/// One change of a message.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub path: Path,
    /// What.
    pub put: Put,
    /// What the part is then, such as `is 0, below the minimum 1`.
    pub why: String,
    /// What is broken where a server refuses it though it must not.
    pub requirement: &'static str,
    /// Whether the specification leaves open what a server makes of it.
    pub open: bool,
}

/// What is done at the place.
#[derive(Clone, Debug)]
pub enum Put {
    /// The part is another one; a field that is not there is added.
    Value(Json),
    /// The field is left out.
    Nothing,
    /// The field stands once more, behind the others.
    Again(Json),
    /// The message is written in another way.
    Writing(Writing),
    /// The text as a whole is another one.
    Whole(Whole),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.path, self.why)
    }
}

/// Finds the changes of one message.
pub(super) struct Walk {
    /// Stands in names, so that they are told apart.
    pub(super) mark: String,
    /// The greatest number of elements of one op.
    pub(super) max_run: u64,
    /// The parts of which changes are wanted; all where there are none. Those of one part are always
    /// found in the same order.
    pub(super) wanted: Vec<Path>,
    pub(super) found: Vec<Change>,
}

impl Walk {
    /// All changes of a message of this shape.
    pub(super) fn whole(&mut self, shape: &Shape, base: &Json) {
        self.part(shape, base, &Path::default());
        if self.wants(|path| path.0.is_empty()) {
            self.writings();
            self.texts();
        }
    }

    fn wants(&self, fits: impl Fn(&Path) -> bool) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(fits)
    }

    pub(super) fn add(
        &mut self,
        path: &Path,
        put: Put,
        why: impl Into<String>,
        requirement: &'static str,
    ) {
        self.found.push(Change {
            path: path.clone(),
            put,
            why: why.into(),
            requirement,
            open: false,
        });
    }

    pub(super) fn value(&mut self, path: &Path, value: Json, why: impl Into<String>) {
        let requirement = about(path);
        self.add(path, Put::Value(value), why, requirement);
    }

    pub(super) fn open(&mut self, path: &Path, put: Put, why: impl Into<String>) {
        self.add(path, put, why, ids::ANY_JSON);
        if let Some(last) = self.found.last_mut() {
            last.open = true;
        }
    }

    fn part(&mut self, shape: &Shape, base: &Json, path: &Path) {
        if !self.wants(|wanted| !wanted.0.is_empty() && wanted.touches(path)) {
            return;
        }
        match shape {
            Shape::Text { min, max } => self.text(*min, *max, base, path),
            Shape::Integer { min, max } => self.integer(*min, *max, base, path),
            Shape::Only(value) => self.only(value, path),
            Shape::Tuple(items) => self.tuple(items, base, path),
            Shape::List(_) => self.list(path),
            Shape::Object(fields) => self.object(fields, &[], base, path),
            Shape::AnyObjectOrNull => self.state(path),
            Shape::Either(shapes) => self.either(shapes, base, path),
        }
    }

    /// Values of other types.
    fn other_types(&mut self, kind: &str, path: &Path) {
        let all = [
            ("null", "null", "null"),
            ("boolean", "true", "true"),
            ("number", "7", "a number"),
            ("string", "\"7\"", "a string"),
            ("array", "[]", "an array"),
            ("object", "{}", "an object"),
        ];
        for (other, raw, words) in all {
            if other != kind {
                let article = if "aeiou".contains(&kind[..1]) {
                    "an"
                } else {
                    "a"
                };
                let why = format!("is {words}, not {article} {kind}");
                self.value(path, Json::Raw(raw.to_owned()), why);
            }
        }
    }

    fn text(&mut self, min: usize, max: Option<usize>, base: &Json, path: &Path) {
        self.other_types("string", path);
        let mut texts = texts::beyond(min, max);
        match (base, max) {
            // No document is touched that anybody else may have.
            (Json::Text(own), Some(max)) if path.first() == Some("doc_id") => {
                texts.extend(texts::near(own));
                texts.extend(texts::behind(own, max));
            }
            (Json::Text(own), Some(max)) if max > 1 => {
                texts.extend(texts::near(own));
                texts.extend(texts::within(min, Some(max), &self.mark));
            }
            _ => texts.extend(texts::within(min, max, &self.mark)),
        }
        for (text, words) in texts {
            self.value(path, Json::Text(text), format!("is {words}"));
        }
        for (raw, words) in texts::ILL_FORMED {
            self.value(path, Json::Raw((*raw).to_owned()), format!("holds {words}"));
        }
        if max.is_none() && path.first() == Some("op") {
            let over = usize::try_from(self.max_run).unwrap_or(usize::MAX) + 1;
            let why = "has one character more than `max_run`";
            self.value(path, Json::Text("m".repeat(over)), why);
        }
    }

    fn integer(&mut self, min: u64, max: u64, base: &Json, path: &Path) {
        self.other_types("number", path);
        let whole = |n: u64| Json::Raw(n.to_string());
        for edge in [min, min + 1, max, max - 1, 1 << 31, 1 << 32, (1 << 32) - 1] {
            self.value(path, whole(edge), format!("is {edge}"));
        }
        let below = i128::from(min) - 1;
        let why = format!("is {below}, below the minimum {min}");
        self.value(path, Json::Raw(below.to_string()), why);
        for over in [max + 1, max + 2, 1 << 63, u64::MAX] {
            let why = format!("is {over}, above the maximum {max}");
            self.value(path, whole(over), why);
        }
        for raw in ["18446744073709551617", "1e300", "1e400"] {
            let why = format!("is {raw}, above the maximum {max}");
            self.value(path, Json::Raw(raw.to_owned()), why);
        }
        for raw in ["-1", "-9007199254740991", "-1e300"] {
            self.value(
                path,
                Json::Raw(raw.to_owned()),
                format!("is {raw}, below the minimum {min}"),
            );
        }
        for raw in ["1.5", "0.5", "1e-1", "4503599627370495.5"] {
            self.value(
                path,
                Json::Raw(raw.to_owned()),
                format!("is {raw}, no integer"),
            );
        }
        for raw in [
            "01",
            "+1",
            "1.",
            ".5",
            "0x10",
            "1_000",
            "NaN",
            "Infinity",
            "-Infinity",
            "- 1",
            "1e",
        ] {
            self.value(
                path,
                Json::Raw(raw.to_owned()),
                format!("is {raw}, which is no JSON"),
            );
        }
        let Json::Raw(own) = base else { return };
        for raw in [
            format!("{own}.0"),
            format!("{own}e0"),
            format!("{own}0E-1"),
            "-0".to_owned(),
        ] {
            let why = format!("is written {raw}");
            self.value(path, Json::Raw(raw), why);
        }
        if path.0.last() == Some(&super::json::At::Field("count".to_owned())) {
            let over = self.max_run + 1;
            self.value(
                path,
                whole(over),
                format!("is {over}, one more than `max_run`"),
            );
        }
    }

    fn only(&mut self, value: &Value, path: &Path) {
        let Value::String(name) = value else {
            self.near(value, path);
            return;
        };
        self.other_types("string", path);
        let upper = name.to_uppercase();
        let others = [
            format!("{name} "),
            format!(" {name}"),
            format!("{name}\u{0}"),
            upper,
            name[1..].to_owned(),
            format!("{name}s"),
            String::new(),
            "unknown".to_owned(),
        ];
        for other in others {
            let why = format!("is {other:?}, not {name:?}");
            self.value(path, Json::Text(other), why);
        }
        for known in [
            "hello",
            "op",
            "presence_update",
            "hello_ack",
            "op_echo",
            "resync",
            "presence_snapshot",
            "ins",
            "del",
        ] {
            if known != name {
                self.value(path, Json::Text(known.to_owned()), format!("is {known:?}"));
            }
        }
    }

    /// What is nearly a constant array.
    fn near(&mut self, value: &Value, path: &Path) {
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let others = match item {
                Value::Number(_) => vec![json!(1), json!(-1), json!(null), json!("0"), json!(0.5)],
                _ => vec![
                    json!("Root"),
                    json!("root "),
                    json!("A"),
                    json!(""),
                    json!(null),
                    json!(0),
                ],
            };
            for other in others {
                let mut near = items.to_vec();
                near[index] = other;
                let near = Value::Array(near);
                self.value(path, Json::from(&near), format!("is {near}"));
            }
        }
    }

    fn tuple(&mut self, items: &[Shape], base: &Json, path: &Path) {
        self.other_types("array", path);
        let Json::Array(own) = base else { return };
        let with = |own: Vec<Json>| Json::Array(own);
        self.value(path, with(own[1..].to_vec()), "lacks its first item");
        self.value(
            path,
            with(own[..own.len() - 1].to_vec()),
            "lacks its last item",
        );
        for (raw, words) in [("1", "a number"), ("null", "null"), ("\"A\"", "a string")] {
            let longer = [own.clone(), vec![Json::Raw(raw.to_owned())]].concat();
            self.value(
                path,
                with(longer),
                format!("has one item too many, {words}"),
            );
        }
        let mut turned = own.clone();
        turned.reverse();
        self.value(path, with(turned), "has its items the wrong way round");
        self.value(
            path,
            with(vec![base.clone()]),
            "stands in an array of its own",
        );
        let named = own.iter().enumerate();
        let named = named.map(|(index, item)| (index.to_string(), item.clone()));
        self.value(
            path,
            Json::Object(named.collect()),
            "is an object, not an array",
        );
        for (index, (item, own)) in items.iter().zip(own).enumerate() {
            self.part(item, own, &path.item(index));
        }
    }

    /// A list of names that the server may not know.
    fn list(&mut self, path: &Path) {
        for value in [
            json!([]),
            json!(["x-unknown"]),
            json!(["", "RESUME", "state ", "core", "\u{0}", "😀"]),
            json!(["x", "x"]),
        ] {
            self.value(path, Json::from(&value), format!("is {value}"));
        }
        let many: Vec<String> = (0..300).map(|number| format!("x-{number}")).collect();
        self.value(
            path,
            Json::from(&json!(many)),
            "names 300 profiles that nobody knows",
        );
        for raw in [
            "null",
            "7",
            "\"resume\"",
            "{}",
            "[7]",
            "[null]",
            "[[\"resume\"]]",
        ] {
            let put = Put::Value(Json::Raw(raw.to_owned()));
            self.open(path, put, format!("is {raw}, no array of strings"));
        }
    }

    fn object(&mut self, fields: &[Field], others: &[&Field], base: &Json, path: &Path) {
        if !path.0.is_empty() {
            self.other_types("object", path);
            if let Json::Object(own) = base {
                let values = own.iter().map(|(_, value)| value.clone()).collect();
                self.value(
                    path,
                    Json::Array(values),
                    "is an array of its fields' values",
                );
            }
        }
        for field in fields {
            let own = match base {
                Json::Object(own) => own.iter().find(|(name, _)| *name == field.name),
                _ => None,
            };
            let path = path.field(&field.name);
            if let Some((_, value)) = own {
                self.add(&path, Put::Nothing, "is missing", about(&path));
                self.open(&path, Put::Again(value.clone()), "stands twice");
                self.open(
                    &path,
                    Put::Again(Json::Raw("null".to_owned())),
                    "stands twice, the second time as null",
                );
            }
            let missing = Json::Raw("1".to_owned());
            self.part(
                &field.shape,
                own.map_or(&missing, |(_, value)| value),
                &path,
            );
        }
        for other in others {
            for raw in ["null", "0", "3", "\"x\"", "[]", "[1,\"A\"]"] {
                let put = Put::Value(Json::Raw(raw.to_owned()));
                let why = format!("is {raw}, a field of another kind of op");
                self.add(&path.field(&other.name), put, why, ids::UNKNOWN_FIELDS);
            }
        }
        self.unknown(fields, path);
    }

    fn either(&mut self, shapes: &[Shape], base: &Json, path: &Path) {
        // One of several objects, told apart by their `type`.
        let is_base = |shape: &Shape| {
            match (shape, base) {
            (Shape::Object(fields), Json::Object(own)) => fields.iter().any(|field| {
                matches!(&field.shape, Shape::Only(value)
                    if own.iter().any(|(name, part)| *name == field.name && *part == Json::from(value)))
            }),
            _ => false,
        }
        };
        if let Some(Shape::Object(fields)) = shapes.iter().find(|shape| is_base(shape)) {
            let others: Vec<&Field> = shapes
                .iter()
                .filter_map(|shape| match shape {
                    Shape::Object(others) => Some(others),
                    _ => None,
                })
                .flatten()
                .filter(|other| fields.iter().all(|field| field.name != other.name))
                .collect();
            self.object(fields, &others, base, path);
            return;
        }
        for shape in shapes {
            match shape {
                Shape::Only(value) => {
                    if Json::from(value) != *base {
                        self.value(path, Json::from(value), format!("is {value}"));
                    }
                    self.near(value, path);
                }
                Shape::Tuple(items) => {
                    let other = Json::from(&json!([3, "nobody"]));
                    let is_constant = shapes.iter().any(
                        |shape| matches!(shape, Shape::Only(value) if Json::from(value) == *base),
                    );
                    if is_constant {
                        self.value(path, other, "is [3,\"nobody\"]");
                        self.other_types("array", path);
                        let again = Json::Array(vec![base.clone()]);
                        self.value(path, again, "stands in an array of its own");
                        if let Json::Array(own) = base {
                            let longer = [own.clone(), vec![Json::Raw("0".to_owned())]].concat();
                            self.value(path, Json::Array(longer), "has one item too many");
                            self.value(path, Json::Array(own[..1].to_vec()), "lacks its last item");
                            let mut turned = own.clone();
                            turned.reverse();
                            self.value(
                                path,
                                Json::Array(turned),
                                "has its items the wrong way round",
                            );
                        }
                        let zero = Json::Array(vec![
                            Json::Raw("0.0".to_owned()),
                            Json::Text("root".to_owned()),
                        ]);
                        self.open(path, Put::Value(zero), "is written [0.0,\"root\"]");
                    } else {
                        self.tuple(items, base, path);
                    }
                }
                other => self.part(other, base, path),
            }
        }
    }
}

/// What is broken where a part is refused though it is allowed.
fn about(path: &Path) -> &'static str {
    use super::json::At;
    let last = path.0.iter().rev().find_map(|step| match step {
        At::Field(name) => Some(name.as_str()),
        At::Item(_) => None,
    });
    match (last, path.0.last()) {
        (Some("value"), _) => ids::OP_VALUE,
        (Some("count"), _) => ids::RUNS_DEL,
        (Some("state"), _) => ids::PRESENCE_OPAQUE,
        (Some("capabilities"), _) => "profiles.unknown-ignored",
        (Some("epoch"), _) => ids::PROFILES_OFF,
        (Some("last_seen_server_seq"), _) => ids::SYNC_NEVER_CLOSES,
        (Some("id" | "parent_id"), Some(At::Item(0))) => ids::INTEGERS,
        (Some("parent_id"), Some(At::Field(_))) => "crdt.root",
        _ => ids::NAMES,
    }
}
