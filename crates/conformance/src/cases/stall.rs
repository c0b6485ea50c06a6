//! Telling that a step took too long.

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tailmerge_core::{Backend, stall};

use crate::kit::{Act, DEADLINE, Feed, Inline, Scene, Sink, Step, start, stop};

cases! { stall:
    a_slow_poll_is_told
    a_slow_write_is_told
    a_slow_task_of_the_merge_is_told
}

/// What is too long for these cases.
const LIMIT: Duration = Duration::from_millis(20);
/// Longer than that.
const LONG: Duration = Duration::from_millis(60);

/// A task of the host's own that blocks is told, by its name, and for how long it did; one that only waits is not.
fn a_slow_poll_is_told<B: Backend>(backend: B) {
    let (tell, told) = channel();
    let waits = backend.sleep(LONG);
    let task = async move {
        waits.await;
        thread::sleep(LONG);
        futures_lite::future::yield_now().await;
        7
    };
    let (done, result) = channel();
    backend.spawn(async move {
        let guarded = stall::guard_with("the host's task", LIMIT, task, move |name, took| {
            tell.send((name.to_owned(), took)).expect("the case waits");
        });
        done.send(guarded.await).expect("the case waits");
    });
    assert_eq!(result.recv_timeout(DEADLINE), Ok(7), "it comes to its end all the same");
    let stalls: Vec<_> = told.iter().filter(|(_, took)| *took >= LONG).collect();
    assert_eq!(stalls.len(), 1, "{stalls:?}");
    assert_eq!(stalls[0].0, "the host's task");
}

/// A write that blocks is told.
fn a_slow_write_is_told<B: Backend>(backend: B) {
    let scene = Scene::new();
    let sink = Sink::new().acts([Act::Block(LONG)]);
    let merge = start(scene.builder().stall_limit(Some(LIMIT)).writer(sink.make()), backend.clone());
    merge.sender("host").send_blocking("line").expect("the merge runs");
    stop(&merge);
    let stalls = scene.events.stalls("tailmerge-writer: write");
    assert!(stalls.iter().any(|took| *took >= LONG), "{stalls:?}");

    let unguarded = Scene::new();
    let sink = Sink::new().acts([Act::Block(LONG)]);
    let merge = start(unguarded.builder().stall_limit(None).writer(sink.make()), backend);
    merge.sender("host").send_blocking("line").expect("the merge runs");
    stop(&merge);
    assert!(unguarded.events.stalls("").is_empty());
}

/// A step of the merge's own tasks that blocks is told.
fn a_slow_task_of_the_merge_is_told<B: Backend>(backend: B) {
    let scene = Scene::new();
    let feed = Feed::new([Step::Block(LONG), Step::Line("line".into())]);
    let builder = scene.builder().stall_limit(Some(LIMIT)).tailer("feed", feed);
    // On a host that reads files within its tasks.
    let merge = start(builder, Inline(backend));
    scene.expect("line\n");
    stop(&merge);
    let stalls = scene.events.stalls("tailmerge: tailers");
    assert!(stalls.iter().any(|took| *took >= LONG), "{stalls:?}");
}
