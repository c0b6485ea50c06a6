//! The four methods themselves.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::or;
use tailmerge_core::Backend;

use crate::kit::Scene;
use crate::kit::{DEADLINE, block_on, start, stop};

cases! { backend:
    block_on_runs_on_this_thread
    tasks_run_side_by_side
    what_blocks_holds_up_no_task
    a_sleep_lasts_long_enough
    the_handle_tells_the_backend
}

/// A future need not be `Send`, and is run on the thread that asks.
fn block_on_runs_on_this_thread<B: Backend>(backend: B) {
    let here = thread::current().id();
    let not_send = std::rc::Rc::new(1);
    let there = backend.block_on(async {
        futures_lite::future::yield_now().await;
        (thread::current().id(), *not_send)
    });
    assert_eq!(there, (here, 1));
}

/// Tasks run in the background, and none needs another one's end.
fn tasks_run_side_by_side<B: Backend>(backend: B) {
    let (ping, pinged) = async_channel::bounded(1);
    let (pong, ponged) = async_channel::bounded(1);
    backend.spawn(async move {
        while let Ok(number) = pinged.recv().await {
            pong.send(number + 1).await.expect("the other task is there");
        }
    });
    let (done, result) = channel();
    backend.spawn(async move {
        let mut number = 0;
        while number < 100 {
            ping.send(number).await.expect("the other task is there");
            number = ponged.recv().await.expect("the other task is there");
        }
        done.send(number).expect("the case waits");
    });
    assert_eq!(result.recv_timeout(DEADLINE), Ok(100));
}

/// A job that blocks gives its result, and no task has to wait for it.
fn what_blocks_holds_up_no_task<B: Backend>(backend: B) {
    let (go, gone) = channel();
    let (done, result) = channel();
    let waits = backend.unblock(move || gone.recv_timeout(DEADLINE));
    backend.spawn(async move {
        let got = waits.await;
        done.send(got).expect("the case waits");
    });
    backend.spawn(async move { go.send(7).expect("the job waits") });
    assert_eq!(result.recv_timeout(DEADLINE), Ok(Ok(7)));
}

/// A sleep lasts as long as it was asked to at least, and one without end can be given up.
fn a_sleep_lasts_long_enough<B: Backend>(backend: B) {
    let start = Instant::now();
    block_on("sleep", backend.sleep(Duration::from_millis(30)));
    assert!(start.elapsed() >= Duration::from_millis(30), "woken after {:?}", start.elapsed());
    block_on("sleep", backend.sleep(Duration::ZERO));
    let first = or(
        async {
            backend.sleep(Duration::MAX).await;
            "the long one"
        },
        async {
            backend.sleep(Duration::from_millis(1)).await;
            "the short one"
        },
    );
    assert_eq!(block_on("the shorter of two sleeps", first), "the short one");
}

/// The handle tells the backend's name, which is its `Debug` form.
fn the_handle_tells_the_backend<B: Backend>(backend: B) {
    let scene = Scene::new();
    let name = format!("{backend:?}");
    let merge = start(scene.builder(), backend);
    assert_eq!(merge.backend(), name);
    stop(&merge);
}
