//! JSON as it is written: in any order and spelling, with a key twice, or with text that is none.
//!
//! Deliberately absent: what a message means.

use std::fmt;

use serde_json::Value;

/// A JSON text in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// Text as it stands, such as a number.
    Raw(String),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object, in the order written; a key may stand twice.
    Object(Vec<(String, Json)>),
}

/// One step on the way to a part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// Into a field.
    Field(String),
    /// Into an item of an array.
    Item(usize),
}

/// The way to a part of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<At>);

impl Path {
    /// One step further, into a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(At::Field(name.to_owned()));
        Self(steps)
    }

    /// One step further, into an item.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(At::Item(index));
        Self(steps)
    }

    /// Whether one of the two leads to or through the other.
    pub fn touches(&self, other: &Self) -> bool {
        let common = self.0.len().min(other.0.len());
        self.0[..common] == other.0[..common]
    }

    /// The first field on the way.
    pub fn first(&self) -> Option<&str> {
        match self.0.first() {
            Some(At::Field(name)) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the message");
        }
        f.write_str("`")?;
        for (index, step) in self.0.iter().enumerate() {
            match step {
                At::Field(name) if index == 0 => f.write_str(name)?,
                At::Field(name) => write!(f, ".{name}")?,
                At::Item(item) => write!(f, "[{item}]")?,
            }
        }
        f.write_str("`")
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), Self::from(value)))
                    .collect(),
            ),
            other => Self::Raw(other.to_string()),
        }
    }
}

impl Json {
    /// The part at the end of a way, where there is one.
    pub fn at(&mut self, path: &Path) -> Option<&mut Self> {
        let mut part = self;
        for step in &path.0 {
            part = match (step, part) {
                (At::Field(name), Self::Object(fields)) => {
                    let found = fields.iter_mut().find(|(known, _)| known == name);
                    &mut found?.1
                }
                (At::Item(index), Self::Array(items)) => items.get_mut(*index)?,
                _ => return None,
            };
        }
        Some(part)
    }

    /// Its fields, where it is an object.
    pub fn fields(&mut self) -> Option<&mut Vec<(String, Self)>> {
        match self {
            Self::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The value that a reader gets who takes the first of two equal keys; nothing where it is no JSON.
    pub fn first_wins(&self) -> Option<Value> {
        let mut once = self.clone();
        once.drop_later();
        serde_json::from_str(&once.write(&Writing::default())).ok()
    }

    fn drop_later(&mut self) {
        match self {
            Self::Object(fields) => {
                let mut kept: Vec<(String, Self)> = Vec::new();
                for (name, mut value) in std::mem::take(fields) {
                    if !kept.iter().any(|(known, _)| *known == name) {
                        value.drop_later();
                        kept.push((name, value));
                    }
                }
                *fields = kept;
            }
            Self::Array(items) => items.iter_mut().for_each(Self::drop_later),
            Self::Raw(_) | Self::Text(_) => {}
        }
    }

    /// The text.
    pub fn write(&self, writing: &Writing) -> String {
        let mut text = String::new();
        writing.gap(&mut text, 0);
        self.write_into(&mut text, writing, 0);
        writing.gap(&mut text, 1);
        text
    }

    fn write_into(&self, text: &mut String, writing: &Writing, depth: usize) {
        match self {
            Self::Raw(raw) => text.push_str(raw),
            Self::Text(string) => writing.string(text, string),
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    writing.gap(text, depth + index);
                    item.write_into(text, writing, depth + 1);
                    writing.gap(text, depth);
                }
                text.push(']');
            }
            Self::Object(fields) => {
                text.push('{');
                let count = fields.len();
                for index in 0..count {
                    if index > 0 {
                        text.push(',');
                    }
                    let (name, value) = &fields[writing.order.place(index, count)];
                    writing.gap(text, depth + index);
                    writing.string(text, name);
                    writing.gap(text, depth + 2);
                    text.push(':');
                    writing.gap(text, depth + 1);
                    value.write_into(text, writing, depth + 1);
                    writing.gap(text, depth + 3);
                }
                text.push('}');
            }
        }
    }
}

