//! Noticing changes: what is hinted at is not waited for, and what is polled costs little.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::tool::{Dir, Running, Tool, wait_until};

/// What nobody hints at is seen 5 s after the start.
const HINTED: Duration = Duration::from_secs(4);

#[test]
fn changes_are_hinted_at_however_a_path_is_spelled_and_wherever_it_leads() {
    let dir = Dir::new();
    let inputs = ["./a.log", "b.log", "./*.txt", "d/./c.log", "e/../e/*.log", "late.log", "moved/m.log"];
    let names = ["a.log", "b.log", "c.txt", "d/c.log", "e/e.log", "moved/m.log"];
    for name in names {
        dir.write(name, format!("{name} first\n"));
    }
    fs::create_dir(dir.path("there")).unwrap();
    let running = dir.tailmerge(["-o", "all"].iter().chain(&inputs)).start();
    wait_until("the first lines are merged", || dir.text("all").lines().count() == names.len());
    let began = Instant::now();
    let comes = |line: &str| wait_until(line, || dir.text("all").lines().last() == Some(line));
    for name in names {
        dir.append(name, format!("{name} second\n"));
        comes(&format!("{name} second"));
    }
    for target in ["there/1", "there/2", "there/1"] {
        dir.append(target, format!("{target}\n"));
        fs::remove_file(dir.path("late.log")).ok();
        symlink(target, dir.path("late.log")).unwrap();
        comes(target);
        dir.append(target, format!("{target} more\n"));
        comes(&format!("{target} more"));
    }
    // The same file, by way of a link now.
    fs::rename(dir.path("b.log"), dir.path("there/b")).unwrap();
    symlink("there/b", dir.path("b.log")).unwrap();
    dir.append("there/b", "by a link\n");
    comes("by a link");
    dir.append("there/b", "more by a link\n");
    comes("more by a link");
    fs::rename(dir.path("moved"), dir.path("old")).unwrap();
    dir.write("moved/m.log", "new directory\n");
    comes("new directory");
    dir.append("moved/m.log", "more of it\n");
    comes("more of it");
    assert!(began.elapsed() < HINTED, "seen after {:?} only", began.elapsed());
    running.stop().expect(0);
}

/// Makes files that have another name elsewhere each, `other0` and so on.
fn write_linked(dir: &Dir, files: usize) {
    for file in 0..files {
        dir.write(format!("logs/{file}.log"), "a line\n");
        fs::hard_link(dir.path(format!("logs/{file}.log")), dir.path(format!("other{file}"))).unwrap();
    }
}

/// Returns the time of a processor that a program has taken in user mode and in the kernel's, in hundredths of a second.
fn busy(running: &mut Running) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.child().id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn files_of_several_names_are_watched_themselves() {
    const FILES: usize = 1000;
    let dir = Dir::new();
    write_linked(&dir, FILES);
    let mut running = dir.tailmerge(["-o", "all", "--poll-interval", "20ms", "logs/*.log"]).start();
    wait_until("all lines are merged", || dir.text("all").lines().count() == FILES);
    let comes = |running: &mut Running, line: &str| {
        let began = Instant::now();
        wait_until(line, || dir.text("all").lines().last() == Some(line));
        // The slow look at all files comes after five.
        assert!(began.elapsed() < HINTED, "{line:?} was merged after {:?} only", began.elapsed());
        running.is_running();
    };
    // Files are looked at once more after they are watched.
    let settled = Instant::now();
    wait_until("they are watched", || settled.elapsed() > Duration::from_millis(500));
    let (began, before) = (Instant::now(), busy(&mut running));
    wait_until("a second is over", || began.elapsed() > Duration::from_secs(1));
    let used = busy(&mut running) - before;
    assert!(used <= 3, "{used} % of a processor while nothing changes");
    dir.append("other7", "by the other name\n");
    comes(&mut running, "by the other name");
    // It is another file that has two names now.
    fs::rename(dir.path("logs/7.log"), dir.path("gone")).unwrap();
    dir.write("new", "a new file\n");
    fs::hard_link(dir.path("new"), dir.path("logs/7.log")).unwrap();
    comes(&mut running, "a new file");
    dir.append("new", "more of it\n");
    comes(&mut running, "more of it");
    running.stop().expect(0);
}

#[test]
fn many_files_that_have_to_be_polled_are_looked_at_once_an_interval() {
    // Only so many are watched.
    const FILES: usize = 5300;
    let dir = Dir::new();
    write_linked(&dir, FILES);
    let mut running = dir.tailmerge(["-o", "all", "--poll-interval", "200ms", "logs/*.log"]).start();
    wait_until("all lines are merged", || dir.text("all").lines().count() == FILES);
    let (began, before) = (Instant::now(), busy(&mut running));
    dir.append("other5299", "by the other name\n");
    wait_until("the line is merged", || dir.text("all").ends_with("by the other name\n"));
    // The slow look at all files comes after five.
    assert!(began.elapsed() < Duration::from_secs(2), "merged after {:?} only", began.elapsed());
    wait_until("a second is over", || began.elapsed() > Duration::from_secs(1));
    let used = (busy(&mut running) - before) as f64 / began.elapsed().as_secs_f64();
    assert!(used < 50.0, "{used:.0} % of a processor");
    running.stop().expect_quiet();
}

