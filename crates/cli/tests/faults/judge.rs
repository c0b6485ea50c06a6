//! What a run came to: all is there, or what is missing was told.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::io::Errno;

use crate::run::{BEFORE, Fault, Ran, Variant, What};
use crate::world::{Line, file_name};

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The output holds each line, and the status is 0.
    Complete,
    /// Something failed, and a line says what and why: status 1.
    Failed,
    /// What is missing is reported as gaps, all of it and nothing else: status 3.
    Gaps,
    /// Something was found and gone before it could be looked at, and the report counts that: status 0.
    Uncertain,
    /// It was killed, and what it had written by then are lines.
    Killed,
    /// None of these, and why.
    Wrong(String),
}

/// Judges a run.
pub(crate) fn judge(ran: &Ran, variant: Variant, fault: Fault) -> Verdict {
    verdict(ran, variant, fault).unwrap_or_else(Verdict::Wrong)
}

fn verdict(ran: &Ran, variant: Variant, fault: Fault) -> Result<Verdict, String> {
    if ran.hung {
        return Err("it hangs".into());
    }
    if let Some(line) = ran.stderr.lines().find(|line| !line.starts_with("tailmerge: ") || line.contains("panicked")) {
        return Err(format!("it says {line:?}"));
    }
    let killed = matches!(fault.what, What::Dies(_)) && ran.status == Some(137);
    let untouched = ran.output == if variant.labels { b"" } else { BEFORE };
    // What was cut off when it was killed is no line.
    let whole = ran.output.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let output = if killed { &ran.output[..whole] } else { &ran.output };
    let delivered = if untouched { BTreeSet::new() } else { delivered(output, ran, variant)? };
    if killed {
        return Ok(Verdict::Killed);
    }
    let expected = ran.world.lines.iter().filter(|line| line.is_whole || !variant.follows);
    let missing: Vec<_> = expected.filter(|line| !delivered.contains(&*line.text)).collect();
    match ran.status {
        Some(0) if missing.is_empty() => Ok(Verdict::Complete),
        Some(0) if is_absence(ran, fault) && ran.report["possible_losses"].as_u64() > Some(0) => Ok(Verdict::Uncertain),
        Some(0) => {
            let (count, first) = (missing.len(), &missing[0].text);
            Err(format!("status 0, and {count} lines are missing, such as {first:?}: {}", ran.stderr))
        }
        Some(1) => told(ran, fault, &missing, untouched).map(|()| Verdict::Failed),
        Some(3) => gaps(ran, &missing).map(|()| Verdict::Gaps),
        status => Err(format!("it ended with {status:?}")),
    }
}

/// The lines that came out. An error: one that is none, that came twice, or before one that precedes it.
fn delivered<'a>(output: &'a [u8], ran: &'a Ran, variant: Variant) -> Result<BTreeSet<&'a str>, String> {
    let text = std::str::from_utf8(output).map_err(|_| "the output is not text")?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(format!("the output ends in {:?}", text.lines().next_back()));
    }
    let known: BTreeMap<_, _> = ran.world.lines.iter().map(|line| (&*line.text, line)).collect();
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for whole in text.lines() {
        let (label, line) = if variant.labels { whole.split_once(": ").unwrap_or_default() } else { ("", whole) };
        let line = *known.get(line).ok_or_else(|| format!("the output has {whole:?}"))?;
        if !label.starts_with(if variant.labels { file_name(line.input) } else { "" }) {
            return Err(format!("the label of {whole:?}"));
        }
        if !seen.insert(&*line.text) {
            return Err(format!("twice: {whole:?}"));
        }
        if last.insert((line.input, line.generation), line.start).is_some_and(|before| before > line.start) {
            return Err(format!("too late: {whole:?}"));
        }
    }
    Ok(seen)
}

