//! A logger of the host's, which is one for the whole process.

use std::io::{ErrorKind, Write};
use std::panic::resume_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use tailmerge_core::{Backend, LineSender};

use crate::kit::{Act, Scene, Sink, assert_same, lines, numbered, on_thread, start, stop, text};

cases! { logger, each in its own process:
    a_logger_may_write_into_the_merge
    a_lossy_logger_holds_up_nobody
    a_logger_that_panics_changes_nothing
}

/// Writes to a sender under a lock, as loggers do, and then flushes.
struct ToSender {
    sender: OnceLock<Mutex<LineSender>>,
    panics: bool,
}

impl Log for ToSender {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let ours = record.target() == "tailmerge";
        if ours && self.panics {
            // Without the message of a panic hook, which would look as if the case had failed.
            resume_unwind(Box::new("the case wants it so"));
        }
        let Some(sender) = self.sender.get() else { return };
        let mut sender = sender.lock().unwrap_or_else(PoisonError::into_inner);
        let from = if ours { "library: " } else { "" };
        // As most loggers do, it says nothing of what it cannot write.
        drop(writeln!(sender, "{from}{}", record.args()));
        if ours {
            drop(sender.flush());
        }
    }

    fn flush(&self) {}
}

/// A process has one logger.
fn log_to(panics: bool) -> &'static ToSender {
    let logger = Box::leak(Box::new(ToSender { sender: OnceLock::new(), panics }));
    log::set_logger(logger).expect("the case is alone in its process");
    // Below that, executors tell what they do themselves, on the writer's thread, too.
    log::set_max_level(LevelFilter::Info);
    logger
}

/// A logger that writes into the merge, under a lock that threads of the host's hold while they wait for room, does not
/// stop the library, which logs there, too.
fn a_logger_may_write_into_the_merge<B: Backend>(backend: B) {
    let logger = log_to(false);
    let scene = Scene::new();
    scene.write("a.log", numbered("a", 0..10_000));
    let fail = Act::Fail { after: 0, kind: ErrorKind::StorageFull };
    let sink = Sink::new().acts([fail; 4].into_iter().chain([Act::Block(Duration::from_millis(5)), fail, fail]));
    let builder = scene.builder().input(scene.pattern("*.log")).stall_limit(Some(Duration::from_millis(1)));
    let merge = start(builder.max_line_bytes(1024).memory(64 * 1024).writer(sink.make()), backend);
    logger.sender.set(Mutex::new(merge.sender("log"))).expect("it is set once");
    // Far more than there is room for while the output cannot be written.
    let threads = ["x", "y"].map(|name| {
        on_thread("a thread that logs", move || {
            (0..5000).for_each(|number| log::info!(target: "app", "{name} {number}"))
        })
    });
    threads.into_iter().for_each(|thread| thread.wait());
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
    let output = text(&sink.bytes());
    for (name, count) in [("a", 10_000), ("x", 5000), ("y", 5000)] {
        let own: String = output.split_inclusive('\n').filter(|line| line.starts_with(name)).collect();
        assert_same(name, own.as_bytes(), numbered(name, 0..count).as_bytes());
    }
    assert!(output.contains("library: the output cannot be written"), "it is logged");
    assert_eq!(scene.events.count("cannot be written"), scene.events.count("can be written again"));
}

/// A logger that writes to a lossy sender holds up nobody while the output stands still, nor does the library, which logs
/// there, too, while it drops lines.
fn a_lossy_logger_holds_up_nobody<B: Backend>(backend: B) {
    let logger = log_to(false);
    let scene = Scene::new();
    let sink = Sink::held();
    let merge = start(scene.builder().max_line_bytes(1024).memory(64 * 1024).writer(sink.make()), backend);
    logger.sender.set(Mutex::new(merge.sender("log").lossy())).expect("it is set once");
    let threads = ["x", "y"].map(|name| {
        on_thread("a thread that logs", move || {
            (0..5000).for_each(|number| log::info!(target: "app", "{name} {number}"))
        })
    });
    threads.into_iter().for_each(|thread| thread.wait());
    assert!(merge.snapshot().dropped_lines > 0);
    sink.release();
    let report = stop(&merge);
    assert!(report.dropped_lines > 0 && !report.is_complete(), "{report:?}");
    let output = text(&sink.bytes());
    let told = output.lines().filter(|line| line.starts_with("library: ")).count() as u64;
    assert!(report.lines + report.dropped_lines >= 10_000 + told, "{report:?}");
    scene.events.until("their sender does not wait");
}

/// A logger that panics changes nothing, and is told to the observer once.
fn a_logger_that_panics_changes_nothing<B: Backend>(backend: B) {
    log_to(true);
    let scene = Scene::new();
    scene.write("a.log", "a\n");
    let sink = Sink::new().acts([Act::Fail { after: 0, kind: ErrorKind::StorageFull }]);
    let merge = start(scene.builder().input(scene.pattern("*.log")).writer(sink.make()), backend);
    sink.expect("a\n");
    scene.write("b.log", "b\n");
    sink.expect("a\nb\n");
    let report = stop(&merge);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(lines(&sink.bytes()).len(), 2);
    scene.events.until("logger: panicked");
    assert_eq!(scene.events.count("logger: panicked"), 1);
}
