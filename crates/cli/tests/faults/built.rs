//! The two things that faults need built: the library that makes them, and a program that meets it.
//!
//! The program asks the kernel directly for much of what it wants, past any library. Built with `--cfg rustix_use_libc`
//! it asks by way of the C library, where its calls can be taken over.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) tool: PathBuf,
    pub(crate) library: PathBuf,
}

/// Builds both, once. None, which is told, where there is no C compiler.
pub(crate) fn built() -> Option<&'static Built> {
    static BUILT: OnceLock<Option<Built>> = OnceLock::new();
    BUILT.get_or_init(build).as_ref()
}

fn build() -> Option<Built> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside what this test itself was built into, and apart from it, since all is built anew with other flags.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults");
    std::fs::create_dir_all(&target).unwrap();
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("SKIPPED: faults at system calls need a C compiler: install gcc");
        return None;
    }
    let library = target.join("faults.so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library);
    assert!(cc.arg(here.join("tests/faults/faults.c")).arg("-ldl").status().unwrap().success(), "faults.c");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(here).args(["build", "--quiet", "--locked", "--bin", "tailmerge", "--target-dir"]).arg(&target);
    cargo.env("RUSTFLAGS", "--cfg rustix_use_libc").env_remove("CARGO_ENCODED_RUSTFLAGS");
    assert!(cargo.status().unwrap().success(), "the program");
    Some(Built { tool: target.join("debug/tailmerge"), library })
}
