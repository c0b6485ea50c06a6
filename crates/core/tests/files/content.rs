//! Bytes that must come out as they went in, and what is done with lines on their way.

use std::fmt::Write;

use tailmerge_core::internal::LineFormat;
use tailmerge_core::{Format, GapReason, LongLines, Prefix, Report};

use crate::kit::{Scene, Sink, assert_same, sorted, start, start_blocking, stop, stop_blocking};

/// The limit of the cases with long lines, in bytes.
const LIMIT: usize = 16;

/// Carriage returns, NUL, bytes that are no text, empty lines: all is data.
#[test]
fn bytes_come_out_as_they_went_in() {
    let scene = Scene::new();
    let mut all: Vec<u8> = (0..=255).collect();
    all.extend_from_slice(b"\n\n\r\n\n\0\n\0\0\0\n\xff\xfe\n\xc3\n \t \n\x1b[31mred\x1b[0m\n\xef\xbb\xbfbom\r\r\n\n");
    scene.write("a.log", &all);
    let merge = start(scene.builder().path(scene.path("a.log")));
    scene.expect(&all);
    for piece in [&b"\r"[..], b"\n", b"\0", b"\n\n\n", b"\xf0\x9f", b"\x92\xa9\r\n"] {
        scene.append("a.log", piece);
        all.extend_from_slice(piece);
        scene.looked(&merge, "a.log");
    }
    let report = stop(&merge);
    scene.assert_output(&all);
    assert_eq!(report.bytes, all.len() as u64);
}

/// Text is bytes, whatever its encoding; that of UTF-16 ends its lines in the middle of a character, and is still whole
/// in the output.
#[test]
fn text_of_any_encoding_is_bytes() {
    let utf16: Vec<u8> =
        "\u{feff}gr\u{fc}\u{df}e\r\n\u{442}\u{a0a}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts: [&[u8]; 5] = [
        b"windows\r\nunix\nold\rmac\r\n",
        b"latin-1: gr\xfc\xdfe\n",
        b"no UTF-8: \xc3\x28 \xff\xc0\x80 \xed\xa0\x80\n",
        b"nul \0 within\0\n\0\n",
        // The last newline is followed by half a character.
        &[&utf16[..], b"\n"].concat(),
    ];
    for text in texts {
        let scene = Scene::new();
        scene.write("a.log", text);
        let merge = start(scene.builder().path(scene.path("a.log")));
        scene.expect(text);
        scene.append("a.log", text);
        scene.expect([text, text].concat());
        stop(&merge);
    }
}

/// What goes in: lines up to the limit, beyond it, by many times, and of its multiples. The last line has no newline
/// yet.
fn long_lines() -> (String, Vec<String>) {
    let lens = [5, LIMIT, LIMIT + 1, 0, 2 * LIMIT, 2 * LIMIT + 1, 10 * LIMIT + 7, 3, 300 * LIMIT, 1];
    let letters = ('a'..='z').cycle();
    let contents: Vec<String> = lens.iter().map(|&len| letters.clone().skip(len % 7).take(len).collect()).collect();
    let text = contents.iter().fold(String::new(), |mut text, content| {
        writeln!(text, "{content}").expect("a string takes what is written to it");
        text
    });
    (text, contents)
}

/// Follows long lines, written at once and then byte for byte; gives the output and the report.
fn follow_long_lines(policy: LongLines, memory: usize) -> (Vec<u8>, Report) {
    let scene = Scene::new();
    let (text, _) = long_lines();
    scene.write("a.log", &text);
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(LIMIT).long_lines(policy).memory(memory);
    let merge = start(builder);
    // Beyond the limit before its newline is there.
    for piece in ["0123456789", "0123456789", "0123456789", "\n", "next\n"] {
        scene.append("a.log", piece);
        scene.looked(&merge, "a.log");
    }
    let report = stop(&merge);
    scene.check_as(["a.log"], |check| check.line_limit(LIMIT, policy));
    assert_eq!(scene.events.count("is longer than 16 bytes"), 1, "told once for a file");
    (scene.output(), report)
}

/// The contents that [`follow_long_lines`] had to do with.
fn contents() -> Vec<String> {
    let (_, mut contents) = long_lines();
    contents.extend(["012345678901234567890123456789".to_owned(), "next".to_owned()]);
    contents
}

/// What memory allows for one buffer: much more than a line, and just about a line.
const MEMORY: [usize; 2] = [1024 * 1024, 4 * (LIMIT + 1)];

/// A line over the limit becomes several.
#[test]
fn long_lines_are_split() {
    for memory in MEMORY {
        let (output, report) = follow_long_lines(LongLines::Split, memory);
        let mut want = Vec::new();
        for content in contents() {
            for piece in content.as_bytes().chunks(LIMIT) {
                want.extend_from_slice(piece);
                want.push(b'\n');
            }
            if content.is_empty() {
                want.push(b'\n');
            }
        }
        assert_same("the output", &output, &want);
        assert!(report.gaps.is_empty(), "no byte is lost: {report:?}");
        assert_eq!(report.long_lines, over().count() as u64);
    }
}

/// A line over the limit is cut, the rest is a gap, the next line is whole.
#[test]
fn long_lines_are_truncated() {
    for memory in MEMORY {
        let (output, report) = follow_long_lines(LongLines::Truncate, memory);
        let cut =
            contents().iter().fold(String::new(), |cut, content| cut + &content[..content.len().min(LIMIT)] + "\n");
        assert_same("the output", &output, cut.as_bytes());
        assert_gaps(&report, |start, len| (start + LIMIT as u64, start + len));
    }
}

