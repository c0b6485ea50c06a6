//! Which symbolic links lead to inputs.
//!
//! Here all links are one user's. Those of several are a matter for tests that are run as root.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tailmerge_core::fs::OsFs;
use tailmerge_core::{Builder, Links};

use crate::kit::{Scene, Threads, start, stop};

/// A merge of the machine's own file system that follows no link but those that are named.
fn skipping(scene: &Scene) -> Builder {
    scene.builder().fs(Arc::new(OsFs)).links(Links::Skip)
}

/// A link that a pattern finds is not read, nor a directory that one leads to; one that is named is. Once a file is in
/// a link's place, that is followed.
#[test]
fn links_that_a_pattern_finds_can_be_skipped() {
    let scene = Scene::of_machine();
    scene.write("logs/a.log", "a\n");
    scene.write("there/x.log", "refused\n");
    scene.write("named.log", "named\n");
    scene.symlink("there/x.log", "logs/link.log");
    scene.symlink("there", "logs/dir");
    scene.symlink("named.log", "named");
    let builder = skipping(&scene).input(scene.pattern("logs/*.log")).input(scene.pattern("logs/*/x.log"));
    let merge = start(builder.path(scene.path("named")));
    scene.expect_lines(2);
    scene.append("there/x.log", "refused, too\n");
    scene.write("new", "new\n");
    scene.rename("new", "logs/link.log");
    scene.expect_lines(3);
    let report = stop(&merge);
    assert!(report.is_complete() && report.possible_losses == 0, "{report:?}");
    let output = String::from_utf8(scene.output()).expect("lines of the case");
    let mut lines: Vec<_> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a", "named", "new"]);
}

/// A followed file whose place a link takes is read to its end, and not a second time through the link.
#[test]
fn a_link_that_is_skipped_takes_no_file_over() {
    let scene = Scene::of_machine();
    scene.write("logs/a.log", "1\n");
    let grace = Duration::from_millis(100);
    let merge = start(skipping(&scene).input(scene.pattern("logs/*.log")).rotated_grace(grace));
    scene.expect("1\n");
    let mut producer = scene.producer("logs/a.log");
    scene.rename("logs/a.log", "logs/a.log.1");
    scene.symlink("logs/a.log.1", "logs/a.log");
    scene.write("logs/b.log", "2\n");
    scene.expect("1\n2\n");
    producer.write_all(b"3\n").expect("a file of the case");
    scene.expect("1\n2\n3\n");
    scene.write("new", "4\n");
    scene.rename("new", "logs/a.log");
    scene.expect("1\n2\n3\n4\n");
    assert!(stop(&merge).is_complete());
}

/// Links of the user's own are followed, switches included, where only those of owners are.
#[test]
fn links_of_ones_own_are_followed() {
    let scene = Scene::of_machine();
    scene.write("1/x.log", "1\n");
    scene.write("2/x.log", "2\n");
    scene.symlink("1/x.log", "latest");
    let builder = scene.builder().fs(Arc::new(OsFs)).links(Links::Owned);
    let merge = start(builder.path(scene.path("latest")));
    scene.expect("1\n");
    scene.symlink("2/x.log", "latest");
    scene.expect("1\n2\n");
    scene.append("2/x.log", "3\n");
    scene.expect("1\n2\n3\n");
    assert!(stop(&merge).is_complete());
}

/// A file system without policies for links starts no merge that wants one.
#[test]
fn links_are_not_followed_against_the_setting() {
    let scene = Scene::of_machine();
    scene.write("a.log", "a\n");
    let builder = || scene.builder().path(scene.path("a.log"));
    let refused = builder().links(Links::Owned).start_on_blocking(Threads::new());
    let error = refused.expect_err("the case's file system follows every link");
    assert!(error.is_usage() && error.to_string().contains("links"), "{error}");
    let merge = start(builder().links(Links::Follow));
    scene.expect("a\n");
    assert!(stop(&merge).is_complete());
}
