//! A text of JSON read in one pass, by somebody who knows what comes next. Nothing comes of what is not as
//! expected, JSON or not.

use std::borrow::Cow;

/// The most digits of an integer of the wire.
const DIGITS: usize = 16;

/// What is left of a text to be read.
pub(crate) struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    /// Reads a whole text.
    #[inline]
    pub(crate) fn whole<T>(text: &'a str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut scan = Self(text);
        let read = read(&mut scan)?;
        scan.0.is_empty().then_some(read)
    }

    /// Goes on behind white space and what must follow it: signs, or a key with its colon.
    #[inline(always)]
    pub(crate) fn eat(&mut self, signs: &str) -> Option<()> {
        self.skip_space();
        self.0 = self.0.strip_prefix(signs)?;
        Some(())
    }

    /// Some write a space behind each comma and colon.
    #[inline(always)]
    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', ..] = self.0.as_bytes() {
            self.0 = &self.0[1..];
        }
    }

    /// Another field with this key, where it follows.
    #[inline(always)]
    pub(crate) fn next(&mut self, key: &str) -> Option<()> {
        let before = self.0;
        let found = self.eat(",").and_then(|()| self.eat(key));
        if found.is_none() {
            self.0 = before;
        }
        found
    }

    /// An array.
    pub(crate) fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.eat("[")?;
        let mut items = Vec::new();
        if self.eat("]").is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat("]").is_some() {
                return Some(items);
            }
            self.eat(",")?;
        }
    }

    /// An id: `[1001,"A"]`.
    #[inline]
    pub(crate) fn id(&mut self) -> Option<(u64, &'a str)> {
        self.eat("[")?;
        let lamport = self.integer()?;
        self.eat(",")?;
        let replica_id = self.plain_string()?;
        self.eat("]")?;
        Some((lamport, replica_id))
    }

    /// An integer in plain digits.
    #[inline]
    pub(crate) fn integer(&mut self) -> Option<u64> {
        self.skip_space();
        let bytes = self.0.as_bytes();
        let (mut rest, mut value) = (bytes, 0_u64);
        while let [digit @ b'0'..=b'9', behind @ ..] = rest {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            rest = behind;
        }
        // What stands behind the digits of another number is neither a comma nor an end.
        let digits = bytes.len() - rest.len();
        let is_plain = digits == 1 || digits > 1 && digits <= DIGITS && bytes[0] != b'0';
        self.0 = &self.0[digits..];
        is_plain.then_some(value)
    }

    /// A string without escapes.
    #[inline]
    pub(crate) fn plain_string(&mut self) -> Option<&'a str> {
        self.eat("\"")?;
        let end = end_of_plain(self.0.as_bytes())?;
        let string = &self.0[..end];
        self.0 = self.0[end..].strip_prefix("\"")?;
        Some(string)
    }

    /// A string.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<Cow<'a, str>> {
        let before = self.0;
        if let Some(plain) = self.plain_string() {
            return Some(Cow::Borrowed(plain));
        }
        self.0 = before;
        self.escaped_string().map(Cow::Owned)
    }

    fn escaped_string(&mut self) -> Option<String> {
        self.skip_space();
        let mut end = self.0.starts_with('"').then_some(1)?;
        loop {
            end += end_of_plain(self.0.as_bytes().get(end..)?)?;
            match self.0.as_bytes()[end] {
                // The byte behind it belongs to it.
                b'\\' => end += 2,
                b'"' => break,
                _ => return None,
            }
        }
        let (string, rest) = self.0.split_at(end + 1);
        self.0 = rest;
        serde_json::from_str(string).ok()
    }
}

/// Where what may stand in a string as it is ends: before a quote, a backslash or a control character.
#[inline]
fn end_of_plain(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let mut at = 0;
    // Eight bytes at a time: of those that end it, the first is the first to borrow.
    while let Some(eight) = bytes[at..].first_chunk() {
        let bytes = u64::from_le_bytes(*eight);
        let quotes = bytes ^ (ONES * u64::from(b'"'));
        let backslashes = bytes ^ (ONES * u64::from(b'\\'));
        let ends = quotes.wrapping_sub(ONES) & !quotes
            | backslashes.wrapping_sub(ONES) & !backslashes
            | bytes.wrapping_sub(ONES * 0x20) & !bytes;
        let first = (ends & ONES << 7).trailing_zeros() as usize / 8;
        if first < 8 {
            return Some(at + first);
        }
        at += 8;
    }
    let ends = |&byte: &u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    Some(at + bytes[at..].iter().position(ends)?)
}
