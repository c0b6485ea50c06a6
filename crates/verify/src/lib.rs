#![doc = include_str!("../README.md")]
//!
//! # The rule
//!
//! The lines of each input are in the output in their order, and the output has no other lines, nor any line
//! more or less often than the inputs together. An unterminated last line of an input may be in the output, after the
//! other lines of that input, or not.
//!
//! Lines are compared by 64-bit hashes under a key made anew for each run: that a difference is overlooked has a chance
//! of about 2⁻⁶⁴. Nothing is held but hashes and places, about 24 bytes a line, 40 while the place of a difference is
//! looked for, and one line (or piece of one) at a time. Files must not change during the check; to name a line, they
//! are read again.
//!
//! # Examples
//!
//! ```
//! use tailmerge_verify::Check;
//!
//! # let dir = std::env::temp_dir().join(format!("tailmerge-verify-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let (a, b, all) = (dir.join("a.log"), dir.join("b.log"), dir.join("all.log"));
//! std::fs::write(&a, "one\ntwo\nunfini")?;
//! std::fs::write(&b, "uno\n")?;
//! std::fs::write(&all, "one\nuno\ntwo\n")?;
//! let checked = Check::new(&all).input(&a).input(&b).run()?;
//! assert_eq!((checked.inputs, checked.lines, checked.bytes), (2, 3, 12));
//!
//! std::fs::write(&all, "one\nuno\n")?;
//! let error = Check::new(&all).inputs([&a, &b]).run().unwrap_err();
//! assert!(error.to_string().ends_with("a.log:2: missing from the output: two"));
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod difference;
mod lines;

use std::error::Error;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use tailmerge_core::LongLines;
use tailmerge_core::internal::escaped;

use self::difference::{Difference, Input, account_for_fragments, align, excess, sum};
use self::lines::{BLOCK_BYTES, EXCERPT_BYTES, End, Limit, Parts, each_line, hash, locate};

type Render = dyn Fn(&[u8], &mut Vec<u8>);
type Renderers = dyn Fn(&Path) -> Box<Render> + Send + Sync;

/// Checks a merged output against its inputs: see the [crate](self).
#[must_use = "nothing is checked before `run`"]
pub struct Check {
    output: PathBuf,
    inputs: Vec<PathBuf>,
    limit: Limit,
    /// Makes the renderer of an input; `None` leaves lines as they are.
    renderers: Option<Box<Renderers>>,
}

