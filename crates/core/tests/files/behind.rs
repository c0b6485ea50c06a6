//! An output that takes nothing for a while, and files that go on meanwhile.

use std::time::Duration;

use tailmerge_core::{Builder, GapReason};

use crate::kit::{Scene, Sink, lines, numbered, sorted, start, start_blocking, stop, stop_blocking, until};

/// Bytes that the pipeline may hold in these cases: little, so that it is full at once.
const MEMORY: usize = 64 * 1024;

fn narrow(scene: &Scene) -> Builder {
    scene.builder().max_line_bytes(1024).memory(MEMORY)
}

/// Files that are deleted while the output is behind are let go once they are as old as is allowed: their disk is
/// free, and what they still had is a gap, to the byte.
#[test]
fn a_deleted_file_is_let_go_in_time() {
    let scene = Scene::new();
    let old = numbered("old", 0..40_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = narrow(&scene).path(scene.path("a.log")).deleted_max_age(Duration::from_millis(50));
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    scene.remove("a.log");
    scene.events.until("the file was deleted, and not kept for longer than was allowed");
    until("it is closed", || scene.open_files().is_empty());
    // What comes under its name then is another file.
    scene.write("a.log", "new\n");
    sink.release();
    let report = stop(&merge);
    let [gap] = &report.gaps[..] else { panic!("one gap: {:?}", report.gaps) };
    assert_eq!((gap.reason, gap.end, report.gap_bytes), (GapReason::Expired, old.len() as u64, gap.bytes()));
    let read = usize::try_from(gap.start).expect("a small file");
    sink.assert([&old[..read], "new\n"].concat());
}

/// So it is with one that was rotated first and deleted then; what still has a name is kept, however old it is.
#[test]
fn a_rotated_file_is_kept_while_it_has_a_name() {
    let scene = Scene::new();
    let old = numbered("old", 0..40_000);
    scene.write("a.log", &old);
    let sink = Sink::held();
    let builder = narrow(&scene).path(scene.path("a.log")).deleted_max_age(Duration::from_millis(1));
    let merge = start(builder.writer(sink.make()));
    sink.until_written_to();
    scene.rename("a.log", "a.log.1");
    scene.write("a.log", "new\n");
    scene.events.until("a.log: rotated");
    for _ in 0..3 {
        let looks = scene.fs.looks(&scene.path("a.log"));
        until("it is looked at", || scene.fs.looks(&scene.path("a.log")) > looks);
    }
    sink.release();
    let report = stop(&merge);
    assert!(report.gaps.is_empty(), "{report:?}");
    sink.assert([old.as_str(), "new\n"].concat());
}

/// Inputs that grow, rotate and are deleted, again and again, while nothing can be written: what is kept comes out
/// when it can be, all of it and in order, and no more is kept open than there are files.
#[test]
fn what_goes_on_while_the_output_is_behind_comes_later() {
    const INPUTS: usize = 5;
    const ROUNDS: usize = 4;
    const LINES: usize = 3000;
    let scene = Scene::new();
    let text = |input: usize, round: usize| numbered(&format!("{input}"), round * LINES..(round + 1) * LINES);
    for input in 0..INPUTS {
        scene.write(format!("{input}.log"), text(input, 0));
    }
    let sink = Sink::held();
    let builder = narrow(&scene).input(scene.pattern("*.log"));
    let merge = start_blocking(builder.writer(sink.make()));
    sink.until_written_to();
    until("all are followed", || scene.events.count("followed from byte 0") == INPUTS);
    for round in 1..=ROUNDS {
        for input in 0..INPUTS {
            let (name, old) = (format!("{input}.log"), format!("{input}.{round}"));
            scene.append(&name, format!("{input} late {round}\n"));
            scene.rename(&name, &old);
            scene.write(&name, text(input, round));
        }
        until("the new ones are followed", || scene.events.count("followed from byte 0") == INPUTS * (round + 1));
        // Every other one is deleted.
        (0..INPUTS).filter(|input| (input + round) % 2 == 0).for_each(|input| scene.remove(format!("{input}.{round}")));
        until("no more is open than there are files", || scene.open_files().len() <= INPUTS * (round + 1));
    }
    sink.release();
    let report = stop_blocking(&merge);
    assert!(report.gaps.is_empty(), "{:?}", report.gaps);
    assert!(sink.longest() <= MEMORY / 4, "a batch of {} bytes", sink.longest());
    let output = sink.bytes();
    for input in 0..INPUTS {
        let prefix = format!("{input} ");
        let ours: Vec<&[u8]> = lines(&output).into_iter().filter(|line| line.starts_with(prefix.as_bytes())).collect();
        let want = (1..=ROUNDS)
            .fold(text(input, 0), |all, round| all + &format!("{input} late {round}\n") + &text(input, round));
        crate::kit::assert_same(&format!("what came of {input}.log"), &ours.concat(), want.as_bytes());
    }
    assert_eq!(sorted(&output).len(), output.len());
    drop(merge);
    until("its files are closed", || scene.open_files().is_empty());
}
