//! All faults at all calls, or some of them, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::io::Errno;

use crate::built::Built;
use crate::judge::{Verdict, judge};
use crate::run::{Fault, Ran, Variant, What, run, run_in};

/// Runs at a time. They wait more than they work.
const AT_A_TIME: usize = 4;

/// No run gets so far; how many calls there are while nothing happens has no bound.
const CALLS_MAX: usize = 400;

/// One kind of fault at one kind of call, in one variant: a series of runs, with the fault at each call in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    pub(crate) variant: Variant,
    pub(crate) fault: Fault,
}

/// What came of all runs with one fault.
#[derive(Debug, Default)]
struct Sum {
    runs: usize,
    complete: usize,
    failed: usize,
    gaps: usize,
    uncertain: usize,
    killed: usize,
    wrong: usize,
    late: usize,
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub(crate) struct Table {
    sums: BTreeMap<(&'static str, String), Sum>,
    pub(crate) wrong: Vec<String>,
}

/// The ways in which the program is run.
pub(crate) fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    for backend in ["smol", "async-std"] {
        for (follows, labels, polls) in [
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (true, true, false),
            (true, false, true),
        ] {
            variants.push(Variant { follows, labels, polls, backend });
        }
    }
    variants
}

/// The faults that there are.
fn faults() -> Vec<(&'static str, Vec<What>)> {
    let fail = |errnos: &[Errno]| errnos.iter().map(|&errno| What::Fails(errno)).collect::<Vec<_>>();
    let less = ["one", "half", "none"].map(What::Less);
    let (io, intr, nospc, mfile) = (Errno::IO, Errno::INTR, Errno::NOSPC, Errno::MFILE);
    let (nfile, access, noent, stale) = (Errno::NFILE, Errno::ACCESS, Errno::NOENT, Errno::STALE);
    let (again, nomem, nolck) = (Errno::AGAIN, Errno::NOMEM, Errno::NOLCK);
    vec![
        ("write", ["die", "die-half", "die-after"].map(What::Dies).to_vec()),
        ("cut", vec![What::Dies("die-after")]),
        ("open", fail(&[io, intr, mfile, nfile, access, noent, stale, again, nomem])),
        ("read", [&fail(&[io, intr, stale, again, nomem])[..], &less].concat()),
        ("write", [&fail(&[io, intr, nospc, again, nomem])[..], &less].concat()),
        ("stat", fail(&[io, intr, access, noent, stale, nomem])),
        ("list", fail(&[io, access, noent, stale, mfile, nfile, nomem])),
        ("cut", fail(&[io, intr, nospc])),
        ("seek", fail(&[io])),
        ("lock", fail(&[io, intr, again, nolck])),
        ("poll", fail(&[intr, nomem])),
        ("event", fail(&[mfile, nfile, nomem])),
        ("watch", fail(&[mfile, nospc, nomem, access, noent])),
        ("hint", fail(&[io, intr, again])),
        ("statfs", fail(&[io, noent])),
    ]
}

/// All series. A call that is interrupted for ever is made again for ever.
pub(crate) fn all_series() -> Vec<Series> {
    let mut series = Vec::new();
    for (call, whats) in faults() {
        for what in whats {
            for stays in [false, true] {
                if !stays || !matches!(what, What::Fails(Errno::INTR) | What::Dies(_)) {
                    let fault = Fault { call, what, stays, at: 1 };
                    series.extend(variants().into_iter().map(|variant| Series { variant, fault }));
                }
            }
        }
    }
    series
}

/// Runs each series to its end: until there are no more calls.
pub(crate) fn sweep(built: &Built, series: &[Series]) -> Table {
    work(series, |&Series { variant, fault }, table| {
        let mut beyond = 0;
        for at in 1..=CALLS_MAX {
            // With several threads there is not the same number of calls each time.
            beyond = if meet(built, variant, Fault { at, ..fault }, table) { 0 } else { beyond + 1 };
            if beyond == 2 {
                return;
            }
        }
    })
}

/// Runs so many of the series, each with the fault at one call; always the same.
pub(crate) fn sample(built: &Built, mut series: Vec<Series>, runs: usize) -> Table {
    let counts: Vec<_> = variants().into_iter().map(|variant| run(built, variant, Fault::NONE).counts).collect();
    let mut mixed = 0_usize;
    series.sort_by_cached_key(|_| {
        mixed = mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        mixed >> 33
    });
    series.retain_mut(|Series { variant, fault }| {
        let variant = variants().iter().position(|other| other.to_string() == variant.to_string());
        let count = variant.and_then(|at| counts[at].iter().find(|(call, _)| *call == fault.call)).map_or(0, |it| it.1);
        mixed = mixed.wrapping_add(7);
        fault.at = 1 + (mixed >> 8) % count.max(1);
        count > 0
    });
    work(&series[..runs.min(series.len())], |one, table| {
        meet(built, one.variant, one.fault, table);
    })
}

fn work(series: &[Series], each: impl Fn(&Series, &Mutex<Table>) + Sync) -> Table {
    let (table, next) = (Mutex::new(Table::default()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(one) = series.get(next.fetch_add(1, Ordering::Relaxed)) {
                    each(one, &table);
                }
            });
        }
    });
    table.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the program with a fault, and takes note of what came of it. False: there were not so many calls.
