//! Patterns of paths: what a user writes in place of a file's name.
//!
//! A pattern is matched one path component at a time, so that only directories which can hold a match
//! are ever listed.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};

/// Most components of a pattern after its first wildcard.
const PARTS_MAX: usize = 63;

/// A pattern: `*`, `?`, `[a-z]`, `{a,b}` within a component, `**` for any number of directories.
///
/// As in a shell, a wildcard does not match a name that begins with a dot unless the pattern says so.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    /// The directory above the first wildcard.
    base: PathBuf,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Name(OsString),
    Wild { glob: GlobMatcher, hidden: bool },
    AnyDirs,
}

/// Which parts of a pattern may come next, as bits; bit `parts.len()` means that the path matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(u64);

/// A pattern that cannot be understood.
#[derive(Debug)]
#[non_exhaustive]
pub struct PatternError {
    /// The pattern.
    pub pattern: OsString,
    reason: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: not a valid pattern: {}", self.pattern.display(), self.reason)
    }
}

impl Error for PatternError {}

impl PatternError {
    fn new(pattern: impl Into<OsString>, reason: impl fmt::Display) -> Self {
        Self { pattern: pattern.into(), reason: reason.to_string() }
    }
}

/// Whether a name has anything in it that makes it a pattern.
pub(super) fn is_pattern(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().any(|byte| b"*?[{".contains(byte))
}

impl Pattern {
    pub(super) fn new(text: &OsStr) -> Result<Self, PatternError> {
        let fail = |reason: &dyn fmt::Display| PatternError::new(text, reason);
        let utf8 = text.to_str().ok_or_else(|| fail(&"a pattern must be UTF-8"))?;
        let mut base = PathBuf::new();
        let mut parts = Vec::new();
        let mut depth = 0_usize;
        for component in Path::new(utf8).components() {
            let name = component.as_os_str();
            let bytes = name.as_encoded_bytes();
            if parts.is_empty() && !is_pattern(name) {
                base.push(component);
                continue;
            }
            depth += bytes.iter().filter(|&&byte| byte == b'{').count();
            depth = depth.saturating_sub(bytes.iter().filter(|&&byte| byte == b'}').count());
            if depth > 0 {
                return Err(fail(&"braces that are not closed, or have a '/' in them; give several patterns instead"));
            }
            parts.push(match component {
                Component::Normal(_) if bytes == b"**" => Part::AnyDirs,
                Component::Normal(name) if is_pattern(name) => {
                    let text = name.to_str().ok_or_else(|| fail(&"a pattern must be UTF-8"))?;
                    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
                    let glob = glob.map_err(|error| fail(error.kind()))?.compile_matcher();
                    Part::Wild { glob, hidden: text.starts_with('.') }
                }
                _ => Part::Name(name.to_owned()),
            });
        }
        if let Some(Part::AnyDirs) = parts.last() {
            let glob = GlobBuilder::new("*").build().map_err(|error| fail(error.kind()))?;
            parts.push(Part::Wild { glob: glob.compile_matcher(), hidden: false });
        }
        if parts.len() > PARTS_MAX {
            return Err(fail(&"too many components"));
        }
        Ok(Self { text: utf8.to_owned(), base, parts })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The directory where matching starts; empty for the working directory.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Where matching starts, in [`Pattern::base`].
    pub(super) fn start(&self) -> State {
        self.close(State(1))
    }

    /// Whether a path in this state matches.
    pub(super) fn is_match(&self, state: State) -> bool {
        state.0 & (1 << self.parts.len()) != 0
    }

    /// Whether something below a directory in this state may match.
    pub(super) fn goes_on(&self, state: State) -> bool {
        state.0 & ((1 << self.parts.len()) - 1) != 0
    }

    /// The state after one more name. Symbolic links are not followed by `**`, which might run in circles.
    pub(super) fn next(&self, state: State, name: &OsStr, is_link: bool) -> State {
        let dot = name.as_encoded_bytes().first() == Some(&b'.');
        let mut next = 0;
        for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| state.0 & (1 << at) != 0) {
            match part {
                Part::Name(want) if want == name => next |= 2 << at,
                Part::Wild { glob, hidden } if (!dot || *hidden) && glob.is_match(name) => next |= 2 << at,
                Part::AnyDirs if !dot && !is_link => next |= 1 << at,
                _ => {}
            }
        }
        self.close(State(next))
    }