/// In which order fields stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they are.
    #[default]
    Kept,
    /// The last first.
    Reversed,
    /// The first last.
    Rotated,
}

impl Order {
    fn place(self, index: usize, count: usize) -> usize {
        match self {
            Self::Kept => index,
            Self::Reversed => count - 1 - index,
            Self::Rotated => (index + 1) % count,
        }
    }
}

/// Which characters are escaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escapes {
    /// Those that JSON asks for.
    #[default]
    Needed,
    /// Those beyond ASCII as well, as UTF-16 code units.
    Ascii,
    /// All, with digits of one case or the other.
    All {
        /// Whether the digits are capitals.
        upper: bool,
    },
    /// Those that have a short escape, the solidus included.
    Short,
}

/// One of the ways to write the same JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// The order of fields.
    pub order: Order,
    /// Whether there is white space wherever there may be.
    pub spaced: bool,
    /// The escapes.
    pub escapes: Escapes,
}

impl Writing {
    fn gap(&self, text: &mut String, number: usize) {
        const SPACES: [&str; 5] = [" ", "\n", "\t", "\r\n", "  \r"];
        if self.spaced {
            text.push_str(SPACES[number % SPACES.len()]);
        }
    }

    fn string(&self, text: &mut String, string: &str) {
        text.push('"');
        for c in string.chars() {
            self.character(text, c);
        }
        text.push('"');
    }

    fn character(&self, text: &mut String, c: char) {
        let short = match c {
            '"' => Some('"'),
            '\\' => Some('\\'),
            '/' if self.escapes == Escapes::Short => Some('/'),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            _ => None,
        };
        let coded = match self.escapes {
            Escapes::All { .. } => true,
            Escapes::Ascii => !c.is_ascii(),
            Escapes::Needed | Escapes::Short => false,
        };
        let upper = matches!(self.escapes, Escapes::All { upper: true });
        match short {
            Some(short) if !coded => text.extend(['\\', short]),
            None if !coded && c >= ' ' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    text.push_str(&match upper {
                        true => format!("\\u{unit:04X}"),
                        false => format!("\\u{unit:04x}"),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_writing_is_the_same_json() {
        let value = json!({"type": "op", "a": [0, "root", [], {}], "b": {"c": null, "d": -1.5},
            "\u{0}\"\\/\n\r\t\u{8}\u{c}\u{1f}é😀": "\u{0}\"\\/\n\r\t\u{8}\u{c}\u{7f}e\u{301}\u{10ffff}"});
        let orders = [Order::Kept, Order::Reversed, Order::Rotated];
        let escapes = [
            Escapes::Needed,
            Escapes::Ascii,
            Escapes::All { upper: false },
            Escapes::All { upper: true },
            Escapes::Short,
        ];
        let mut texts = Vec::new();
        for order in orders {
            for escapes in escapes {
                for spaced in [false, true] {
                    let writing = Writing {
                        order,
                        spaced,
                        escapes,
                    };
                    let text = Json::from(&value).write(&writing);
                    let read: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(read, value, "{text}");
                    texts.push(text);
                }
            }
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 30);
    }

    #[test]
    fn a_key_twice_has_two_readings() {
        let json = Json::Object(vec![
            ("a".to_owned(), Json::Raw("1".to_owned())),
            ("a".to_owned(), Json::Raw("2".to_owned())),
        ]);
        let last: Value = serde_json::from_str(&json.write(&Writing::default())).unwrap();
        assert_eq!(
            (json.first_wins(), last),
            (Some(json!({"a": 1})), json!({"a": 2}))
        );
    }

    #[test]
    fn a_path_names_a_part() {
        let path = Path::default().field("op").field("id").item(0);
        assert_eq!(path.to_string(), "`op.id[0]`");
        assert!(path.touches(&Path::default().field("op")));
        assert!(!path.touches(&Path::default().field("op").field("id").item(1)));
        let mut json = Json::from(&json!({"op": {"id": [7, "A"]}}));
        assert_eq!(json.at(&path), Some(&mut Json::Raw("7".to_owned())));
    }
}
