//! logrotate on the output: moved away, with and without a signal, and copied and cut.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::kit::{Merged, Rng, Stream, Written, program, report, run};
use crate::tool::{Dir, Running, wait_until};

const STREAMS: u64 = 3;
const ROTATIONS: usize = 8;

/// Follows streams into `all`, which logrotate rotates by these options.
fn follow(dir: &Dir, options: &str) -> (Running, Vec<Stream>) {
    fs::create_dir(dir.path("logs")).unwrap();
    let streams = (0..STREAMS).map(|at| Stream::open(dir.path(format!("logs/{at}.log")), &format!("s{at}"))).collect();
    let mut running = dir.tailmerge(["-o", "all", "--report", "r.json", "logs/*.log"]).start();
    wait_until("the output is there", || dir.path("all").exists());
    let options = options.replace("PID", &running.child().id().to_string());
    dir.write("conf", format!("{} {{\nrotate 100\n{options}\n}}\n", dir.path("all").display()));
    (running, streams)
}

fn rotate(dir: &Dir) {
    let mut command = Command::new(program("logrotate", "logrotate"));
    run(command.arg("-f").arg("-s").arg(dir.path("state")).arg(dir.path("conf")));
}

/// The rotated outputs, oldest first, and the last one.
fn outputs(dir: &Dir) -> Vec<u8> {
    let old = (1..=ROTATIONS).rev().filter_map(|number| fs::read(dir.path(format!("all.{number}"))).ok());
    old.chain([dir.read("all")]).flatten().collect()
}

#[test]
#[ignore = "needs logrotate, and half a minute"]
fn an_output_that_logrotate_moves_away() {
    let hangup = "postrotate\nkill -HUP PID\nendscript";
    for options in [format!("create\n{hangup}"), format!("nocreate\n{hangup}"), "create".into(), "nocreate".into()] {
        let dir = Dir::new();
        let (running, streams) = follow(&dir, &options);
        let over = AtomicBool::new(false);
        let written: Written = thread::scope(|scope| {
            let write = |mut stream: Stream| {
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        stream.burst(8);
                    }
                    (stream.name, stream.next)
                })
            };
            let writers: Vec<_> = streams.into_iter().map(write).collect();
            let mut rng = Rng::new();
            for _ in 0..ROTATIONS {
                thread::sleep(rng.millis(100, 1500));
                // What is not there yet is not rotated.
                wait_until("the output is there", || fs::metadata(dir.path("all")).is_ok_and(|it| it.len() > 0));
                rotate(&dir);
            }
            wait_until("the output is there", || dir.path("all").exists());
            over.store(true, Ordering::Relaxed);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        running.stop().expect(0);
        assert_eq!(report(&dir, "r.json")["gaps"], serde_json::json!([]));
        assert!(dir.path(format!("all.{ROTATIONS}")).exists());
        Merged::new(&outputs(&dir)).expect_all(&written);
        println!("{options:?}: {} lines, each once", written.values().sum::<u64>());
    }
}

#[test]
#[ignore = "needs logrotate, and ten seconds"]
fn an_output_that_logrotate_copies_and_cuts() {
    let dir = Dir::new();
    let (running, mut streams) = follow(&dir, "copytruncate");
    let mut bytes = 0;
    for round in 0..=ROTATIONS {
        bytes += streams.iter_mut().map(|stream| stream.write_many(500)).sum::<u64>();
        // What is written between the copy and the cut is gone with any program.
        wait_until("all is merged", || outputs(&dir).len() as u64 == bytes);
        if round < ROTATIONS {
            rotate(&dir);
            thread::sleep(Duration::from_millis(if round % 2 == 0 { 0 } else { 1100 }));
        }
    }
    running.stop().expect(0).says("all: cut by somebody else");
    let written: Written = streams.into_iter().map(|stream| (stream.name, stream.next)).collect();
    Merged::new(&outputs(&dir)).expect_all(&written);
}
