//! A crate outside the workspace, without any backend of ours: it compiles, merges, and has no executor in its tree.
//!
//! It has a lock file of its own. If that is out of date, `cargo update --workspace --manifest-path
//! tests/outside/Cargo.toml` renews it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use tailmerge_verify::Check;
use tempfile::TempDir;

/// Runs cargo on the crate outside, with what is on this machine, and gives what it said.
#[track_caller]
fn cargo(args: &[&OsStr]) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/Cargo.toml");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    let (command, rest) = args.split_first().expect("a command of cargo");
    cargo.arg(command).arg("--manifest-path").arg(manifest).args(["--offline", "--locked"]).args(rest);
    // Its own, so that neither waits for the other.
    cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside"));
    let output = cargo.output().expect("cargo can be started");
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{cargo:?}: {}\n{told}\n{complained}", output.status);
    told.into_owned()
}

#[test]
fn a_crate_with_its_own_backend_merges() {
    let dir = TempDir::new().expect("a directory for the test");
    let path = |name: &str| dir.path().join(name);
    let text = |name: &str| (0..10_000).map(|number| format!("{name} {number}\n")).collect::<String>();
    for name in ["a.log", "b.log"] {
        fs::write(path(name), text(name)).expect("a file of the test");
    }
    let args = ["run", "--quiet", "--"].map(OsStr::new);
    let told = cargo(&[&args[..], &[dir.path().as_os_str()]].concat());
    assert_eq!(told, "20001 lines on Threads\n");
    fs::write(path("sent"), "from outside\n").expect("a file of the test");
    let check = Check::new(path("all")).inputs(["a.log", "b.log", "sent"].map(path)).run();
    check.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_crate_with_its_own_backend_has_no_other() {
    let args = ["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"].map(OsStr::new);
    let tree = cargo(&args);
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"tailmerge-core"), "{tree}");
    for name in names {
        let of_a_backend = ["smol", "async-std", "async-global-executor", "async-io", "tokio"].contains(&name);
        assert!(!of_a_backend && !["tailmerge-smol", "tailmerge-async-std"].contains(&name), "{name} in\n{tree}");
    }
}
