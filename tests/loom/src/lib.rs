//! Tries all interleavings of the wait primitives: `RUSTFLAGS="--cfg loom" cargo test --release` in this directory.
//!
//! In each model the property is that nothing waits for ever (loom reports a deadlock) and that nothing is lost.

#![cfg(loom)]
#![allow(dead_code, reason = "the models do not call all of it")]

#[path = "../../../crates/core/src/clock.rs"]
mod clock;
#[path = "../../../crates/core/src/sync/mod.rs"]
mod sync;

#[cfg(test)]
mod models {
    use std::time::{Duration, Instant};

    use loom::future::block_on;
    use loom::sync::Arc;
    use loom::thread;

    use crate::sync::inbox::{Inbox, Nothing};
    use crate::sync::set_once::SetOnce;
    use crate::sync::stop::{Stage, Stop};
    use crate::sync::wake::Wake;

    /// Where the crate `event-listener` takes part, whose own steps are many: interleavings with up to three preemptions.
    fn bounded(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    #[test]
    fn a_wake_up_reaches_a_task() {
        loom::model(|| {
            let wake = Arc::new(Wake::default());
            let other = wake.clone();
            let waker = thread::spawn(move || other.wake());
            block_on(wake.woken());
            waker.join().unwrap();
        });
    }

    #[test]
    fn a_wake_up_reaches_a_thread() {
        loom::model(|| {
            let wake = Arc::new(Wake::default());
            let other = wake.clone();
            let waker = thread::spawn(move || other.wake());
            assert!(wake.woken_by(Instant::now() + Duration::from_secs(3600)));
            waker.join().unwrap();
        });
    }

    /// A job on the blocking pool takes over from a task, as a shard does.
    #[test]
    fn a_thread_takes_over_from_a_task() {
        loom::model(|| {
            let wake = Arc::new(Wake::default());
            let other = wake.clone();
            let waker = thread::spawn(move || {
                other.wake();
                other.wake();
            });
            block_on(wake.woken());
            // What was said since is there, or comes.
            waker.join().unwrap();
            let again = wake.is_woken();
            wake.wake();
            assert!(wake.woken_by(Instant::now() + Duration::from_secs(3600)), "{again}");
        });
    }

    #[test]
    fn messages_come_in_order_and_none_is_lost() {
        loom::model(|| {
            let inbox = Inbox::new();
            let other = inbox.clone();
            let sender = thread::spawn(move || {
                other.put(1).unwrap();
                other.put(2).unwrap();
                other.close();
                assert_eq!(other.put(3), Err(3));
            });
            assert_eq!(block_on(inbox.wait()), Some(1));
            assert_eq!(block_on(inbox.wait()), Some(2));
            assert_eq!(block_on(inbox.wait()), None);
            sender.join().unwrap();
            assert_eq!(inbox.next(), Err(Nothing::More));
        });
    }

    #[test]
    fn two_senders_lose_nothing() {
        loom::model(|| {
            let inbox = Inbox::new();
            let send = |message| {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.put(message).unwrap())
            };
            let senders = [send(1), send(2)];
            let sum = block_on(inbox.wait()).unwrap() + block_on(inbox.wait()).unwrap();
            assert_eq!(sum, 3);
            senders.into_iter().for_each(|sender| sender.join().unwrap());
        });
    }

    #[test]
    fn a_task_that_waits_gets_the_value() {
        bounded(|| {
            let value = Arc::new(SetOnce::default());
            let setter = value.clone();
            let setter = thread::spawn(move || {
                setter.set(1);
                setter.set(2);
            });
            assert_eq!(block_on(value.wait()), 1);
            setter.join().unwrap();
        });
    }

    #[test]
    fn a_thread_that_waits_gets_the_value() {
        bounded(|| {
            let value = Arc::new(SetOnce::default());
            let setter = value.clone();
            let setter = thread::spawn(move || setter.set(1));
            assert_eq!(value.wait_blocking(None), Some(1));
            setter.join().unwrap();
        });
    }

    #[test]
    fn a_stage_reaches_all_who_wait_for_it() {
        bounded(|| {
            let stop = Arc::new(Stop::new());
            let other = stop.clone();
            let advancing = thread::spawn(move || {
                other.advance(Stage::Draining);
                other.advance(Stage::Stopping);
            });
            block_on(stop.reached(Stage::Draining));
            advancing.join().unwrap();
            assert_eq!(stop.stage(), Stage::Draining);
        });
    }

    #[test]
    fn a_hook_is_called_however_late_it_comes() {
        loom::model(|| {
            let stop = Arc::new(Stop::new());
            let called = Arc::new(Wake::default());
            let (other, calls) = (stop.clone(), called.clone());
            let advancing = thread::spawn(move || other.advance(Stage::Aborted));
            stop.on_abort(move || calls.wake());
            advancing.join().unwrap();
            assert!(called.is_woken());
        });
    }
}
