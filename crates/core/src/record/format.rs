//! Renders lines for the output: as they are, with a label, or as JSON.
//!
//! Whatever name a file has, a rendered line is one line, and nothing in the name can be taken for the end of its
//! label.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;

use crate::record::escape::{Name, is_escaped};

/// The label before each line. It ends at the first `: ` of the output line, whatever name the file has.
///
/// A label is always UTF-8. Of the name, these are escaped: control characters, line separators and marks that change
/// the direction of text, as `\n` or `\u{9b}`; backslashes, as `\\`; bytes that are not UTF-8, as `\xff`; and a colon
/// before white space, as `\u{3a}`.
///
/// # Examples
///
/// ```
/// use tailmerge::{Builder, Prefix};
///
/// // logs/a.log: the line
/// let builder = Builder::new().input("logs/*.log").prefix(Prefix::Path);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefix {
    /// Nothing.
    #[default]
    None,
    /// The file's name without its directory, and `: `.
    Name,
    /// The path as it was given or found, and `: `.
    Path,
}

/// The format of a line in the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Byte for byte.
    #[default]
    Raw,
    /// A JSON object: `{"file":"a.log","line":"…"}`. Bytes that are not UTF-8 come, in base64, as
    /// `line_base64` (or `file_base64`) in place of `line` (or `file`). What of a name is escaped in a label is escaped
    /// here as JSON does it, and means the same name.
    ///
    /// With [`Prefix::None`] there is no `file`.
    Json,
}

/// The form of lines in the output: prefix and format together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineFormat {
    /// The label before each line.
    pub prefix: Prefix,
    /// The format of the line.
    pub format: Format,
}

impl LineFormat {
    /// The renderer for lines of one input.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::path::Path;
    /// use tailmerge::internal::LineFormat;
    /// use tailmerge::{Format, Prefix};
    ///
    /// let renderer = LineFormat { prefix: Prefix::Name, format: Format::Json }.labelled(Path::new("logs/a.log"));
    /// let mut out = Vec::new();
    /// renderer.push(b"say \"hi\"", &mut out);
    /// assert_eq!(out, b"{\"file\":\"a.log\",\"line\":\"say \\\"hi\\\"\"}\n");
    /// ```
    #[must_use]
    pub fn labelled(self, path: &Path) -> Renderer {
        let label = match self.prefix {
            Prefix::None => None,
            Prefix::Name => Some(path.file_name().unwrap_or(path.as_os_str())),
            Prefix::Path => Some(path.as_os_str()),
        };
        let mut head = Vec::new();
        match (self.format, label) {
            (Format::Raw, None) => {}
            (Format::Raw, Some(label)) => {
                head.extend_from_slice(format!("{}: ", Name(label)).as_bytes());
            }
            (Format::Json, None) => head.push(b'{'),
            (Format::Json, Some(label)) => {
                head.push(b'{');
                push_json_field(&mut head, "file", label.as_bytes());
                escape_json(&mut head);
                head.push(b',');
            }
        }
        let is_verbatim = self.format == Format::Raw && head.is_empty();
        Renderer((!is_verbatim).then(|| Arc::new(Form { head: head.into(), format: self.format })))
    }
}

/// Renders the lines of one input. A clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct Renderer(Option<Arc<Form>>);

/// The form of lines that are not byte for byte those of the input.
#[derive(Debug)]
struct Form {
    /// The bytes before each line's own.
    head: Box<[u8]>,
    format: Format,
}

impl Renderer {
    /// Returns true if lines are unchanged, byte for byte.
    pub(crate) fn is_verbatim(&self) -> bool {
        self.0.is_none()
    }

    /// Appends the output line of `line`, which has no newline; the output line has one.
    pub fn push(&self, line: &[u8], out: &mut Vec<u8>) {
        match self.0.as_deref() {
            None => out.extend_from_slice(line),
            Some(Form { head, format: Format::Raw }) => {
                out.extend_from_slice(head);
                out.extend_from_slice(line);
            }
            Some(Form { head, format: Format::Json }) => {
                out.extend_from_slice(head);
                push_json_field(out, "line", line);
                out.push(b'}');
            }
        }
        out.push(b'\n');
    }
}

