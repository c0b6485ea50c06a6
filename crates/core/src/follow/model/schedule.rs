//! Schedules: what happens to the files and when the tailer gets its turns, as data.
//!
//! A step that cannot be done does nothing, so that any part of a schedule is a schedule too.

use std::fmt;

use crate::follow::model::rng::Rng;
use crate::record::limit::LongLines;

/// Names of files. The tailer follows those that [`is_followed`].
pub(crate) const FILES: [&str; 11] = [
    "logs/a.log",
    "logs/a.log.1",
    "logs/a.log.2",
    "logs/b.log",
    "logs/l.log",
    "logs/sub/c.log",
    "logs/sub/c.log.1",
    "out/x",
    "out/y",
    NAMED,
    "out/sub/c.log",
];
/// A file that is followed by its name.
pub(crate) const NAMED: &str = "out/named";
/// The pattern that is followed.
pub(crate) const PATTERN: &str = "logs/**/*.log*";
/// Directories that come and go.
pub(crate) const DIRS: [&str; 3] = ["logs/sub", "out/sub", "logs"];
/// How many programs keep a file open for writing.
pub(crate) const WRITERS: usize = 3;
/// How many shards there are.
pub(crate) const SHARDS: usize = 2;

/// Whether a name is one that the tailer is to follow.
pub(crate) fn is_followed(path: &str) -> bool {
    path == NAMED || path.starts_with("logs/") && path.contains(".log")
}

/// Whether changes are hinted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// No: each fill looks at all files.
    None,
    /// All of them, before the next fill; nobody looks at a file otherwise.
    Reliable,
    /// Some are lost, come late, or for nothing, or there are too many. A slow sweep finds what they do not tell.
    Unreliable,
}

/// How the tailer is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Whether rotated files are kept for ever, or let go at their end.
    pub(crate) keeps: bool,
    pub(crate) open_files: usize,
    pub(crate) chunk: usize,
    pub(crate) limit: usize,
    pub(crate) policy: LongLines,
    /// Whether lines get a label.
    pub(crate) labels: bool,
    /// Whether files have a time of birth.
    pub(crate) births: bool,
    /// Bytes in a batch beyond those it must have.
    pub(crate) room: usize,
    pub(crate) hints: Hints,
    pub(crate) block: usize,
    /// Whether files that are there at first are read from their end.
    pub(crate) from_end: bool,
    /// One read in two gives at most so many bytes, fewer than there are; 0: all reads are whole.
    pub(crate) short_reads: usize,
    /// Whether the tailer reads on a real file system.
    pub(crate) real: bool,
}

/// More open files than there can be.
pub(crate) const UNCAPPED: usize = 1000;

impl Setup {
    /// Returns true if a time of birth tells a file from a later one with its number.
    pub(crate) fn tells_births(&self) -> bool {
        self.births && self.short_reads == 0
    }

    /// The one that failures are shrunk to, as far as they do not vanish.
    pub(crate) const PLAIN: Self = Self {
        keeps: true,
        open_files: UNCAPPED,
        chunk: 64,
        limit: 600,
        policy: LongLines::Split,
        labels: false,
        births: true,
        room: 0,
        hints: Hints::None,
        block: 16,
        from_end: false,
        short_reads: 0,
        real: false,
    };

    fn random(rng: &mut Rng) -> Self {
        let policy = rng.pick(&[LongLines::Split, LongLines::Truncate, LongLines::Skip]);
        Self {
            keeps: rng.one_in(2),
            open_files: if rng.one_in(4) { rng.below(3) } else { UNCAPPED },
            chunk: rng.pick(&[16, 17, 24, 32, 64, 200]),
            limit: if rng.one_in(3) { 5 + rng.below(60) } else { 600 },
            policy,
            labels: rng.one_in(3),
            births: rng.one_in(2),
            room: rng.pick(&[0, 0, 7, 100]),
            hints: rng.pick(&[Hints::None, Hints::Reliable, Hints::Unreliable]),
            block: rng.pick(&[8, 16]),
            from_end: rng.one_in(12),
            short_reads: if rng.one_in(3) { rng.pick(&[1, 3, 20, 150, 300]) } else { 0 },
            real: false,
        }
    }
}

/// What a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// So many bytes of a line, or of the next one.
    Part(usize),
    /// The end of a line.
    End,
    /// So many whole lines with so many bytes each, the line under way ended first if there is one.
    Lines(usize, usize),
    /// So many newlines.
    Empty(usize),
}

/// How long new content is, next to the old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Shorter,
    Same,
    Longer,
}

/// One thing that happens. Numbers are places in [`FILES`] and [`DIRS`], or of writers and shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write {
        file: usize,
        text: Text,
    },
    Open {
        writer: usize,
        file: usize,
        append: bool,
    },
    WriteBy {
        writer: usize,
        text: Text,
    },
    Close {
        writer: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Swap {
        a: usize,
        b: usize,
    },
    /// `a.log.1` to `a.log.2`, `a.log` to `a.log.1`, and a new `a.log` if so.
    Rotate {
        create: bool,
    },
    Copy {
        from: usize,
        to: usize,
        truncate: bool,
    },
    Truncate {
        file: usize,
    },
    Rewrite {
        file: usize,
        size: Size,
        same_head: bool,
    },
    Delete {
        file: usize,
    },
    Link {
        from: usize,
        to: usize,
    },
    Symlink {
        target: usize,
        file: usize,
    },
    Mode {
        file: usize,
        readable: bool,
    },
    RemoveDir {
        dir: usize,
    },
    MakeDir {
        dir: usize,
    },
    RenameDir {
        from: usize,
        to: usize,
    },
    Scan,
    Fill {
        shard: usize,
        times: usize,
    },
    Look {
        shard: usize,
    },
    /// The tailer gets turns until it has nothing more to do.
    Settle,
}

