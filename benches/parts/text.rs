//! Lines as logs have them: 20 to 2000 bytes, about 120 as a rule.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;

const WORDS: &[u8] =
    b"GET /api/items status=200 bytes=5123 took=0.013s upstream client user=\"alice\" session cache hit \
    retry attempt queue worker shard offset commit follower snapshot postgres timeout connection accepted closed \
    error: warning: info: debug: 10.0.3.17 trace=4bf92f3577b3 ";

/// About so many bytes of whole lines.
pub(crate) fn lines(bytes: usize) -> Vec<u8> {
    let words = WORDS.repeat(20);
    let mut text = Vec::with_capacity(bytes + 2000);
    let mut seed = 1_u64;
    while text.len() < bytes {
        // The constants of Knuth's MMIX.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (often, at) = ((seed >> 33) as usize % 200, (seed >> 45) as usize % WORDS.len());
        let length = if often == 0 { 2000 } else { 20 + often };
        text.extend_from_slice(&words[at..at + length - 1]);
        text.push(b'\n');
    }
    text
}

/// Pieces that end with a line and are no longer than `size`.
pub(crate) fn pieces(text: &[u8], size: usize) -> Vec<&[u8]> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let whole = memchr::memrchr(b'\n', &rest[..size.min(rest.len())]).map_or(rest.len(), |last| last + 1);
        let (piece, after) = rest.split_at(whole);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Makes a directory of files that hold that text in all, or a line each if there is none.
pub(crate) fn files(dir: &Path, count: usize, text: &[u8]) -> Outcome<Vec<PathBuf>> {
    fs::create_dir(dir)?;
    let mut rest = text;
    let mut paths = Vec::with_capacity(count);
    for number in 0..count {
        let path = dir.join(format!("{number:05}.log"));
        let share = rest.len() / (count - number);
        let whole = memchr::memchr(b'\n', &rest[share..]).map_or(rest.len(), |end| share + end + 1);
        let (own, after) = rest.split_at(whole);
        fs::write(&path, if text.is_empty() { b"the only line\n" } else { own })?;
        rest = after;
        paths.push(path);
    }
    Ok(paths)
}
