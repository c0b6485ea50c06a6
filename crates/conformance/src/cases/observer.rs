//! Observers of the host's, however odd: what they do changes nothing else.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tailmerge_core::{Backend, Event};

use crate::kit::{Feed, Scene, Step, failed, numbered, start, stop};

/// An observer that panics, at every event or at one, is told of all the others, and nothing is lost.
pub fn an_observer_that_panics_changes_nothing<B: Backend>(backend: B) {
    for first_only in [false, true] {
        let scene = Scene::new();
        scene.write("logs/a.log", numbered("a", 0..1000));
        let told = Arc::new(AtomicUsize::new(0));
        let observer = {
            let told = told.clone();
            move |_: &Event<'_>| {
                if told.fetch_add(1, Ordering::Relaxed) == 0 || !first_only {
                    // Without the message of a panic hook, which would look as if the case had failed.
                    resume_unwind(Box::new("the case wants it so"));
                }
            }
        };
        let builder = scene.builder().input(scene.pattern("logs/*.log")).path(scene.path("b.log"));
        let merge = start(builder.observer(observer), backend.clone());
        scene.expect_lines(1000);
        scene.write("b.log", "b\n");
        scene.expect_lines(1001);
        scene.rename("logs/a.log", "logs/a.log.1");
        scene.write("logs/a.log", "new\n");
        scene.expect_lines(1002);
        let report = stop(&merge);
        assert!(report.is_complete(), "{report:?}");
        scene.assert_output(numbered("a", 0..1000) + "b\nnew\n");
        assert!(told.load(Ordering::Relaxed) > 3, "it is told all the same");
    }
}

/// What fails is recorded before it is told.
pub fn what_fails_is_an_error_whatever_the_observer_does<B: Backend>(backend: B) {
    let scene = Scene::new();
    let feed = Feed::new([Step::FailAfter("the last".into())]);
    let builder = scene.builder().tailer("feed", feed).observer(|_: &Event<'_>| resume_unwind(Box::new("no")));
    let merge = start(builder, backend.clone());
    let error = failed(&merge);
    assert!(error.to_string().contains("feed") && !error.is_panic(), "{error}");
    scene.assert_output("the last\n");

    let builder = scene.builder().once(true).path(scene.path("missing")).tailer("empty", Feed::new([Step::End]));
    let merge = start(builder.observer(|_: &Event<'_>| resume_unwind(Box::new("no"))), backend);
    let report = stop(&merge);
    assert_eq!(report.failed_inputs.len(), 1);
    assert!(!report.is_complete());
}