impl Text {
    fn random(rng: &mut Rng) -> Self {
        match rng.below(10) {
            0..3 => Self::Part(1 + rng.below(40)),
            3..5 => Self::End,
            5..9 => Self::Lines(1 + rng.below(5), rng.below(30)),
            _ if rng.one_in(3) => Self::Lines(1, rng.below(300)),
            _ => Self::Empty(1 + rng.below(3)),
        }
    }
}

impl Step {
    fn random(rng: &mut Rng) -> Self {
        let text = Text::random(rng);
        let writer = rng.below(WRITERS);
        let shard = rng.below(SHARDS);
        // Rather names that are followed.
        let file = if rng.one_in(2) { rng.below(4) } else { rng.below(FILES.len()) };
        let (from, to) = (file, rng.below(FILES.len()));
        match rng.below(100) {
            0..22 => Self::Write { file, text },
            22..26 => Self::Open { writer, file, append: !rng.one_in(3) },
            26..38 => Self::WriteBy { writer, text },
            38 => Self::Close { writer },
            39..44 => Self::Rename { from, to },
            44..46 => Self::Swap { a: from, b: to },
            46..50 => Self::Rotate { create: rng.one_in(2) },
            50..53 => Self::Copy { from, to, truncate: !rng.one_in(3) },
            53..55 => Self::Truncate { file },
            55..59 => {
                let size = rng.pick(&[Size::Shorter, Size::Same, Size::Longer]);
                Self::Rewrite { file, size, same_head: rng.one_in(2) }
            }
            59..63 => Self::Delete { file },
            63..65 => Self::Link { from, to },
            65..67 => Self::Symlink { target: from, file: if rng.one_in(2) { 4 } else { to } },
            67..70 => Self::Mode { file, readable: !rng.one_in(3) },
            70 => Self::RemoveDir { dir: rng.below(DIRS.len()) },
            71..73 => Self::MakeDir { dir: rng.below(DIRS.len()) },
            73 => Self::RenameDir { from: rng.below(2), to: rng.below(2) },
            74..80 => Self::Scan,
            80..92 => Self::Fill { shard, times: 1 + rng.below(4) },
            92..95 => Self::Look { shard },
            _ => Self::Settle,
        }
    }
}

/// A set-up and what happens.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) setup: Setup,
    pub(crate) steps: Vec<Step>,
}

impl Schedule {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let setup = Setup::random(&mut rng);
        let len = rng.pick(&[10, 30, 60, 100]);
        Self { setup, steps: (0..len).map(|_| Step::random(&mut rng)).collect() }
    }

    /// One for a real file system, which has times of birth and blocks of its own.
    pub(crate) fn random_real(seed: u64) -> Self {
        let Self { setup, steps } = Self::random(seed);
        Self { setup: Setup { real: true, births: true, block: 4096, short_reads: 0, ..setup }, steps }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "{at:4}  {step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(len) => write!(f, "{len} bytes of a line"),
            Self::End => f.write_str("a newline"),
            Self::Lines(count, len) => write!(f, "{count} lines of {len} bytes"),
            Self::Empty(count) => write!(f, "{count} empty lines"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Write { file, text } => write!(f, "write to {}: {text}", FILES[file]),
            Self::Open { writer, file, append } => {
                write!(f, "writer {writer} opens {}{}", FILES[file], if append { "" } else { ", not to append" })
            }
            Self::WriteBy { writer, text } => write!(f, "writer {writer} writes {text}"),
            Self::Close { writer } => write!(f, "writer {writer} closes its file"),
            Self::Rename { from, to } => write!(f, "rename {} to {}", FILES[from], FILES[to]),
            Self::Swap { a, b } => write!(f, "swap {} and {}", FILES[a], FILES[b]),
            Self::Rotate { create } => write!(f, "rotate a.log{}", if create { " and make it anew" } else { "" }),
            Self::Copy { from, to, truncate } => {
                write!(f, "copy {} to {}{}", FILES[from], FILES[to], if truncate { " and truncate it" } else { "" })
            }
            Self::Truncate { file } => write!(f, "truncate {}", FILES[file]),
            Self::Rewrite { file, size, same_head } => {
                write!(f, "rewrite {}: {size:?} size{}", FILES[file], if same_head { ", same head" } else { "" })
            }
            Self::Delete { file } => write!(f, "delete {}", FILES[file]),
            Self::Link { from, to } => write!(f, "link {} as {}", FILES[from], FILES[to]),
            Self::Symlink { target, file } => write!(f, "symbolic link {} to {}", FILES[file], FILES[target]),
            Self::Mode { file, readable } => {
                write!(f, "make {} {}", FILES[file], if readable { "readable" } else { "unreadable" })
            }
            Self::RemoveDir { dir } => write!(f, "remove directory {}", DIRS[dir]),
            Self::MakeDir { dir } => write!(f, "make directory {}", DIRS[dir]),
            Self::RenameDir { from, to } => write!(f, "rename directory {} to {}", DIRS[from], DIRS[to]),
            Self::Scan => f.write_str("SCAN"),
            Self::Fill { shard, times } => write!(f, "FILL shard {shard} {times} times"),
            Self::Look { shard } => write!(f, "LOOK shard {shard}"),
            Self::Settle => f.write_str("SETTLE"),
        }
    }
}
