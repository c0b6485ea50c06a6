//! Bytes to compare, and to tell apart for people.

use std::fmt::Write;

/// How much of a line is shown.
const EXCERPT_BYTES: usize = 120;

/// How many lines before a difference are shown.
const LINES_BEFORE: usize = 2;

/// The lines, each with its newline.
pub fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// The same lines in an order that does not depend on how inputs were interleaved.
pub fn sorted(bytes: &[u8]) -> Vec<u8> {
    let mut lines = lines(bytes);
    lines.sort_unstable();
    lines.concat()
}

/// As text, where it is some.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines `{label} {from}`, …, one for each number below `to`.
pub fn numbered(label: &str, numbers: std::ops::Range<usize>) -> String {
    numbers.fold(String::new(), |mut lines, number| {
        writeln!(lines, "{label} {number}").expect("a string takes what is written to it");
        lines
    })
}

/// Fails with the first line that differs, if one does.
#[track_caller]
pub fn assert_same(what: &str, got: &[u8], want: &[u8]) {
    if got != want {
        panic!("{what}: {}", difference(got, want));
    }
}

/// Where two runs of lines differ first.
fn difference(got: &[u8], want: &[u8]) -> String {
    let (got, want) = (lines(got), lines(want));
    let same = got.iter().zip(&want).take_while(|(got, want)| got == want).count();
    let mut told = format!("{} lines, expected {}; line {} differs\n", got.len(), want.len(), same + 1);
    for (name, lines) in [("got", got), ("expected", want)] {
        writeln!(told, "{name}:").expect("a string takes what is written to it");
        for (at, line) in lines.iter().enumerate().skip(same.saturating_sub(LINES_BEFORE)).take(2 * LINES_BEFORE + 1) {
            let mark = if at == same { '>' } else { ' ' };
            let excerpt = line[..line.len().min(EXCERPT_BYTES)].escape_ascii();
            writeln!(told, "{mark}{:5} {excerpt}", at + 1).expect("a string takes what is written to it");
        }
    }
    told
}