/// Status 1: what was hit is named with the cause, and nothing else is missing than what is named, unless it did not
/// even begin, or could not be written.
fn told(ran: &Ran, fault: Fault, missing: &[&Line], untouched: bool) -> Result<(), String> {
    let said = ran.stderr.to_lowercase();
    let fired = ran.fired.as_deref().unwrap_or_default();
    let is_output = fired.starts_with("pipe:") || fired == "all" || fired.ends_with("/all");
    // A renamed file goes by the name of its input.
    let name = file_name(fired).trim_end_matches(".1");
    let names = |line: &str| {
        // A fault that stays hits others as well.
        fault.stays
            || line.contains(name)
            || is_output && (line.contains("the output") || line.contains("standard output"))
            || line.contains("nothing can be")
    };
    if !said.lines().any(|line| names(line) && causes(fault).iter().any(|cause| line.contains(cause))) {
        return Err(format!("status 1, and no line names {name} and the cause: {}", ran.stderr));
    }
    let unwritten = is_output || said.contains("the output cannot be written") || said.contains("has room or is read");
    // The input, or a directory above it.
    let is_named = |line: &&&Line| {
        let above = line.input.match_indices('/').map(|(end, _)| format!(" {}: ", &line.input[..end]));
        said.contains(line.input) || above.into_iter().any(|dir| said.contains(&dir))
    };
    match missing.iter().find(|line| !is_named(line) && !is_absence(ran, fault)) {
        Some(line) if !untouched && !unwritten => {
            Err(format!("status 1, {:?} is missing, and that is not told: {}", line.text, ran.stderr))
        }
        _ => Ok(()),
    }
}

/// Tells whether the fault is that something is said not to be there, which nobody can tell from its not being there; or that
/// a directory cannot be looked at or listed for a while, in which files come and go.
fn is_absence(ran: &Ran, fault: Fault) -> bool {
    let is_dir = ran.fired.as_deref().is_some_and(|path| !file_name(path).contains(".log"));
    match fault.call {
        "stat" => fault.what == What::Fails(Errno::NOENT) || is_dir && !fault.stays,
        "list" => !fault.stays,
        _ => false,
    }
}