#[test]
fn what_is_written_late_to_many_rotated_files_is_not_waited_for() {
    const FILES: usize = 1500;
    let dir = Dir::new();
    (0..FILES).for_each(|file| dir.write(format!("logs/{file}.log"), "a line\n"));
    let running = dir.tailmerge(["-o", "all", "--rotated-grace", "1m", "logs/*.log"]).start();
    wait_until("all lines are merged", || dir.text("all").lines().count() == FILES);
    for file in 0..FILES {
        let log = dir.path(format!("logs/{file}.log"));
        fs::rename(&log, log.with_extension("old")).unwrap();
    }
    let began = Instant::now();
    (0..FILES).for_each(|file| dir.append(format!("logs/{file}.old"), "a late line\n"));
    wait_until("all late lines are merged", || dir.text("all").lines().count() == 2 * FILES);
    assert!(began.elapsed() < HINTED, "seen after {:?} only", began.elapsed());
    running.stop().expect(0);
}

/// Starts the program where the system gives out so many watches and instances of inotify.
fn limited(dir: &Dir, watches: u32, instances: u32, args: &str) -> Running {
    let limits = format!(
        "echo {watches} >/proc/sys/user/max_inotify_watches; echo {instances} >/proc/sys/user/max_inotify_instances"
    );
    let script = format!("{limits}; exec \"$0\" -o all --poll-interval 5ms {args}");
    let args = ["-Ur", "sh", "-c", &script, env!("CARGO_BIN_EXE_tailmerge")];
    Tool::new("unshare".as_ref(), &dir.path("")).args(args).start()
}

#[test]
fn where_watches_are_used_up_files_are_polled_which_is_told_once() {
    for (watches, instances, why) in
        [(2, 10, "the limit fs.inotify.max_user_watches is reached"), (10, 0, "max_user_instances")]
    {
        let dir = Dir::new();
        (0..5).for_each(|number| dir.write(format!("logs/{number}/a.log"), format!("{number} 0\n")));
        let running = limited(&dir, watches, instances, "'logs/*/*.log'");
        for line in 1..4 {
            wait_until("all lines are merged", || dir.text("all").lines().count() == 5 * line);
            (0..5).for_each(|number| dir.append(format!("logs/{number}/a.log"), format!("{number} {line}\n")));
        }
        wait_until("all lines are merged", || dir.text("all").lines().count() == 20);
        let finished = running.stop().expect(0).says(why);
        assert_eq!(finished.stderr.matches("polled").count(), 1, "{}", finished.stderr);
    }
}

#[test]
fn a_file_that_is_mounted_over_a_name_is_polled_which_is_told() {
    let dir = Dir::new();
    dir.write("logs/a.log", "");
    dir.write("real", "1\n");
    let script = "mount --bind real logs/a.log && exec \"$0\" -o all --poll-interval 5ms logs/a.log";
    let args = ["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_tailmerge")];
    let running = Tool::new("unshare".as_ref(), &dir.path("")).args(args).start();
    let (began, mut all) = (Instant::now(), "1\n".to_owned());
    for line in 2..5 {
        wait_until("the lines are merged", || dir.text("all") == all);
        all += &format!("{line}\n");
        dir.append("real", format!("{line}\n"));
    }
    wait_until("all lines are merged", || dir.text("all") == all);
    assert!(began.elapsed() < HINTED, "seen after {:?} only", began.elapsed());
    running.stop().expect(0).says("logs/a.log: polled, since it is mounted over the name");
}

#[test]
fn where_there_is_no_notification_it_cannot_be_insisted_on() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    limited(&dir, 10, 0, "--watch notify a.log").finish().expect(1).says("there is no notification");
}

#[test]
fn the_working_directory_has_a_name_in_messages() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    let running = limited(&dir, 0, 10, "a.log");
    wait_until("the line is merged", || dir.text("all") == "a\n");
    running.stop().expect(0).says("tailmerge: .: polled");
}

#[test]
fn it_is_explained_how_a_file_is_watched() {
    let dir = Dir::new();
    dir.write("a.log", "a\n");
    dir.write("b.log", "b\n");
    // Watched by itself for what is written by the other name.
    fs::hard_link(dir.path("b.log"), dir.path("other")).unwrap();
    let explained = dir.run(["--explain", "/proc/version", "a.log", "b.log"]).expect(0);
    let explained = String::from_utf8(explained.stdout).unwrap();
    let how = |file: &str| explained.lines().find(|line| line.contains(file)).unwrap();
    assert!(how("/proc/version").contains("by polling"), "{explained}");
    assert!(["a.log", "b.log"].iter().all(|file| how(file).contains("by notification")), "{explained}");
    let explained = dir.run(["--explain", "--watch", "poll", "a.log"]).expect(0);
    assert!(String::from_utf8(explained.stdout).unwrap().contains("by polling"));
}
