//! What the sections share: where files are, how much is done, and one copy of inputs, measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::data::{Inputs, MIB};
use crate::measure::{Ran, merge, progress, run};
use crate::place::Place;
use crate::{Outcome, child};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Bytes of each of the 16 files.
    few: usize,
    /// Bytes of each of the 1000 files.
    many: usize,
    /// Numbers of idle files; the first is what the others are compared with.
    pub(crate) idle: &'static [usize],
    /// How long something is watched that has no end of its own.
    pub(crate) watch: Duration,
}

impl Scale {
    pub(crate) fn full() -> Self {
        Self { few: 64 * MIB, many: MIB, idle: &[10, 4000, 20_000], watch: Duration::from_secs(3) }
    }

    pub(crate) fn quick() -> Self {
        Self { few: 2 * MIB, many: MIB / 32, idle: &[10, 1000], watch: Duration::from_millis(300) }
    }
}

/// Makes the command that copies inputs to an output.
pub(crate) type Copier = fn(&[PathBuf], &Path) -> Outcome<Command>;

/// What sections share.
#[derive(Debug)]
pub(crate) struct Bench {
    place: Place,
    pub(crate) scale: Scale,
    pub(crate) runs: usize,
    few: Option<Rc<Inputs>>,
    many: Option<Rc<Inputs>>,
}

impl Bench {
    pub(crate) fn new(scale: Scale, runs: usize) -> Outcome<Self> {
        Ok(Self { place: Place::new()?, scale, runs, few: None, many: None })
    }

    /// Where `name` is, or is to be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// Where merges go.
    pub(crate) fn output(&self) -> PathBuf {
        self.path("merged")
    }

    /// 16 large files.
    pub(crate) fn few(&mut self) -> Outcome<Rc<Inputs>> {
        made(&mut self.few, self.place.path("few"), 16, self.scale.few)
    }

    /// 1000 smaller ones, of about as many bytes.
    pub(crate) fn many(&mut self) -> Outcome<Rc<Inputs>> {
        made(&mut self.many, self.place.path("many"), 1000, self.scale.many)
    }

    /// Has inputs copied into a fresh file, on warm pages.
    pub(crate) fn copy(&self, inputs: &Inputs, copier: Copier) -> Outcome<Ran> {
        self.warm(inputs)?;
        let ran = run(&mut copier(&inputs.paths, &self.output())?)?;
        self.discard(inputs)?;
        Ok(ran)
    }

    /// Gets pages ready for inputs and as large an output.
    pub(crate) fn warm(&self, inputs: &Inputs) -> Outcome<()> {
        inputs.warm(&self.path("warm"))
    }

    /// Merges once, unmeasured, and checks the output line by line.
    pub(crate) fn check(&self, inputs: &Inputs) -> Outcome<()> {
        let output = self.output();
        run(&mut merge(&inputs.paths, &output)?)?;
        // In a child, since it takes memory that a child of this process would be slower for.
        let checked = run(child::command("check")?.arg(&output).args(&inputs.paths).stdout(Stdio::piped()))?;
        progress(&format!("{} lines checked: all there, once and in order", checked.figure("lines")?));
        self.discard(inputs)
    }

    /// Removes the output, which must be as long as the inputs.
    pub(crate) fn discard(&self, inputs: &Inputs) -> Outcome<()> {
        let output = self.output();
        let written = fs::metadata(&output)?.len();
        fs::remove_file(&output)?;
        if written == inputs.bytes {
            return Ok(());
        }
        Err(format!("{written} bytes were written, not {}", inputs.bytes).into())
    }
}

fn made(inputs: &mut Option<Rc<Inputs>>, dir: PathBuf, count: usize, size: usize) -> Outcome<Rc<Inputs>> {
    if let Some(inputs) = inputs {
        return Ok(inputs.clone());
    }
    progress(&format!("making {count} files of {} KiB", size / 1024));
    Ok(inputs.insert(Rc::new(Inputs::make(dir, count, size)?)).clone())
}
