//! What a server has to let pass unread: fields that nobody knows, and states.

use super::change::{Put, Walk};
use super::json::{Json, Path};
use super::shape::Field;
use super::texts;
use crate::ids;
use crate::validate::shortened;

/// How deep a message may be nested, its own object being the first level (`transport.nesting`).
const DEPTH: usize = 32;

/// How long a state may be, in bytes (`presence.takes-4k`).
const MOST: usize = 4096;

impl Walk {
    /// Fields that nobody knows.
    pub(super) fn unknown(&mut self, fields: &[Field], path: &Path) {
        let deep = DEPTH - 1 - path.0.len();
        let arrays = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        let objects = format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep));
        let harmless = [
            ("x", "null"),
            ("", "1.5"),
            ("__proto__", "{\"type\":\"del\"}"),
            ("constructor", "[]"),
            ("Type", "\"ins\""),
            ("server_seq", "-1"),
            ("origin_client_id", "7"),
            ("full_text", "\"\""),
            ("count", "\"x\""),
            ("\u{0}\"😀", "\"\\u0000\\ud83d\\ude00\""),
            ("n", "123456789012345678901234567890"),
            ("deep", arrays.as_str()),
            ("deeper", objects.as_str()),
        ];
        for (name, raw) in harmless {
            if fields.iter().all(|field| field.name != name) {
                let put = Put::Value(Json::Raw(raw.to_owned()));
                let why = "is added, a field that nobody knows";
                let requirement = match name.starts_with("deep") {
                    true => ids::NESTING,
                    false => ids::UNKNOWN_FIELDS,
                };
                self.add(&path.field(name), put, why, requirement);
            }
        }
        for (raw, words) in texts::ILL_FORMED {
            let put = Put::Value(Json::Raw((*raw).to_owned()));
            let why = format!("is a field that nobody knows and holds {words}");
            self.add(&path.field("x"), put, why, ids::UNKNOWN_FIELDS);
        }
        for raw in [
            "NaN",
            "-Infinity",
            "undefined",
            "TRUE",
            "'x'",
            "01",
            "{a:1}",
            "[1,]",
        ] {
            let put = Put::Value(Json::Raw(raw.to_owned()));
            let why = format!("is a field that nobody knows, {raw}, which is no JSON");
            self.add(&path.field("x"), put, why, ids::UNKNOWN_FIELDS);
        }
        let put = Put::Value(Json::Raw("1e400".to_owned()));
        self.open(
            &path.field("x"),
            put,
            "is a field that nobody knows, 1e400, beyond any double",
        );
    }

    /// A state that only its clients understand.
    pub(super) fn state(&mut self, path: &Path) {
        for (raw, words) in [
            ("true", "true"),
            ("7", "a number"),
            ("\"x\"", "a string"),
            ("[]", "an array"),
            ("[[\"cursor\",1]]", "an array"),
        ] {
            let why = format!("is {words}, no object and not null");
            self.value(path, Json::Raw(raw.to_owned()), why);
        }
        let deep = DEPTH - 2;
        let objects = format!("{}null{}", "{\"a\":".repeat(deep), "}".repeat(deep));
        for raw in [
            "null",
            "{}",
            "{\"\":null}",
            "{\"x\":null,\"y\":[null,{}]}",
            "{\"type\":\"op\",\"doc_id\":7}",
            "{\"__proto__\":{\"a\":1},\"constructor\":[]}",
            "{\"n\":[0,-1,0.5,1e21,9007199254740993]}",
            "{\"t\":\"\\u0000\\ud83d\\ude00 e\u{301}\u{2028}/\"}",
            "{\"\\u0000\":false}",
            "{\"cursor\":{\"anchor_id\":[9007199254740991,\"nobody\"],\"affinity\":\"up\"}}",
            objects.as_str(),
        ] {
            let why = format!("is {}", shortened(raw, 80));
            self.value(path, Json::Raw(raw.to_owned()), why);
        }
        // The rest of the object takes 8 bytes.
        for (letter, width, words) in [
            ("s", 1, "letters"),
            ("é", 2, "letters of two bytes"),
            ("😀", 4, "emoji"),
            ("\"", 2, "quotation marks"),
        ] {
            let full = letter.repeat((MOST - 8) / width);
            for (over, bytes) in [("", "4,096"), ("s", "4,097")] {
                let state =
                    Json::Object(vec![("s".to_owned(), Json::Text(format!("{full}{over}")))]);
                let why = format!("has {bytes} bytes, of {words}");
                let requirement = ids::PRESENCE_TAKES_4K;
                self.add(path, Put::Value(state), why, requirement);
            }
        }
        for (raw, words) in texts::ILL_FORMED {
            let state = Json::Object(vec![("s".to_owned(), Json::Raw((*raw).to_owned()))]);
            self.value(path, state, format!("holds {words}"));
        }
    }
}