impl Check {
    /// A check of `output` against no inputs yet, with a line limit of 1 MiB, [`LongLines::Split`], and lines that are
    /// in the output byte for byte.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        let limit = Limit { max: 1024 * 1024, policy: LongLines::Split };
        Self { output: output.into(), inputs: Vec::new(), limit, renderers: None }
    }

    /// Adds an input. One that is added twice must be in the output twice.
    pub fn input(mut self, path: impl Into<PathBuf>) -> Self {
        self.inputs.push(path.into());
        self
    }

    /// Adds inputs.
    pub fn inputs(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.inputs.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Sets what the merge did with lines of more than `max` bytes, the newline not counted.
    ///
    /// So much of a line is held in memory. A `max` of 0 means 1.
    ///
    /// Of an unterminated line that is split, the output may have the first pieces only. If such lines of several
    /// inputs begin with the same pieces, an output that has different shares of them may be refused although it is
    /// right.
    pub fn line_limit(mut self, max: usize, policy: LongLines) -> Self {
        self.limit = Limit { max: max.max(1), policy };
        self
    }

    /// Sets how lines look in the output.
    ///
    /// `make` is called once for each input, with its path as it was added. What it returns is called for each line,
    /// within the line limit and without its newline, and appends the line of the output, with its newline.
    ///
    /// # Examples
    ///
    /// ```
    /// use tailmerge_verify::Check;
    ///
    /// let check = Check::new("all.log").input("a.log").render(|path| {
    ///     let label = path.display().to_string();
    ///     move |line: &[u8], out: &mut Vec<u8>| {
    ///         out.extend_from_slice(label.as_bytes());
    ///         out.extend_from_slice(b": ");
    ///         out.extend_from_slice(line);
    ///         out.push(b'\n');
    ///     }
    /// });
    /// ```
    pub fn render<R>(mut self, make: impl Fn(&Path) -> R + Send + Sync + 'static) -> Self
    where
        R: Fn(&[u8], &mut Vec<u8>) + 'static,
    {
        self.renderers = Some(Box::new(move |path| Box::new(make(path))));
        self
    }

    /// Reads all inputs, then the output, and compares.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the output is not what it must be. Of several differences the one told is a fragment
    /// at the end of the output, else a missing line, else a surplus line, else a line out of order.
    ///
    /// # Blocking
    ///
    /// Reads files on this thread until it is done.
    pub fn run(&self) -> Result<Checked, CheckError> {
        let keys = RandomState::new();
        let inputs = self.inputs.iter().map(|path| self.read_input(&keys, path)).collect::<Result<Vec<_>, _>>()?;
        let (output, bytes) = self.read_output(&keys)?;
        let front = align(inputs.len(), |i, n| inputs[i].lines.get(n).copied(), output.iter().copied().enumerate());

        // Enough for nearly every right output: each input is there as far as it can be, and nothing else is.
        let complete = inputs.iter().zip(&front).all(|(input, found)| found.len() >= input.whole);
        let reached = inputs.iter().zip(&front).flat_map(|(input, found)| &input.lines[..found.len()]);
        if !complete || sum(reached) != sum(&output) {
            self.explain(&inputs, &output, front)?;
        }
        Ok(Checked { inputs: inputs.len(), lines: output.len() as u64, bytes })
    }

    fn read_input(&self, keys: &RandomState, path: &Path) -> Result<Input, CheckError> {
        let render = self.renderers.as_ref().map(|make| make(path));
        let mut rendered = Vec::new();
        let mut lines = Vec::new();
        let whole = each_line(path, self.limit, |_, content| {
            let content = match &render {
                None => content,
                Some(render) => {
                    rendered.clear();
                    render(content, &mut rendered);
                    rendered.strip_suffix(b"\n").unwrap_or(&rendered)
                }
            };
            let mut hasher = keys.build_hasher();
            hash(&mut hasher, content);
            lines.push(hasher.finish());
        })?;
        lines.shrink_to_fit();
        Ok(Input { lines, whole })
    }

    /// The hashes of the output's lines, and its size in bytes.
    fn read_output(&self, keys: &RandomState) -> Result<(Vec<u64>, u64), CheckError> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        let mut hasher = keys.build_hasher();
        let mut parts = Parts::open(&self.output)?;
        while let Some((content, end)) = parts.next(BLOCK_BYTES)? {
            hash(&mut hasher, content);
            bytes += content.len() as u64 + u64::from(end == End::Newline);
            match end {
                End::Newline => {
                    lines.push(hasher.finish());
                    hasher = keys.build_hasher();
                }
                End::Cut => {}
                End::OfFile => {
                    let (line, text) = self.output_line(lines.len())?;
                    return Err(CheckError::Fragment { output: self.output.clone(), line, text });
                }
            }
        }
        Ok((lines, bytes))
    }

    /// Finds the difference, or that there is none.
    fn explain(&self, inputs: &[Input], output: &[u64], mut front: Vec<Vec<usize>>) -> Result<(), CheckError> {
        let mut excess = excess(inputs, output);
        let lengths = account_for_fragments(inputs, &front, &mut excess);
        let wanted: Vec<&[u64]> = inputs.iter().zip(&lengths).map(|(input, &n)| &input.lines[..n]).collect();
        for (found, &n) in front.iter_mut().zip(&lengths) {
            found.truncate(n);
        }
        let missing = excess.values().filter(|n| **n < 0).map(|n| n.unsigned_abs()).sum();
        let surplus = excess.values().filter(|n| **n > 0).map(|n| n.unsigned_abs()).sum();
        let inputs_out_of_order = front.iter().zip(&lengths).filter(|(found, n)| found.len() < **n).count();
        if missing + surplus == 0 && inputs_out_of_order == 0 {
            return Ok(());
        }

        let from_end = |i: usize, n: usize| wanted[i].len().checked_sub(n + 1).map(|at| wanted[i][at]);
        let back = align(wanted.len(), from_end, output.iter().copied().enumerate().rev());
        let difference = Difference { wanted, output, front, back, excess };
        let output = self.output.clone();
        if missing > 0 {
            let (i, index) = difference.missing();
            let (line, text) = self.input_line(i, index)?;
            return Err(CheckError::Missing { input: self.inputs[i].clone(), line, text, missing, surplus });
        }
        if surplus > 0 {
            let (line, text) = self.output_line(difference.surplus())?;
            return Err(CheckError::Surplus { output, line, text, surplus });
        }
        let (i, early, late, at) = difference.out_of_order();
        let (line, text) = self.input_line(i, early)?;
        let (before, _) = self.input_line(i, late)?;
        let (input, output_line) = (self.inputs[i].clone(), at as u64 + 1);
        Err(CheckError::OutOfOrder { input, line, before, output, output_line, text, inputs: inputs_out_of_order })
    }

    /// Number and excerpt of the line that gave the hash at `index`.
    fn input_line(&self, input: usize, index: usize) -> Result<(u64, String), CheckError> {
        locate(&self.inputs[input], self.limit, index)
    }

    fn output_line(&self, index: usize) -> Result<(u64, String), CheckError> {
        locate(&self.output, Limit { max: 2 * EXCERPT_BYTES, policy: LongLines::Truncate }, index)
    }
}