fn meet(built: &Built, variant: Variant, fault: Fault, table: &Mutex<Table>) -> bool {
    let mut ran = run(built, variant, fault);
    let mut verdict = judge(&ran, variant, fault);
    if verdict == Verdict::Killed && !variant.follows {
        // Whatever it left behind, the next one does the whole work.
        let fired = ran.fired.take();
        ran = Ran { fired, ..run_in(ran.world, built, variant, Fault::NONE) };
        verdict = match judge(&ran, variant, Fault::NONE) {
            Verdict::Complete => Verdict::Killed,
            other => Verdict::Wrong(format!("killed, and then {other:?}")),
        };
    }
    table.lock().unwrap_or_else(PoisonError::into_inner).note(variant, fault, &ran, verdict);
    ran.fired.is_some()
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variant, self.fault)
    }
}

impl Table {
    fn note(&mut self, variant: Variant, fault: Fault, ran: &Ran, verdict: Verdict) {
        let fired = ran.fired.as_deref();
        if let Verdict::Wrong(why) = &verdict {
            let wrong = format!("{variant}: {fault} at {}: {why}", fired.unwrap_or("no call")).replace('\n', " | ");
            eprintln!("WRONG {wrong}");
            self.wrong.push(wrong);
        }
        // A run without a fault is none of its, unless it went wrong.
        if fired.is_none() && !matches!(verdict, Verdict::Wrong(_)) {
            return;
        }
        let what = format!("{}{}", fault.what, if fault.stays { "…" } else { "" });
        let sum = self.sums.entry((fault.call, what)).or_default();
        sum.runs += 1;
        sum.late += usize::from(ran.late);
        *match verdict {
            Verdict::Complete => &mut sum.complete,
            Verdict::Failed => &mut sum.failed,
            Verdict::Gaps => &mut sum.gaps,
            Verdict::Uncertain => &mut sum.uncertain,
            Verdict::Killed => &mut sum.killed,
            Verdict::Wrong(_) => &mut sum.wrong,
        } += 1;
    }

    pub(crate) fn runs(&self) -> usize {
        self.sums.values().map(|sum| sum.runs).sum()
    }

    /// Prints it.
    pub(crate) fn show(&self, since: Instant) {
        eprint!("{self}");
        eprintln!("{} runs in {:.0?}", self.runs(), since.elapsed());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "call    fault        runs  complete  told 1  told 3  maybe  killed  wrong   late")?;
        for ((call, what), sum) in &self.sums {
            let Sum { runs, complete, failed, gaps, uncertain, killed, wrong, late } = sum;
            write!(f, "{call:7} {what:10} {runs:6} {complete:9} {failed:7} {gaps:7}")?;
            writeln!(f, " {uncertain:6} {killed:7} {wrong:6} {late:6}")?;
        }
        Ok(())
    }
}
