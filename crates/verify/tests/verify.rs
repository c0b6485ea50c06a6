//! The check of a merged output must itself be right: both when it says yes and when it says no, and where.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tailmerge_core::LongLines;
use tailmerge_verify::{Check, CheckError, Checked};

/// A directory that goes away with its test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tailmerge-check-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory for the test");
        Self(path)
    }

    /// Writes the files, of which inputs are called by their number, and returns the check of them.
    fn check<I: AsRef<[u8]>>(&self, inputs: &[I], output: impl AsRef<[u8]>) -> Check {
        let path = |name: &str| self.0.join(name);
        fs::write(path("out"), output).expect("the output of the test");
        let mut check = Check::new(path("out"));
        for (i, input) in inputs.iter().enumerate() {
            fs::write(path(&i.to_string()), input).expect("an input of the test");
            check = check.input(path(&i.to_string()));
        }
        check
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

fn check<I: AsRef<[u8]>>(inputs: &[I], output: impl AsRef<[u8]>) -> Result<Checked, CheckError> {
    Dir::new().check(inputs, output).run()
}

fn limited(input: &[u8], output: &[u8], max: usize, policy: LongLines) -> Result<Checked, CheckError> {
    Dir::new().check(&[input], output).line_limit(max, policy).run()
}

/// What an error tells, with the names of files in place of their paths.
fn told(result: Result<Checked, CheckError>) -> String {
    let name = |path: &Path| path.file_name().expect("the name of a file").to_string_lossy().into_owned();
    let error = result.expect_err("a difference");
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    match error {
        CheckError::Missing { input, line, text, .. } => format!("missing {}:{line} {text}", name(&input)),
        CheckError::Surplus { output, line, text, .. } => format!("surplus {}:{line} {text}", name(&output)),
        CheckError::OutOfOrder { input, line, before, output_line, text, .. } => {
            format!("order {}:{line} before {before} at {output_line} {text}", name(&input))
        }
        CheckError::Fragment { output, line, text, .. } => format!("fragment {}:{line} {text}", name(&output)),
        error => format!("{error:?}"),
    }
}

#[test]
fn nothing_merged_is_nothing() {
    assert_eq!(check::<&str>(&[], "").expect("no inputs").inputs, 0);
    let checked = check(&["", ""], "").expect("empty inputs");
    assert_eq!((checked.inputs, checked.lines, checked.bytes), (2, 0, 0));
    assert_eq!(told(check::<&str>(&[], "x\n")), "surplus out:1 x");
    assert_eq!(told(check(&["x\n"], "")), "missing 0:1 x");
}

#[test]
fn any_interleaving_is_right() {
    for output in ["a\nb\nx\ny\n", "x\na\nb\ny\n", "x\ny\na\nb\n"] {
        let checked = check(&["a\nb\n", "x\ny\n"], output).expect(output);
        assert_eq!((checked.inputs, checked.lines, checked.bytes), (2, 4, 8));
    }
}

#[test]
fn all_bytes_but_the_newline_are_content() {
    let odd = b"cr\r\n\0\n\n\xff\xfe\r\0\n\r\n";
    check(&[odd], odd).expect("the same bytes");
    assert_eq!(told(check(&[b"a\r\n"], b"a\n")), "missing 0:1 a\\r");
    assert_eq!(told(check(&[b"a\0\n"], b"a\n")), "missing 0:1 a\\x00");
    assert_eq!(told(check(&[b"\n\n"], b"\n")), "missing 0:2 ");
    assert_eq!(told(check(&[b"\xff\n"], b"\xfe\n")), "missing 0:1 \\xff");
}

#[test]
fn duplicates_are_counted() {
    let inputs = ["x\ny\nx\n", "x\n"];
    check(&inputs, "x\nx\ny\nx\n").expect("three x");
    check(&inputs, "x\ny\nx\nx\n").expect("three x");
    assert_eq!(told(check(&inputs, "x\ny\nx\n")), "missing 0:3 x");
    assert_eq!(told(check(&inputs, "x\nx\ny\nx\nx\n")), "surplus out:5 x");
    assert_eq!(told(check(&inputs, "x\nx\nx\ny\n")), "order 0:3 before 2 at 3 x");
}

#[test]
fn an_input_that_is_added_twice_is_wanted_twice() {
    let dir = Dir::new();
    dir.check(&["a\n"], "a\na\n").input(dir.0.join("0")).run().expect("two of each");
    assert_eq!(told(dir.check(&["a\n"], "a\n").inputs([dir.0.join("0")]).run()), "missing 0:1 a");
}

#[test]
fn a_missing_line_is_named() {
    let inputs = ["a1\na2\na3\n", "b1\nb2\n"];
    assert_eq!(told(check(&inputs, "a1\nb1\nb2\na3\n")), "missing 0:2 a2");
    assert_eq!(told(check(&inputs, "a1\na2\nb1\na3\n")), "missing 1:2 b2");
    assert_eq!(told(check(&inputs, "b1\nb2\na2\na3\n")), "missing 0:1 a1");
    assert_eq!(told(check(&inputs, "b1\nb2\n")), "missing 0:1 a1");
}

#[test]
fn a_missing_line_is_told_from_those_like_it() {
    assert_eq!(told(check(&["x\ny\nx\nz\nx\n"], "x\ny\nz\nx\n")), "missing 0:3 x");
    assert_eq!(told(check(&["x\ny\nx\ny\nz\n"], "y\nx\ny\nz\n")), "missing 0:1 x");
    assert_eq!(told(check(&["x\ny\nx\ny\nz\n"], "x\ny\ny\nz\n")), "missing 0:3 x");
    assert_eq!(told(check(&["x\n1\n", "2\nx\n3\n"], "x\n1\n2\n3\n")), "missing 1:2 x");
}

#[test]
fn a_surplus_line_is_named() {
    assert_eq!(told(check(&["a\nb\nc\n"], "a\nb\nb\nc\n")), "surplus out:3 b");
    assert_eq!(told(check(&["a\nb\nc\n"], "a\nb\nc\na\n")), "surplus out:4 a");
    assert_eq!(told(check(&["a\nb\nc\n"], "c\na\nb\nc\n")), "surplus out:1 c");
    assert_eq!(told(check(&["a\nb\n"], "a\nnowhere\nb\n")), "surplus out:2 nowhere");
    assert_eq!(told(check(&["a\nb\n"], "a\nnowhere\nb\nnowhere\n")), "surplus out:2 nowhere");
    assert_eq!(told(check(&["a\nb\n"], "a\nb\na\nb\n")), "surplus out:3 a");
}

#[test]
fn lines_out_of_order_are_named() {
    let inputs = ["a1\na2\na3\na4\n", "b1\nb2\n"];
    assert_eq!(told(check(&inputs, "a1\nb1\na3\na2\na4\nb2\n")), "order 0:3 before 2 at 3 a3");
    assert_eq!(told(check(&inputs, "a4\nb1\na2\na3\na1\nb2\n")), "order 0:4 before 1 at 1 a4");
    assert_eq!(told(check(&inputs, "a1\nb2\na2\na3\na4\nb1\n")), "order 1:2 before 1 at 2 b2");
    assert_eq!(told(check(&["y\nx\nx\n"], "x\ny\nx\n")), "order 0:3 before 2 at 1 x");
}

#[test]
fn the_whole_extent_is_told() {
    let message = |inputs: &[&str], output| check(inputs, output).expect_err("a difference").to_string();
    assert!(
        message(&["a\nb\nc\n"], "a\nB\n").ends_with("0:2: missing from the output: b (in all 2 missing, 1 surplus)")
    );
    assert!(message(&["a\n"], "a\na\na\n").ends_with("it: a (in all 2 surplus)"));
    assert!(message(&["a\nb\n", "c\nd\n"], "b\na\nd\nc\n").ends_with("0:1: b (in all 2 inputs out of order)"));
    assert!(message(&["a\nb\n"], "a\n").ends_with("0:2: missing from the output: b"));
}

#[test]
fn an_unterminated_last_line_may_be_there_or_not() {
    let inputs = ["a\nb", "c\n"];
    check(&inputs, "a\nc\n").expect("without it");
    check(&inputs, "a\nb\nc\n").expect("with it");
    assert_eq!(told(check(&inputs, "a\nb\nc\nb\n")), "surplus out:4 b");
    assert_eq!(told(check(&inputs, "b\na\nc\n")), "surplus out:1 b");
    assert_eq!(told(check(&inputs, "b\nc\n")), "missing 0:1 a");
    assert_eq!(told(check(&["a\nb", "b\n"], "a\n")), "missing 1:1 b");
}

#[test]
fn unterminated_last_lines_are_accounted_for_among_lines_like_them() {
    for output in ["b\n", "b\nb\n", "b\nb\nb\n"] {
        check(&["b", "b\n", "b"], output).expect(output);
    }
    assert_eq!(told(check(&["b", "b\n", "b"], "b\nb\nb\nb\n")), "surplus out:4 b");
    // Only of the second input can the b be the last line.
    check(&["a\nb", "c\nb"], "c\nb\na\n").expect("the second input's");
    assert_eq!(told(check(&["a\nb", "c\nb"], "c\nb\nb\na\n")), "surplus out:3 b");
    // It is in the output for another input's sake.
    check(&["a\nb", "b\n"], "a\nb\n").expect("the second input's");
    assert_eq!(told(check(&["a\nb\nc", "c\n"], "b\na\nb\nc\n")), "surplus out:1 b");
}

#[test]
fn an_output_that_ends_in_a_fragment_is_wrong() {
    assert_eq!(told(check(&["a\nb\n"], "a\nb")), "fragment out:2 b");
    assert_eq!(told(check(&["a"], "a")), "fragment out:1 a");
    let long = "é".repeat(100_000);
    assert_eq!(told(check(&["a\n"], format!("a\n{long}"))), format!("fragment out:2 {}...", "\\xc3\\xa9".repeat(40)));
}

#[test]
fn long_lines_are_split() {
    let split = |input: &[u8], output: &[u8]| limited(input, output, 3, LongLines::Split);
    split(b"ab\nabc\n", b"ab\nabc\n").expect("within the limit");
    split(b"abcd\nx\n", b"abc\nd\nx\n").expect("two pieces");
    split(b"abcdef\n\n", b"abc\ndef\n\n").expect("two whole pieces");
    split(b"abcdefg\n", b"abc\ndef\ng\n").expect("three pieces");
    assert_eq!(told(split(b"x\nabcdef\n", b"x\nabcdef\n")), "missing 0:2 abc");
    assert_eq!(told(split(b"x\nabcdef\n", b"x\nabc\ndef\n\n")), "surplus out:4 ");
    assert_eq!(told(split(b"abcdef\nx\nabcd\n", b"abc\ndef\nx\nabc\n")), "missing 0:3 d");
    assert_eq!(told(split(b"abcdef\nx\n", b"def\nabc\nx\n")), "order 0:1 before 1 at 1 def");
}

#[test]
fn pieces_of_an_unterminated_line_may_be_there_from_the_first_on() {
    let split = |output: &[u8]| limited(b"x\nabcdefgh", output, 3, LongLines::Split);
    for output in ["x\n", "x\nabc\n", "x\nabc\ndef\n", "x\nabc\ndef\ngh\n"] {
        split(output.as_bytes()).expect(output);
    }
    assert_eq!(told(split(b"x\ndef\n")), "surplus out:2 def");
    assert_eq!(told(split(b"x\nabc\ngh\n")), "surplus out:3 gh");
    // Both begin alike; the pieces are the second's.
    let dir = Dir::new();
    let check = dir.check(&["abcabcg", "abcabch"], "abc\nabc\nh\n").line_limit(3, LongLines::Split);
    check.run().expect("the second input's");
    let check = dir.check(&["abcabcg", "abcabch"], "abc\ng\nabc\nh\n").line_limit(3, LongLines::Split);
    assert_eq!(told(check.run()), "surplus out:2 g");
}

#[test]
fn long_lines_are_truncated() {
    let truncate = |input: &[u8], output: &[u8]| limited(input, output, 3, LongLines::Truncate);
    truncate(b"abc\nabcd\nabcdefgh\nx\n", b"abc\nabc\nabc\nx\n").expect("heads");
    truncate(b"x\nabcdefg", b"x\nabc\n").expect("the head of the unterminated line");
    truncate(b"x\nabcdefg", b"x\n").expect("no unterminated line");
    assert_eq!(told(truncate(b"abcdefg\nx\n", b"abc\ndef\nx\n")), "surplus out:2 def");
    assert_eq!(told(truncate(b"abcdefg\nx\n", b"abc\n")), "missing 0:2 x");
}

#[test]
fn long_lines_are_skipped() {
    let skip = |input: &[u8], output: &[u8]| limited(input, output, 3, LongLines::Skip);
    skip(b"abc\nabcd\nabcdefghij\nx\n", b"abc\nx\n").expect("short lines");
    skip(b"x\nabcd", b"x\n").expect("no unterminated line");
    skip(b"x\nabc", b"x\nabc\n").expect("an unterminated line within the limit");
    assert_eq!(told(skip(b"abcd\nx\n", b"abc\nx\n")), "surplus out:1 abc");
    assert_eq!(told(skip(b"abcd\nx\ny\n", b"x\n")), "missing 0:3 y");
}

#[test]
fn a_limit_of_nothing_is_one_byte() {
    limited(b"ab\n", b"a\nb\n", 0, LongLines::Split).expect("a byte a line");
    limited(b"ab\n", b"ab\n", usize::MAX, LongLines::Split).expect("no limit");
}

#[test]
fn lines_longer_than_every_buffer_are_compared() {
    const MIB: usize = 1024 * 1024;
    let mut random = Random::new(7);
    let mut long: Vec<u8> = (0..3 * MIB + 5).map(|_| random.below(10) as u8 + b'0').collect();
    for len in [3 * MIB + 5, 3 * MIB, MIB + 1, MIB, MIB - 1, 256 * 1024, 64 * 1024 + 1, 64 * 1024] {
        long.truncate(len);
        let input = [&b"first\n"[..], &long, b"\nlast\n"].concat();
        let pieces: Vec<u8> = long.chunks(MIB).flat_map(|piece| [piece, b"\n"].concat()).collect();
        let output = |middle: &[u8]| [b"first\n", middle, b"last\n"].concat();
        Dir::new().check(&[&input], output(&pieces)).run().expect("pieces of 1 MiB by default");
        limited(&input, &output(&[&long, &b"\n"[..]].concat()), len, LongLines::Skip).expect("just within the limit");
        limited(&input, &output(b""), len - 1, LongLines::Skip).expect("just over the limit");
        limited(&input, &output(&[&long[..len - 1], b"\n"].concat()), len - 1, LongLines::Truncate).expect("a head");
        let mut wrong = pieces;
        wrong[len / 2] ^= 1;
        let piece = len / 2 / MIB;
        let want = format!("missing 0:2 {}...", long[piece * MIB..][..80].escape_ascii());
        assert_eq!(told(Dir::new().check(&[&input], output(&wrong)).run()), want);
    }
}

#[test]
fn lines_are_rendered_for_their_input() {
    let dir = Dir::new();
    let check = |output: &str| {
        dir.check(&["a\nb\n", "a\nlong line\nc"], output).line_limit(4, LongLines::Truncate).render(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            move |line: &[u8], out: &mut Vec<u8>| {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        })
    };
    check("1: a\n0: a\n0: b\n1: long\n1: c\n").run().expect("labelled lines");
    assert_eq!(told(check("1: a\n1: a\n0: b\n1: long\n").run()), "missing 0:1 a");
    assert_eq!(told(check("0: a\n0: b\n1: a\n1: long\n0: b\n").run()), "surplus out:5 0: b");
    assert_eq!(told(check("0: a\n0: b\n1: long\n1: a\n").run()), "order 1:2 before 1 at 3 long");
    let debug = format!("{:?}", check(""));
    assert!(debug.contains("max: 4"), "{debug}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = Dir::new();
    let error = Check::new(dir.0.join("no-output")).run().expect_err("no output");
    assert!(error.to_string().contains("no-output: cannot be read: "), "{error}");
    assert!(error.source().is_some());
    let check = dir.check(&["a\n"], "a\n").input(dir.0.join("no-input"));
    assert!(matches!(check.run(), Err(CheckError::Io { path, .. }) if path.ends_with("no-input")));
    assert!(matches!(Check::new(&dir.0).run(), Err(CheckError::Io { path, .. }) if path == dir.0));
}

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

type Lines = Vec<Vec<u8>>;

/// The inputs' lines in a random order that is right, each with the input and the place that it comes from.
fn interleave(random: &mut Random, inputs: &[Lines]) -> Vec<(usize, usize)> {
    let mut next = vec![0; inputs.len()];
    let mut places = Vec::new();
    loop {
        let left: Vec<usize> = (0..inputs.len()).filter(|i| next[*i] < inputs[*i].len()).collect();
        if left.is_empty() {
            return places;
        }
        let i = left[random.below(left.len())];
        places.push((i, next[i]));
        next[i] += 1;
    }
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect()
}

/// Deletes, doubles, moves, alters or swaps a line, or does nothing.
fn mutate(random: &mut Random, lines: &mut Lines) {
    if lines.is_empty() {
        return;
    }
    let (at, to) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(to, lines[at].clone()),
        2 => {
            let line = lines.remove(at);
            lines.insert(to, line);
        }
        3 => lines[at].push(b'b'),
        4 => lines.swap(at, to),
        _ => {}
    }
}

/// The definition, word for word, and slow. An input is its lines and its unterminated last line's pieces.
fn is_merge(inputs: &[(Lines, Lines)], output: &[Vec<u8>]) -> bool {
    fn try_all(inputs: &[(Lines, Lines)], chosen: &mut Vec<Lines>, output: &[Vec<u8>]) -> bool {
        let Some((whole, last)) = inputs.get(chosen.len()) else {
            let mut balance: BTreeMap<&[u8], i32> = BTreeMap::new();
            for line in output {
                *balance.entry(line).or_default() += 1;
            }
            for line in chosen.iter().flatten() {
                *balance.entry(line).or_default() -= 1;
            }
            return balance.values().all(|n| *n == 0);
        };
        (0..=last.len()).any(|n| {
            let lines = [whole.as_slice(), &last[..n]].concat();
            let mut rest = output.iter();
            if !lines.iter().all(|line| rest.any(|other| other == line)) {
                return false;
            }
            chosen.push(lines);
            let found = try_all(inputs, chosen, output);
            chosen.pop();
            found
        })
    }
    try_all(inputs, &mut Vec::new(), output)
}

#[test]
fn the_verdict_is_that_of_the_definition() {
    let dir = Dir::new();
    let mut verdicts = [0, 0];
    for seed in 1..3000 {
        let mut random = Random::new(seed);
        let max = 1 + random.below(3);
        let policy = [LongLines::Split, LongLines::Truncate, LongLines::Skip][random.below(3)];
        let limit = |line: &[u8]| -> Lines {
            match policy {
                LongLines::Skip if line.len() > max => vec![],
                LongLines::Truncate if line.len() > max => vec![line[..max].to_vec()],
                _ if line.is_empty() => vec![vec![]],
                _ => line.chunks(max).map(<[u8]>::to_vec).collect(),
            }
        };
        let mut line =
            |most: usize| -> Vec<u8> { (0..random.below(most + 1)).map(|_| b'a' + random.below(2) as u8).collect() };
        let raw: Vec<(Lines, Vec<u8>)> =
            (0..3).map(|_| ((0..line(5).len()).map(|_| line(4)).collect(), line(max))).collect();
        let inputs: Vec<Vec<u8>> = raw.iter().map(|(whole, last)| [text(whole), last.clone()].concat()).collect();
        let wanted: Vec<(Lines, Lines)> = raw
            .iter()
            .map(|(whole, last)| {
                let last = if last.is_empty() { vec![] } else { limit(last) };
                (whole.iter().flat_map(|line| limit(line)).collect(), last)
            })
            .collect();
        let written: Vec<Lines> = wanted
            .iter()
            .map(|(whole, last)| [whole.as_slice(), &last[..random.below(last.len() + 1)]].concat())
            .collect();
        let mut output: Lines =
            interleave(&mut random, &written).iter().map(|(i, n)| written[*i][*n].clone()).collect();
        assert!(is_merge(&wanted, &output), "seed {seed}");
        mutate(&mut random, &mut output);
        let expected = is_merge(&wanted, &output);
        verdicts[usize::from(expected)] += 1;
        let result = dir.check(&inputs, text(&output)).line_limit(max, policy).run();
        assert_eq!(result.is_ok(), expected, "seed {seed}: {wanted:?} in {output:?}: {result:?}");
    }
    assert!(verdicts.iter().all(|n| *n > 500), "{verdicts:?}");
}

#[test]
fn what_is_told_explains_the_output() {
    let dir = Dir::new();
    for seed in 1..3000 {
        let mut random = Random::new(seed);
        let letters = 1 + random.below(4);
        let inputs: Vec<Lines> = (0..1 + random.below(3))
            .map(|_| (0..1 + random.below(6)).map(|_| vec![b'a' + random.below(letters) as u8]).collect())
            .collect();
        let files: Vec<Vec<u8>> = inputs.iter().map(|lines| text(lines)).collect();
        let output: Lines = interleave(&mut random, &inputs).iter().map(|(i, n)| inputs[*i][*n].clone()).collect();
        let is_merge = |inputs: &[Lines], output: &[Vec<u8>]| {
            let inputs: Vec<(Lines, Lines)> = inputs.iter().map(|lines| (lines.clone(), vec![])).collect();
            is_merge(&inputs, output)
        };
        let at = random.below(output.len());

        let mut less = output.clone();
        less.remove(at);
        let result = dir.check(&files, text(&less)).run();
        let Err(CheckError::Missing { input, line, missing: 1, surplus: 0, .. }) = result else {
            panic!("seed {seed}: {inputs:?} in {less:?}: {result:?}");
        };
        let mut explained = inputs.clone();
        let input: usize =
            input.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("the name of an input");
        explained[input].remove(line as usize - 1);
        assert!(is_merge(&explained, &less), "seed {seed}: {inputs:?} in {less:?}: {input}:{line}");

        let mut more = output.clone();
        more.insert(random.below(output.len() + 1), output[at].clone());
        let result = dir.check(&files, text(&more)).run();
        let Err(CheckError::Surplus { line, surplus: 1, .. }) = result else {
            panic!("seed {seed}: {inputs:?} in {more:?}: {result:?}");
        };
        more.remove(line as usize - 1);
        assert!(is_merge(&inputs, &more), "seed {seed}: {inputs:?} is not {more:?}, line {line}");
    }
}

#[test]
fn a_single_change_among_many_lines_is_found_where_it_is() {
    let dir = Dir::new();
    for seed in 1..100 {
        let mut random = Random::new(seed);
        let inputs: Vec<Lines> = (0..1 + random.below(5))
            .map(|i| (0..2 + random.below(200)).map(|n| format!("{i}-{n}").into_bytes()).collect())
            .collect();
        let files: Vec<Vec<u8>> = inputs.iter().map(|lines| text(lines)).collect();
        let places = interleave(&mut random, &inputs);
        let output: Lines = places.iter().map(|(i, n)| inputs[*i][*n].clone()).collect();
        let run = |output: &[Vec<u8>]| dir.check(&files, text(output)).run();
        assert_eq!(run(&output).expect("an interleaving").lines, output.len() as u64);

        let at = random.below(output.len());
        let (i, n) = places[at];
        let mut less = output.clone();
        less.remove(at);
        assert_eq!(told(run(&less)), format!("missing {i}:{} {i}-{n}", n + 1), "seed {seed}");

        let mut more = output.clone();
        more.insert(at, output[at].clone());
        assert_eq!(told(run(&more)), format!("surplus out:{} {i}-{n}", at + 2), "seed {seed}");

        let of_same: Vec<usize> = (0..places.len()).filter(|other| places[*other].0 == i && *other != at).collect();
        let other = of_same[random.below(of_same.len())];
        let (first, last) = (at.min(other), at.max(other));
        let (early, late) = (places[last].1, places[first].1);
        let mut swapped = output.clone();
        swapped.swap(first, last);
        let want = format!("order {i}:{} before {} at {} {i}-{early}", early + 1, late + 1, first + 1);
        assert_eq!(told(run(&swapped)), want, "seed {seed}");
    }
}