fn push_json_field(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    match std::str::from_utf8(value) {
        Ok(text) => {
            out.extend_from_slice(b"\":\"");
            push_json_text(out, text);
        }
        Err(_) => {
            out.extend_from_slice(b"_base64\":\"");
            out.extend_from_slice(BASE64.encode(value).as_bytes());
        }
    }
    out.push(b'"');
}

/// Escapes in JSON what would be escaped in a label. The JSON value stays the same.
fn escape_json(json: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(json);
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char.is_ascii() || !is_escaped(char) {
            true => escaped.push(char),
            // All of them have four digits.
            false => escaped += &format!("\\u{:04x}", u32::from(char)),
        }
    }
    *json = escaped.into_bytes();
}

/// So many bytes of text are searched at once for characters to escape.
const STEP: usize = 32;

/// Escapes the characters that RFC 8259 section 7 requires, and DEL.
fn push_json_text(out: &mut Vec<u8>, text: &str) {
    for piece in text.as_bytes().chunks(STEP) {
        // Most have nothing to escape, which is seen of many bytes at once.
        if !piece.iter().fold(false, |any, &byte| any | is_special(byte)) {
            out.extend_from_slice(piece);
            continue;
        }
        for &byte in piece {
            match byte {
                _ if !is_special(byte) => out.push(byte),
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ => push_hex(out, byte),
            }
        }
    }
}

/// Appends a byte as `\u00` and two hexadecimal digits.
fn push_hex(out: &mut Vec<u8>, byte: u8) {
    let hex = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&[hex[usize::from(byte >> 4)], hex[usize::from(byte & 15)]]);
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn render(prefix: Prefix, format: Format, path: &[u8], line: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        LineFormat { prefix, format }.labelled(Path::new(OsStr::from_bytes(path))).push(line, &mut out);
        out
    }

    #[test]
    fn raw_without_prefix_is_byte_for_byte() {
        let line: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        let mut want = line.clone();
        want.push(b'\n');
        assert_eq!(render(Prefix::None, Format::Raw, b"a", &line), want);
    }

    #[test]
    fn a_newline_in_a_file_name_stays_out_of_the_output() {
        assert_eq!(render(Prefix::Name, Format::Raw, b"d/a\nb.log", b"x"), b"a\\nb.log: x\n");
        assert_eq!(render(Prefix::Path, Format::Raw, b"d/a.log", b"x"), b"d/a.log: x\n");
    }

    #[test]
    fn a_label_ends_where_it_seems_to() {
        let label = |name: &[u8]| render(Prefix::Name, Format::Raw, name, b"x");
        assert_eq!(label(b"auth.log: root logged in.log"), b"auth.log\\u{3a} root logged in.log: x\n");
        assert_eq!(label("a\u{9b}1m\u{202e}\\".as_bytes()), b"a\\u{9b}1m\\u{202e}\\\\: x\n");
        assert_eq!(label(b"a\xffb:"), b"a\\xffb:: x\n");
    }

    #[test]
    fn json_names_hold_nothing_that_changes_the_text_around() {
        let line = render(Prefix::Name, Format::Json, "a\u{9b}\u{202e}\u{7f}: ü\n".as_bytes(), "\u{9b}".as_bytes());
        assert_eq!(line, "{\"file\":\"a\\u009b\\u202e\\u007f: ü\\n\",\"line\":\"\u{9b}\"}\n".as_bytes());
    }

    #[test]
    fn json_escapes_wherever_in_the_line() {
        for before in 0..2 * STEP {
            let line = [&vec![b'x'; before][..], "\\é\n".as_bytes(), &vec![b'y'; STEP][..]].concat();
            let want = format!("{{\"line\":\"{}\\\\é\\n{}\"}}\n", "x".repeat(before), "y".repeat(STEP));
            assert_eq!(render(Prefix::None, Format::Json, b"a", &line), want.as_bytes());
        }
    }

    #[test]
    fn json_keeps_every_byte() {
        assert_eq!(
            render(Prefix::Path, Format::Json, b"a\xff", b"tab\t quote\" \x01\r"),
            b"{\"file_base64\":\"Yf8=\",\"line\":\"tab\\t quote\\\" \\u0001\\r\"}\n"
        );
        assert_eq!(render(Prefix::None, Format::Json, b"a", b"\xfe"), b"{\"line_base64\":\"/g==\"}\n");
    }
}
