//! Faults at system calls: each file call of the program is made to fail, to come back short, or to be the last one,
//! while it merges a few small files. What then comes out must be right, and what does not must be told.
//!
//! Faults are made by a library in C that is loaded before the program's own (`faults.c`), into a program that is built
//! so that its calls can be taken over (`built.rs`).

#![cfg(target_os = "linux")]

mod built;
mod judge;
mod run;
mod sweep;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use built::built;
use judge::{Verdict, judge};
use run::{Fault, run};

/// So many runs take half a minute.
const SAMPLE: usize = 200;

#[test]
fn without_a_fault_all_is_delivered_and_each_kind_of_call_is_met() {
    let Some(built) = built() else { return };
    let mut unmet: BTreeMap<String, usize> = BTreeMap::new();
    for variant in sweep::variants() {
        let ran = run(built, variant, Fault::NONE);
        assert_eq!(judge(&ran, variant, Fault::NONE), Verdict::Complete, "{variant}: {}", ran.stderr);
        ran.counts.into_iter().for_each(|(call, count)| *unmet.entry(call).or_default() += count);
    }
    assert!(unmet.len() > 12, "{unmet:?}");
    unmet.retain(|_, count| *count == 0);
    assert_eq!(unmet, BTreeMap::new(), "calls that go past the library that makes faults");
}

/// Each fault at each call; or only the series whose names contain one of the texts in `TAILMERGE_FAULTS`, as in
/// `follow raw smol: read EIO,smol: write`.
#[test]
#[ignore = "takes an hour"]
fn whatever_call_fails_the_outcome_is_right_or_told() {
    let Some(built) = built() else { return };
    let wanted = std::env::var("TAILMERGE_FAULTS").unwrap_or_default();
    let mut series = sweep::all_series();
    series.retain(|series| wanted.split(',').any(|wanted| series.to_string().contains(wanted)));
    let start = Instant::now();
    let table = sweep::sweep(built, &series);
    table.show(start);
    assert!(table.wrong.is_empty(), "{} runs went wrong", table.wrong.len());
}

/// The same at some calls, which are always the same.
#[test]
fn whatever_call_of_some_fails_the_outcome_is_right_or_told() {
    let Some(built) = built() else { return };
    let start = Instant::now();
    let table = sweep::sample(built, sweep::all_series(), SAMPLE);
    table.show(start);
    assert!(table.wrong.is_empty(), "{:#?}", table.wrong);
    assert!(table.runs() > SAMPLE / 2, "too few of the faults happened");
}