/// What the cause may be called.
fn causes(fault: Fault) -> Vec<String> {
    let errno = match fault.what {
        What::Fails(errno) => errno,
        What::Less(_) => return vec!["write zero".into(), "write whole buffer".into(), "size".into()],
        What::Dies(_) => return Vec::new(),
    };
    let error = io::Error::from(errno);
    let mut causes = vec![format!("(os error {})", errno.raw_os_error())];
    if !error.kind().to_string().contains("uncategorized") {
        causes.push(error.kind().to_string());
    }
    causes.extend(match error.kind() {
        _ if [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(&errno) => vec!["too many open files".into()],
        // What is not there is made anew, and then is there after all.
        io::ErrorKind::NotFound => {
            ["does not exist", "no such file", "no file matches", "file exists"].map(str::to_owned).to_vec()
        }
        io::ErrorKind::WouldBlock if fault.call == "lock" => vec!["another process".into()],
        io::ErrorKind::WouldBlock if fault.call == "write" => {
            vec!["has room or is read".into(), "is not taken within".into()]
        }
        _ => Vec::new(),
    });
    causes
}

/// Status 3: the gaps of the report are what is missing.
fn gaps(ran: &Ran, missing: &[&Line]) -> Result<(), String> {
    let mut wanted = BTreeMap::<(&str, usize), Vec<(usize, usize)>>::new();
    for line in missing {
        let ranges = wanted.entry((line.input, line.generation)).or_default();
        match ranges.last_mut() {
            Some(last) if last.1 == line.start => last.1 = line.end,
            _ => ranges.push((line.start, line.end)),
        }
    }
    let mut wanted: Vec<_> =
        wanted.iter().flat_map(|((input, _), all)| all.iter().map(|&range| (*input, range))).collect();
    let mut told = Vec::new();
    for gap in ran.report["gaps"].as_array().ok_or("status 3, and no report")? {
        let name = gap["input"].as_str().ok_or("a gap without an input")?;
        let at = |what: &str| usize::try_from(gap[what].as_u64().unwrap_or(0)).unwrap_or(0);
        let (name, start, end) = (name.trim_end_matches(".1"), at("start"), at("end"));
        // A hole before a line that is missing may be part of the gap.
        let in_hole = |line: &&&Line| line.input == name && (line.hole..line.start).contains(&start);
        told.push((name, (missing.iter().find(in_hole).map_or(start, |line| line.start), end)));
    }
    wanted.sort_unstable();
    told.sort_unstable();
    if wanted == told {
        Ok(())
    } else {
        Err(format!("status 3, {wanted:?} is missing, and gaps are {told:?}: {}", ran.stderr))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::world::World;

    const RAW: Variant = Variant { follows: false, labels: false, polls: false, backend: "smol" };

    /// A run that came to that, of one input with three lines.
    fn ran(status: i32, output: &[usize], stderr: &str, gap: Option<(usize, usize)>) -> Ran {
        let mut world = World::new();
        world.append("logs/a.log", 3);
        let output: String = output.iter().map(|&at| world.lines[at].text.clone() + "\n").collect();
        let gap = gap.map(|(start, end)| json!({"input": "logs/a.log", "start": start, "end": end}));
        Ran {
            world,
            status: Some(status),
            hung: false,
            stderr: stderr.into(),
            output: output.into(),
            report: json!({"gaps": gap.into_iter().collect::<Vec<_>>()}),
            fired: Some("/tmp/run/logs/a.log".into()),
            counts: Vec::new(),
            late: false,
        }
    }

    #[track_caller]
    fn assert_wrong(ran: &Ran, fault: Fault, why: &str) {
        match judge(ran, RAW, fault) {
            Verdict::Wrong(what) if what.contains(why) => {}
            other => panic!("{other:?}, and not {why}"),
        }
    }

    #[test]
    fn what_is_right_is_told_from_what_is_wrong() {
        let eio = Fault { what: What::Fails(rustix::io::Errno::IO), ..Fault::NONE };
        let cause = "tailmerge: logs/a.log: cannot be read: Input/output error (os error 5)\n";
        let end = ran(0, &[], "", None).world.lines[2].end;
        assert_eq!(judge(&ran(0, &[0, 1, 2], "", None), RAW, eio), Verdict::Complete);
        assert_eq!(judge(&ran(1, &[0, 1], cause, None), RAW, eio), Verdict::Failed);
        assert_eq!(judge(&ran(3, &[], "", Some((0, end))), RAW, eio), Verdict::Gaps);
        assert_wrong(&ran(0, &[0, 1], "", None), eio, "1 lines are missing");
        assert_wrong(&ran(0, &[0, 1, 1, 2], "", None), eio, "twice");
        assert_wrong(&ran(0, &[0, 2, 1], "", None), eio, "too late");
        assert_wrong(&ran(1, &[0, 1], "tailmerge: something failed\n", None), eio, "no line names a.log");
        assert_wrong(&ran(1, &[0, 1], "tailmerge: logs/a.log: uncategorized error\n", None), eio, "the cause");
        assert_wrong(&ran(3, &[0], "", Some((0, end))), eio, "is missing, and gaps are");
        assert_wrong(&ran(3, &[], "", Some((0, end - 1))), eio, "is missing, and gaps are");
        assert_wrong(&ran(101, &[0, 1, 2], "", None), eio, "ended with");
        assert_wrong(&ran(0, &[0, 1, 2], "thread 'main' panicked\n", None), eio, "it says");
        let mut torn = ran(1, &[0, 1, 2], cause, None);
        torn.output.pop();
        assert_wrong(&torn, eio, "the output ends in");
        torn.output.extend(b"x\n");
        assert_wrong(&torn, eio, "the output has");
        assert_wrong(&Ran { hung: true, ..ran(0, &[], "", None) }, eio, "hangs");
    }
}
