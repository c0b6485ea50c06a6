//! The inputs of a run: their files, and each line that was ever in one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use tempfile::TempDir;

/// A line of an input, unlike any other.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// The input, by its path.
    pub(crate) input: &'static str,
    /// Counts the files, and the contents of one that is truncated.
    pub(crate) generation: usize,
    pub(crate) start: usize,
    /// Where the hole before it starts; the same where there is none.
    pub(crate) hole: usize,
    /// Where its newline ends, if it has one.
    pub(crate) end: usize,
    pub(crate) text: String,
    pub(crate) is_whole: bool,
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What is in a file now.
#[derive(Clone, Copy, Debug)]
struct Content {
    input: &'static str,
    generation: usize,
    len: usize,
    /// Bytes at its end that were never written.
    hole: usize,
}

/// The files, in a directory of their own.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
    pub(crate) lines: Vec<Line>,
    files: BTreeMap<&'static str, Content>,
    generations: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["run/logs/sub", "said"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        Self { dir, lines: Vec::new(), files: BTreeMap::new(), generations: 0 }
    }

    /// The directory that the program runs in. What is said about it is elsewhere.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn said(&self, name: &str) -> PathBuf {
        self.dir.path().join("said").join(name)
    }

    /// Adds so many lines to a file; creates it if need be.
    pub(crate) fn append(&mut self, name: &'static str, lines: usize) {
        let mut text = String::new();
        for _ in 0..lines {
            text += &self.next_line(name, text.len(), true);
        }
        self.write(name, &text);
    }

    /// Adds so many bytes that were never written.
    pub(crate) fn add_hole(&mut self, name: &'static str, bytes: usize) {
        let content = self.content(name);
        (content.len, content.hole) = (content.len + bytes, bytes);
        let len = content.len as u64;
        File::options().write(true).create(true).truncate(false).open(self.path(name)).unwrap().set_len(len).unwrap();
    }

    /// Adds a line that lacks its newline.
    pub(crate) fn begin_line(&mut self, name: &'static str) {
        let text = self.next_line(name, 0, false);
        self.write(name, &text);
    }

    /// Gives the last line its newline.
    pub(crate) fn end_line(&mut self, name: &'static str) {
        let Content { input, generation, .. } = self.files[name];
        let last = self.lines.iter_mut().rfind(|line| (line.input, line.generation) == (input, generation)).unwrap();
        (last.is_whole, last.end) = (true, last.end + 1);
        self.write(name, "\n");
    }

    /// Renames a file; the next one of the old name is of the same input.
    pub(crate) fn rename(&mut self, name: &'static str, to: &'static str) {
        fs::rename(self.path(name), self.path(to)).unwrap();
        let content = self.files.remove(name).unwrap();
        self.files.insert(to, content);
    }

    pub(crate) fn truncate(&mut self, name: &'static str) {
        File::options().write(true).truncate(true).open(self.path(name)).unwrap();
        self.files.remove(name).unwrap();
    }

    pub(crate) fn remove(&mut self, name: &'static str) {
        fs::remove_file(self.path(name)).unwrap();
        self.files.remove(name).unwrap();
    }

    fn content(&mut self, name: &'static str) -> &mut Content {
        let generations = &mut self.generations;
        self.files.entry(name).or_insert_with(|| {
            *generations += 1;
            Content { input: name, generation: *generations, len: 0, hole: 0 }
        })
    }

    /// The next line of a file to which so many bytes are about to be added.
    fn next_line(&mut self, name: &'static str, added: usize, is_whole: bool) -> String {
        let content = self.content(name);
        let Content { input, generation, len, hole } = *content;
        content.hole = 0;
        let start = len + added;
        let text = format!("{} {generation} {start} {}", file_name(input), "=".repeat(start % 40));
        let end = start + text.len() + usize::from(is_whole);
        self.lines.push(Line { input, generation, start, hole: start - hole, end, text: text.clone(), is_whole });
        if is_whole { text + "\n" } else { text }
    }

    fn write(&mut self, name: &'static str, text: &str) {
        self.content(name).len += text.len();
        let mut file = File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}
