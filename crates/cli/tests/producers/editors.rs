//! Programs that write a log by other means than appending: editors, filters, and a program that maps its log.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::kit::{Merged, Own, Stream, Written, line, program, report, run};
use crate::tool::{Dir, Running, wait_until};

fn follow(dir: &Dir) -> Running {
    fs::create_dir(dir.path("logs")).unwrap();
    dir.tailmerge(["-v", "-o", "all", "--report", "report", "logs/*.log"]).start()
}

fn wait_for(dir: &Dir, stream: &Stream) {
    let last = line(&stream.name, stream.next - 1);
    wait_until("the last line is merged", || dir.text("all").ends_with(&last));
}

/// The numbers of a stream's lines as they came.
fn numbers(dir: &Dir, stream: &str) -> Vec<u64> {
    let merged = Merged::read(&dir.path("all"));
    assert!(merged.torn.is_empty(), "not whole lines: {:?}", merged.torn);
    merged.streams[stream].iter().map(|(number, _)| *number).collect()
}

/// Checks that the stream came whole at the end, and from its start at most so many times before that.
#[track_caller]
fn expect_runs(name: &str, numbers: &[u64], lines: u64, more: usize) {
    let runs: Vec<&[u64]> = numbers.chunk_by(|before, after| before + 1 == *after).collect();
    assert!(runs.iter().all(|run| run[0] == 0), "{name}: some are missing, or not in order");
    assert_eq!(runs.last().map_or(0, |run| run.len() as u64), lines, "{name}");
    assert!(runs.windows(2).all(|pair| pair[0].len() <= pair[1].len()), "{name}: what came first is missing");
    assert!(runs.len() <= more + 1, "{name}: its lines came {} times", runs.len());
    println!("{name}: {lines} lines came {} times", runs.len());
}

/// Edits a log again and again without a change, and lets it grow in between.
fn edit(name: &str, more: usize, save: impl Fn(&Path)) {
    const SAVES: usize = 5;
    let dir = Dir::new();
    let running = follow(&dir);
    let mut stream = Stream::open(dir.path("logs/x.log"), "s");
    stream.write_many(1000);
    for _ in 0..SAVES {
        wait_for(&dir, &stream);
        save(&stream.path);
        stream.reopen();
        stream.write_many(10);
    }
    wait_for(&dir, &stream);
    running.stop().expect(0);
    expect_runs(name, &numbers(&dir, "s"), stream.next, more * SAVES);
    assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]), "{name}");
}

#[test]
#[ignore = "needs vim"]
fn a_log_that_vim_saves() {
    let vim = program("vim", "vim");
    // A file that is made anew, or cut and written again, may be read again. That is told.
    for option in
        ["writebackup backupcopy=auto", "writebackup backupcopy=yes", "writebackup backupcopy=no", "nowritebackup"]
    {
        edit(option, 1, |path| {
            let mut command = Command::new(&vim);
            // Not even where directories for passing files are.
            let set = format!("set backupskip= {option}");
            command.args(["-Nu", "NONE", "-n", "-es", "-c", &set, "-c", "wq"]).arg(path);
            run(command.stdin(Stdio::null()));
        });
    }
}

#[test]
#[ignore = "needs nothing but sed, and some seconds"]
fn a_log_that_sed_edits() {
    edit("sed -i", 0, |path| run(Command::new("sed").args(["-i", "s/no such text/text/"]).arg(path)));
    // A first line that changes makes it another log.
    let dir = Dir::new();
    let running = follow(&dir);
    let mut stream = Stream::open(dir.path("logs/x.log"), "s");
    stream.write_many(100);
    wait_for(&dir, &stream);
    run(Command::new("sed").args(["-i", "1d"]).arg(&stream.path));
    stream.reopen();
    stream.write_many(10);
    wait_for(&dir, &stream);
    running.stop().expect(0);
    assert_eq!(numbers(&dir, "s"), (0..100).chain(1..110).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs nothing but tee, and some seconds"]
fn a_log_that_tee_writes() {
    for append in [true, false] {
        let dir = Dir::new();
        let running = follow(&dir);
        for round in 1..=5 {
            let mut command = Command::new("tee");
            command.args(append.then_some("-a")).arg(dir.path("logs/x.log"));
            let mut tee = Own::start(command.stdin(Stdio::piped()).stdout(Stdio::null()));
            if round > 1 && !append {
                // It has cut the file, of which the same lines come next.
                let cuts = || running.stderr().matches("truncated, read from its start").count();
                wait_until("the cut is seen", || cuts() == round - 1);
            }
            let mut input = tee.0.stdin.take().unwrap();
            (0..100).for_each(|number| input.write_all(line("s", number).as_bytes()).unwrap());
            drop(input);
            tee.finish();
            wait_until("all is merged", || dir.text("all").lines().count() >= 100 * round);
        }
        running.stop().expect(0);
        assert_eq!(numbers(&dir, "s"), (0..5).flat_map(|_| 0..100).collect::<Vec<_>>(), "append: {append}");
        assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
    }
}

/// Maps its log, and writes lines there when it is told to. In the end it cuts the log to what it has written, or not.
const MAPPED: &str = r#"
import mmap, sys

path, size, cuts = sys.argv[1], int(sys.argv[2]), sys.argv[3] == 'cut'
file = open(path, 'w+b')
file.truncate(size)
log = mmap.mmap(file.fileno(), size)
end = number = 0
for lines in sys.stdin:
    for number in range(number, number + int(lines)):
        line = f"s {number} {'x' * (number * 37 % 101)}.\n".encode()
        log[end:end + len(line)] = line
        end += len(line)
    number += 1
    print(number, flush=True)
log.close()
if cuts:
    file.truncate(end)
"#;

#[test]
#[ignore = "needs python3, and a minute"]
fn a_log_that_a_program_maps() {
    for (size, cuts) in [(1 << 20, true), (1 << 20, false), (8 << 20, true)] {
        let dir = Dir::new();
        let running = follow(&dir);
        let mut command = Command::new(program("python3", "python3"));
        command.args(["-c", MAPPED]).arg(dir.path("logs/x.log")).arg(format!("{size}"));
        command.arg(if cuts { "cut" } else { "no" }).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut producer = Own::start(&mut command);
        let (mut tell, mut said) =
            (producer.0.stdin.take().unwrap(), BufReader::new(producer.0.stdout.take().unwrap()).lines());
        let mut written = 0;
        for _ in 0..3 {
            writeln!(tell, "500").unwrap();
            written = said.next().unwrap().unwrap().parse().unwrap();
            // No time is moved by that, and nobody tells of it.
            wait_until("the lines are merged", || dir.text("all").lines().count() as u64 >= written);
        }
        if !cuts {
            // What is written just before the stop is there at the stop.
            writeln!(tell, "500").unwrap();
            written = said.next().unwrap().unwrap().parse().unwrap();
        }
        drop(tell);
        producer.finish();
        running.stop().expect(0);
        println!("{size} bytes, cut: {cuts}, {written} lines");
        Merged::read(&dir.path("all")).expect_all(&Written::from([("s".to_owned(), written)]));
        assert_eq!(report(&dir, "report")["gaps"], serde_json::json!([]));
    }
}