/// A line over the limit is left out and is a gap, newline and all; the next line is whole.
#[test]
fn long_lines_are_skipped() {
    for memory in MEMORY {
        let (output, report) = follow_long_lines(LongLines::Skip, memory);
        let short = contents().into_iter().filter(|content| content.len() <= LIMIT);
        assert_same("the output", &output, short.map(|content| content + "\n").collect::<String>().as_bytes());
        assert_gaps(&report, |start, len| (start, start + len + 1));
    }
}

/// Lines over the limit: where they start, and their lengths.
fn over() -> impl Iterator<Item = (u64, u64)> {
    let starts = contents().into_iter().scan(0, |start, content| {
        let len = content.len() as u64;
        *start += len + 1;
        Some((*start - len - 1, len))
    });
    starts.filter(|(_, len)| *len > LIMIT as u64)
}

/// Each gap is where `gap` says, for where the line starts and its length. Those that follow upon each other are one.
#[track_caller]
fn assert_gaps(report: &Report, gap: impl Fn(u64, u64) -> (u64, u64)) {
    let mut want: Vec<(u64, u64)> = Vec::new();
    for (start, end) in over().map(|(start, len)| gap(start, len)) {
        match want.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => want.push((start, end)),
        }
    }
    let got: Vec<_> = report.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
    assert_eq!(got, want);
    assert!(report.gaps.iter().all(|gap| gap.reason == GapReason::LineLimit), "{report:?}");
    let bytes: u64 = want.iter().map(|(start, end)| end - start).sum();
    assert_eq!((report.gap_bytes, report.long_lines), (bytes, over().count() as u64));
}

/// A bound of the memory holds for each batch, whatever comes.
#[test]
fn no_batch_is_larger_than_memory_allows() {
    let scene = Scene::new();
    let memory = 64 * 1024;
    let text = (0..2000).fold(String::new(), |text, len| text + &"x".repeat(len % 1100) + "\n");
    scene.write("a.log", &text);
    let sink = Sink::new();
    let builder = scene.builder().path(scene.path("a.log")).max_line_bytes(1024).memory(memory);
    let merge = start(builder.writer(sink.make()));
    stop(&merge);
    assert!(sink.longest() <= memory / 4, "a batch of {} bytes", sink.longest());
}

/// Every label and format, in batches that hold lines of many files.
#[test]
fn lines_are_labelled() {
    let formats = [Format::Raw, Format::Json];
    let prefixes = [Prefix::None, Prefix::Name, Prefix::Path];
    for (format, prefix) in formats.into_iter().flat_map(|format| prefixes.map(|prefix| (format, prefix))) {
        let scene = Scene::new();
        let names = ["a.log", "new\nline.log", "d/b.log"];
        for name in names {
            scene.write(name, b"plain\n\nquote \" back \\ tab \t cr \r\n\0nul\nno text \xff\n\xff\xfe\n");
        }
        let builder = scene.builder().prefix(prefix).format(format).input(scene.pattern("**/*.log"));
        let merge = start_blocking(builder);
        let sender = merge.sender("host");
        sender.send_blocking("of the host's").expect("the merge runs");
        let report = stop_blocking(&merge);

        let style = LineFormat { prefix, format };
        let mut want = Vec::new();
        for name in names {
            let path = scene.path(name);
            let renderer = style.labelled(&path);
            scene
                .read(name)
                .split_inclusive(|&byte| byte == b'\n')
                .for_each(|line| renderer.push(&line[..line.len() - 1], &mut want));
        }
        style.labelled("host".as_ref()).push(b"of the host's", &mut want);
        assert_same("the lines", &sorted(&scene.output()), &sorted(&want));
        assert_eq!(report.bytes, want.len() as u64, "{format:?} {prefix:?}");
        // Of the inputs, bytes are counted as they are there.
        let taken: u64 = report.inputs.iter().map(|input| input.bytes).sum();
        let there: usize = names.map(|name| scene.read(name).len()).into_iter().sum();
        assert_eq!(taken, (there + "of the host's\n".len()) as u64);
    }
}

/// What is promised of the formats, to the letter.
#[test]
fn formats_are_what_they_are_said_to_be() {
    let cases = [
        (Format::Raw, Prefix::None, "say \"hi\"\n"),
        (Format::Raw, Prefix::Name, "a.log: say \"hi\"\n"),
        (Format::Raw, Prefix::Path, "{}/a.log: say \"hi\"\n"),
        (Format::Json, Prefix::None, "{\"line\":\"say \\\"hi\\\"\"}\n"),
        (Format::Json, Prefix::Name, "{\"file\":\"a.log\",\"line\":\"say \\\"hi\\\"\"}\n"),
        (Format::Json, Prefix::Path, "{\"file\":\"{}/a.log\",\"line\":\"say \\\"hi\\\"\"}\n"),
    ];
    for (format, prefix, want) in cases {
        let scene = Scene::new();
        scene.write("a.log", "say \"hi\"\n");
        let builder = scene.builder().format(format).prefix(prefix).once(true).path(scene.path("a.log"));
        stop(&start(builder));
        let dir = scene.path("");
        scene.assert_output(want.replace("{}", dir.to_string_lossy().trim_end_matches('/')));
    }
}