    /// `**` matches no directory at all, too.
    fn close(&self, State(mut state): State) -> State {
        for (at, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::AnyDirs) && state & (1 << at) != 0 {
                state |= 2 << at;
            }
        }
        State(state)
    }
}

/// What is left out: patterns for the whole path, or, without a `/`, for the file's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excludes {
    globs: GlobSet,
    texts: Vec<String>,
}

impl Excludes {
    pub(crate) fn new(texts: Vec<String>) -> Result<Self, PatternError> {
        let mut globs = GlobSetBuilder::new();
        for text in &texts {
            let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
            globs.add(glob.map_err(|error| PatternError::new(text, error.kind()))?);
        }
        let globs = globs.build().map_err(|error| PatternError::new(texts.join(" "), error.kind()))?;
        Ok(Self { globs, texts })
    }

    /// The pattern that leaves `path` out, if one does.
    pub(super) fn excluding(&self, path: &Path) -> Option<&str> {
        let named = |at: &usize| !self.texts[*at].contains('/');
        let by_name = path.file_name().map(|name| self.globs.matches(name)).unwrap_or_default();
        let by_path = self.globs.matches(path);
        let found = by_name.into_iter().find(named).or_else(|| by_path.into_iter().find(|at| !named(at)));
        found.map(|at| self.texts[at].as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::new(OsStr::new(pattern)).unwrap();
        let mut state = pattern.start();
        let Ok(rest) = Path::new(path).strip_prefix(pattern.base()) else { return false };
        for component in rest.components() {
            state = pattern.next(state, component.as_os_str(), false);
        }
        pattern.is_match(state)
    }

    #[test]
    fn wildcards_stay_within_a_component() {
        assert!(matches("logs/*.log", "logs/a.log"));
        assert!(!matches("logs/*.log", "logs/d/a.log"));
        assert!(!matches("logs/*.log", "logs/.a.log"));
        assert!(matches("logs/.*.log", "logs/.a.log"));
        assert!(matches("logs/{a,b}[0-9]?.log", "logs/b7x.log"));
        assert!(!matches("logs/{a,b}[0-9]?.log", "logs/c7x.log"));
        assert!(matches("/var/*/app/*.log", "/var/x/app/1.log"));
    }

    #[test]
    fn two_stars_match_any_number_of_directories() {
        for path in ["logs/a.log", "logs/d/a.log", "logs/d/e/f/a.log"] {
            assert!(matches("logs/**/*.log", path), "{path}");
            assert!(matches("logs/**", path), "{path}");
        }
        assert!(!matches("logs/**/*.log", "logs/.d/a.log"));
        assert!(matches("logs/**/x/**/*.log", "logs/1/x/2/a.log"));
        assert!(!matches("logs/**/x/**/*.log", "logs/1/y/2/a.log"));
    }

    #[test]
    fn a_pattern_that_cannot_work_is_refused() {
        for bad in ["logs/[a", "{a/b,c}.log", "{a"] {
            assert!(Pattern::new(OsStr::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn excludes_look_at_the_name_or_at_the_whole_path() {
        let excludes = Excludes::new(vec!["*.gz".into(), "logs/old/*".into()]).unwrap();
        assert_eq!(excludes.excluding(Path::new("logs/a.gz")), Some("*.gz"));
        assert_eq!(excludes.excluding(Path::new("logs/old/a.log")), Some("logs/old/*"));
        assert_eq!(excludes.excluding(Path::new("logs/a.log")), None);
        assert_eq!(excludes.excluding(Path::new("x/logs/old/a.log")), None);
    }
}
