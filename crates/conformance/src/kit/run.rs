//! How a case is run: on a thread, which may hang, or in a process of its own, which the case may look at.

use std::env;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A case that lasts longer waits for something without a deadline. The longest takes a few seconds.
const CASE_MAX: Duration = Duration::from_secs(180);

/// Says in the environment which case a process is for.
const ALONE: &str = "TAILMERGE_CONFORMANCE_ALONE";

/// Runs a case on a thread of the test's name, and fails if the case fails or does not end.
///
/// `test` is the path of the test, beginning with the crate.
pub fn run(test: &str, case: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel::<()>();
    let started = thread::Builder::new().name(name(test).to_owned()).spawn(move || {
        // Dropped when the case ends, however it does.
        let _done = done;
        case();
    });
    let case = started.expect("the system has room for one thread more");
    if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(CASE_MAX) {
        panic!("not done after {} s", CASE_MAX.as_secs());
    }
    if let Err(panic) = case.join() {
        resume_unwind(panic);
    }
}

/// Runs a case in a process of its own, which is this test program again with this one test.
pub fn run_alone(test: &str, case: impl FnOnce() + Send + 'static) {
    let name = name(test);
    if env::var_os(ALONE).is_some_and(|alone| alone == name) {
        return run(test, case);
    }
    let program = env::current_exe().expect("a process has a program");
    let args = ["--exact", name, "--nocapture", "--include-ignored", "--test-threads=1"];
    let output = Command::new(program).args(args).env(ALONE, name).output().expect("the tests can be started again");
    let told = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    // The name must be right, too.
    let passed = output.status.success() && told.contains("1 passed");
    assert!(passed, "{name} alone: {}\n{told}\n{complained}", output.status);
}

/// Returns the name by which the test program knows a test.
fn name(test: &str) -> &str {
    test.split_once("::").map_or(test, |(_crate, name)| name)
}

/// The threads of this process whose name begins with `prefix`: their numbers and names. None where the system does
/// not tell.
///
/// Of a name the system keeps 15 bytes. A new thread has the name of the one that started it for a moment.
pub fn threads(prefix: &str) -> Vec<(u32, String)> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let threads = tasks.filter_map(|task| {
        // A thread may end meanwhile.
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, name.trim_end().to_owned()))
    });
    threads.filter(|(_, name)| name.starts_with(prefix)).collect()
}

/// The files in `dir` that this process has open, by descriptor. None where the system does not tell.
pub fn open_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    // One may be closed meanwhile.
    let files = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    files.filter(|file| file.starts_with(dir)).collect()
}
