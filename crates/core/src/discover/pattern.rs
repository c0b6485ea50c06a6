//! Patterns of paths.
//!
//! A pattern is matched one path component at a time, so that only directories which can hold a match
//! are ever listed.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern has at most so many components after its first wildcard.
const PARTS_MAX: usize = 63;

/// A pattern has at most so many bytes: no path is longer.
const BYTES_MAX: usize = 4096;

/// Braces are nested at most this deep, since the crate that compiles them recurses for each level.
const NESTING_MAX: usize = 10;

/// A message shows at most so many characters of a pattern.
const SHOWN_MAX: usize = 200;

/// A pattern: `*`, `?`, `[a-z]`, `{a,b}` within a component, `**` for any number of directories.
///
/// As in a shell, a wildcard does not match a name that begins with a dot unless the pattern says so. The path that has
/// just the pattern's text matches, too: it may be what is meant by `app[1].log`.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    /// The directory above the first wildcard.
    base: PathBuf,
    parts: Vec<Part>,
    /// The components of the text after that.
    names: Vec<OsString>,
}

#[derive(Clone, Debug)]
enum Part {
    Name(OsString),
    Wild { glob: GlobSet, hidden: bool },
    AnyDirs,
}

/// The progress of matching a path, component by component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The parts of the pattern that may come next, as bits; bit `parts.len()` means that the path matches.
    parts: u64,
    /// The number of matched components of the pattern's own text, if the path has no others.
    names: Option<u8>,
}

/// The error of a malformed pattern.
#[derive(Debug)]
#[non_exhaustive]
pub struct PatternError {
    /// The pattern.
    pub pattern: OsString,
    reason: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = self.pattern.to_string_lossy();
        let shown = pattern.char_indices().nth(SHOWN_MAX).map_or(pattern.len(), |(at, _)| at);
        let rest = if shown < pattern.len() { "..." } else { "" };
        write!(f, "{}{rest}: not a valid pattern: {}", &pattern[..shown], self.reason)
    }
}

impl Error for PatternError {}

impl PatternError {
    fn new(pattern: impl Into<OsString>, reason: impl fmt::Display) -> Self {
        Self { pattern: pattern.into(), reason: reason.to_string() }
    }
}

/// Compiles one pattern: of a whole path, if a wildcard matches no `/`, or of a name, which has none. What a name has to
/// end in is compared then without a regular expression.
///
/// Patterns that would panic or overflow the stack are refused before.
fn glob(text: &str, of_path: bool) -> Result<Glob, String> {
    check_length(text)?;
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_MAX {
            return Err(format!("braces are nested more than {NESTING_MAX} deep"));
        }
    }
    let glob = GlobBuilder::new(text).literal_separator(of_path).backslash_escape(true).build();
    glob.map_err(|error| error.kind().to_string())
}

fn check_length(text: &str) -> Result<(), String> {
    let bytes = text.len();
    if bytes > BYTES_MAX { Err(format!("it has {bytes} bytes, {BYTES_MAX} are the most")) } else { Ok(()) }
}

/// Compiles patterns together: unlike [`Glob::compile_matcher`] that says what is too large, and does not panic.
fn glob_set(globs: impl IntoIterator<Item = Glob>) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(glob);
    }
    set.build().map_err(|error| error.kind().to_string())
}

/// Returns true if a name has wildcards.
pub(crate) fn is_pattern(name: &OsStr) -> bool {
    name.as_encoded_bytes().iter().any(|byte| b"*?[{".contains(byte))
}

