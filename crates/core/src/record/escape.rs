//! Names and messages as one line of text, whatever they hold.
//!
//! Whoever can create a file chooses a name that appears in messages, labels and reports. A name must not end the line,
//! control a terminal, change the direction of text around it, or look like the text that follows it.

use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns true if a character is escaped in messages, labels and names: control characters (C0, DEL, C1), the
/// separators of lines and paragraphs, and the marks that change the direction of text.
///
/// # Examples
///
/// ```
/// use tailmerge::internal::is_escaped;
///
/// assert!(['\n', '\u{1b}', '\u{9b}', '\u{202e}'].into_iter().all(is_escaped));
/// assert!(!['a', ' ', 'ü', '語', '\\'].into_iter().any(is_escaped));
/// ```
pub fn is_escaped(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows a message as one line: what [`is_escaped`] comes as `\n`, `\t`, `\r` or `\u{9b}`. To escape it twice changes
/// nothing.
///
/// # Examples
///
/// ```
/// assert_eq!(tailmerge::internal::escaped("two\nlines \u{202e}").to_string(), "two\\nlines \\u{202e}");
/// ```
pub fn escaped(text: &str) -> impl fmt::Display {
    struct Escaped<'a>(&'a str);

    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            Escaping(f).write_str(self.0)
        }
    }

    Escaped(text)
}

/// Escapes what is written through it, as [`escaped`] does.
pub(crate) struct Escaping<'a, 'b>(pub(crate) &'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Most have nothing to escape.
        let mut rest = text;
        while let Some((at, char)) = rest.char_indices().find(|(_, char)| is_escaped(*char)) {
            write!(self.0, "{}{}", &rest[..at], char.escape_default())?;
            rest = &rest[at + char.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A name at the beginning of a message or label, where `: ` ends it: as [`escaped`], and besides backslashes, bytes
/// that are not UTF-8 (`\xff`), and a colon before white space (`\u{3a}`).
pub(crate) struct Name<'a>(pub(crate) &'a OsStr);

impl<'a> From<&'a Path> for Name<'a> {
    fn from(path: &'a Path) -> Self {
        Self(path.as_os_str())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_bytes().utf8_chunks() {
            let mut chars = chunk.valid().chars().peekable();
            while let Some(char) = chars.next() {
                match char {
                    '\\' => f.write_str("\\\\")?,
                    ':' if chars.peek().is_some_and(|next| next.is_whitespace()) => f.write_str("\\u{3a}")?,
                    _ if is_escaped(char) => write!(f, "{}", char.escape_default())?,
                    _ => f.write_char(char)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        let text = "a\nb\u{1b}[1m \t'ü' \u{9b} \\n \u{200f}\u{2028}";
        let once = escaped(text).to_string();
        assert_eq!(once, "a\\nb\\u{1b}[1m \\t'ü' \\u{9b} \\n \\u{200f}\\u{2028}");
        assert_eq!(escaped(&once).to_string(), once);
    }

    #[test]
    fn no_name_holds_what_ends_a_name() {
        let name = |bytes: &[u8]| Name(OsStr::from_bytes(bytes)).to_string();
        assert_eq!(name(b"auth.log: root logged in.log"), "auth.log\\u{3a} root logged in.log");
        assert_eq!(name("a:\u{a0}b:\tc::d:".as_bytes()), "a\\u{3a}\u{a0}b\\u{3a}\\tc::d:");
        assert_eq!(name(b"a\\u{3a} \xff\xc2\x9b\x9b\n"), "a\\\\u{3a} \\xff\\u{9b}\\x9b\\n");
        assert_eq!(escaped(&name(b"a\\\n")).to_string(), name(b"a\\\n"), "a message does not escape it again");
    }

    /// Different names look different.
    #[test]
    fn names_are_told_apart() {
        let parts: [&[u8]; 9] = [b"\\", b"n", b"\n", b"\xff", b"x", b":", b" ", b"\\u{3a}", "\u{202e}".as_bytes()];
        let mut seen = std::collections::HashMap::new();
        for number in 0..parts.len().pow(4) {
            let picked = (0..4).map(|place| parts[number / parts.len().pow(place) % parts.len()]);
            let bytes = picked.collect::<Vec<_>>().concat();
            let shown = Name(OsStr::from_bytes(&bytes)).to_string();
            let other = seen.insert(shown.clone(), bytes.clone());
            assert!(other.is_none_or(|other| other == bytes), "{shown}");
        }
    }
}