/// What an output that is right consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// How many inputs it was checked against.
    pub inputs: usize,
    /// Lines of the output.
    pub lines: u64,
    /// Bytes of the output, newlines included.
    pub bytes: u64,
}

/// Why an output is not the merge of its inputs, or could not be checked.
///
/// Lines are counted from 1. A `text` is the beginning of the line, at most 80 bytes of it, escaped.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckError {
    /// A file cannot be read.
    Io {
        /// The input or the output.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The output ends without a newline.
    Fragment {
        /// The output.
        output: PathBuf,
        /// The number of its last line.
        line: u64,
        /// What there is of the line.
        text: String,
    },
    /// A line of an input is not in the output, or not often enough. If several lines look the same, the one told is
    /// one whose absence would explain the output.
    Missing {
        /// The input.
        input: PathBuf,
        /// The number of the line in the input.
        line: u64,
        /// The line, or the piece of it, as the input has it.
        text: String,
        /// How many lines are missing in all.
        missing: u64,
        /// How many lines of the output are surplus.
        surplus: u64,
    },
    /// A line of the output is in no input, or is in the output once too often. If several lines look the same, the one
    /// told is one whose removal would leave the inputs in order.
    Surplus {
        /// The output.
        output: PathBuf,
        /// The number of the line in the output.
        line: u64,
        /// The line.
        text: String,
        /// How many lines are surplus in all.
        surplus: u64,
    },
    /// The right lines, but those of an input are not in their order.
    OutOfOrder {
        /// The input.
        input: PathBuf,
        /// The number, in the input, of the line that comes too early in the output.
        line: u64,
        /// The number, in the input, of the line that should have come before it.
        before: u64,
        /// The output.
        output: PathBuf,
        /// The number, in the output, of the line that comes too early.
        output_line: u64,
        /// The line that comes too early, as the input has it.
        text: String,
        /// How many inputs are out of order.
        inputs: usize,
    },
}

impl CheckError {
    fn write(&self, f: &mut String) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: cannot be read: {error}", path.display()),
            Self::Fragment { output, line, text } => {
                write!(f, "{}:{line}: the output ends without a newline: {text}", output.display())
            }
            Self::Missing { input, line, text, missing, surplus } => {
                write!(f, "{}:{line}: missing from the output: {text}", input.display())?;
                if *missing + *surplus > 1 {
                    write!(f, " (in all {missing} missing, {surplus} surplus)")?;
                }
                Ok(())
            }
            Self::Surplus { output, line, text, surplus } => {
                write!(f, "{}:{line}: surplus, the inputs do not account for it: {text}", output.display())?;
                if *surplus > 1 {
                    write!(f, " (in all {surplus} surplus)")?;
                }
                Ok(())
            }
            Self::OutOfOrder { input, line, before, output, output_line, text, inputs } => {
                let (input, output) = (input.display(), output.display());
                write!(
                    f,
                    "{output}:{output_line}: out of order, {input}:{line} comes before {input}:{before}: {text}"
                )?;
                if *inputs > 1 {
                    write!(f, " (in all {inputs} inputs out of order)")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut message = String::new();
        self.write(&mut message)?;
        // Names may hold anything.
        escaped(&message).fmt(f)
    }
}

impl Error for CheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { output, inputs, limit, renderers: _ } = self;
        f.debug_struct("Check")
            .field("output", output)
            .field("inputs", inputs)
            .field("limit", limit)
            .finish_non_exhaustive()
    }
}