impl Pattern {
    pub(crate) fn new(text: &OsStr) -> Result<Self, PatternError> {
        let fail = |reason: &dyn fmt::Display| PatternError::new(text, reason);
        let utf8 = text.to_str().ok_or_else(|| fail(&"a pattern must be UTF-8"))?;
        check_length(utf8).map_err(|reason| fail(&reason))?;
        let compiled = |name| glob(name, false).and_then(|glob| glob_set([glob])).map_err(|reason| fail(&reason));
        let mut base = PathBuf::new();
        let (mut parts, mut names) = (Vec::new(), Vec::new());
        let mut depth = 0_usize;
        for component in Path::new(utf8).components() {
            let name = component.as_os_str();
            let bytes = name.as_encoded_bytes();
            if parts.is_empty() && !is_pattern(name) {
                base.push(component);
                continue;
            }
            names.push(name.to_owned());
            depth += bytes.iter().filter(|&&byte| byte == b'{').count();
            depth = depth.saturating_sub(bytes.iter().filter(|&&byte| byte == b'}').count());
            if depth > 0 {
                return Err(fail(&"braces that are not closed, or have a '/' in them; give several patterns instead"));
            }
            parts.push(match component {
                Component::Normal(_) if bytes == b"**" => Part::AnyDirs,
                Component::Normal(name) if is_pattern(name) => {
                    let text = name.to_str().ok_or_else(|| fail(&"a pattern must be UTF-8"))?;
                    Part::Wild { glob: compiled(text)?, hidden: text.starts_with('.') }
                }
                _ => Part::Name(name.to_owned()),
            });
        }
        if let Some(Part::AnyDirs) = parts.last() {
            parts.push(Part::Wild { glob: compiled("*")?, hidden: false });
        }
        if parts.len() > PARTS_MAX {
            return Err(fail(&"too many components"));
        }
        Ok(Self { text: utf8.to_owned(), base, parts, names })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the directory where matching starts; empty for the working directory.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// Returns the state in [`Pattern::base`], where matching starts.
    pub(crate) fn start(&self) -> State {
        State { parts: self.close(1), names: Some(0) }
    }

    /// Returns true if a path in this state matches.
    pub(crate) fn is_match(&self, state: State) -> bool {
        state.parts & (1 << self.parts.len()) != 0 || state.names == Some(self.names.len() as u8)
    }

    /// Returns true if a path below a directory in this state may match.
    pub(crate) fn goes_on(&self, state: State) -> bool {
        let named = state.names.is_some_and(|names| usize::from(names) < self.names.len());
        state.parts & ((1 << self.parts.len()) - 1) != 0 || named
    }

    /// Returns the state after one more component. `**` does not follow symbolic links, which might be circular.
    pub(crate) fn next(&self, state: State, name: &OsStr, is_link: bool) -> State {
        let dot = name.as_encoded_bytes().first() == Some(&b'.');
        let mut next = 0;
        for (at, part) in self.parts.iter().enumerate().filter(|(at, _)| state.parts & (1 << at) != 0) {
            match part {
                Part::Name(want) if want == name => next |= 2 << at,
                Part::Wild { glob, hidden } if (!dot || *hidden) && glob.is_match(name) => next |= 2 << at,
                Part::AnyDirs if !dot && !is_link => next |= 1 << at,
                _ => {}
            }
        }
        let names = state.names.filter(|names| self.names.get(usize::from(*names)).is_some_and(|want| want == name));
        State { parts: self.close(next), names: names.map(|names| names + 1) }
    }

    /// Returns true if a path matches, as far as its text tells.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else { return false };
        let next = |state, name: Component<'_>| self.next(state, name.as_os_str(), false);
        self.is_match(below.components().fold(self.start(), next))
    }

    /// `**` matches no directory at all, too.
    fn close(&self, mut parts: u64) -> u64 {
        for (at, part) in self.parts.iter().enumerate() {
            if matches!(part, Part::AnyDirs) && parts & (1 << at) != 0 {
                parts |= 2 << at;
            }
        }
        parts
    }
}

/// Patterns of paths that are left out: of the whole path, or, without a `/`, of the file's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excludes {
    globs: GlobSet,
    texts: Vec<String>,
}

impl Excludes {
    pub(crate) fn new(texts: Vec<String>) -> Result<Self, PatternError> {
        let globs = texts.iter().map(|text| glob(text, true).map_err(|reason| PatternError::new(text, reason)));
        let globs = globs.collect::<Result<Vec<_>, _>>()?;
        let globs = glob_set(globs).map_err(|reason| PatternError::new(texts.join(" "), reason))?;
        Ok(Self { globs, texts })
    }

    /// Returns the pattern that leaves `path` out, if one does.
    pub(crate) fn excluding(&self, path: &Path) -> Option<&str> {
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
    fn the_path_that_has_just_its_text_matches() {
        for text in ["a[1].log", "{guid-1}/a.log", "logs/*/.[x]", "logs/**", "a[1]/b[1].log"] {
            assert!(matches(text, text), "{text}");
        }
        assert!(matches("a[1]/b[1].log", "a1/b1.log"));
        assert!(!matches("a[1]/b[1].log", "a[1]/b1.log"));
        assert!(!matches("a[1]/b[1].log", "a[1]"));
    }

    #[test]
    fn a_pattern_that_cannot_work_is_refused() {
        for bad in ["logs/[a", "{a/b,c}.log", "{a"] {
            assert!(Pattern::new(OsStr::new(bad)).is_err(), "{bad}");
        }
    }

    /// Whatever a pattern is, it is compiled or refused, in time and within the stack.
    #[test]
    fn a_pattern_that_is_too_much_is_refused() {
        let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        let deep = "braces are nested more than 10 deep";
        let refused = [
            (nested(11), deep),
            (nested(300), deep),
            (nested(30_000), "it has 60001 bytes"),
            ("*".repeat(5000), "it has 5000 bytes"),
            (format!("{}[", "?".repeat(300)), "unclosed character class"),
        ];
        for (text, because) in refused {
            let errors = [Pattern::new(text.as_ref()).err(), Excludes::new(vec!["*.gz".into(), text]).err()];
            for told in errors.map(|error| error.expect("it is refused").to_string()) {
                assert!(told.contains(because), "{told}");
                assert!(told.len() < 400, "{} bytes", told.len());
            }
        }
        let most = BYTES_MAX - 2;
        for text in [nested(10), "?".repeat(most), "*a".repeat(most / 2), "{?,*}".repeat(most / 5)] {
            Pattern::new(text.as_ref()).unwrap_or_else(|error| panic!("{error}"));
            Excludes::new(vec![text]).unwrap_or_else(|error| panic!("{error}"));
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

    #[test]
    fn a_message_shows_so_many_characters_of_a_pattern() {
        let message = |chars: usize| PatternError::new("ü".repeat(chars), "why").to_string();
        assert_eq!(message(200), "ü".repeat(200) + ": not a valid pattern: why");
        assert_eq!(message(201), "ü".repeat(200) + "...: not a valid pattern: why");
    }
}
