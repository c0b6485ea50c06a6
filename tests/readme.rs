//! What README shows is what runs here, word for word.
#![cfg(feature = "smol")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const README: &str = include_str!("../README.md");

/// The snippets name their files as a user would, so they run in a directory of their own, one at a time.
fn in_directory_with_logs() -> (tempfile::TempDir, MutexGuard<'static, ()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("logs")).unwrap();
    std::fs::write(dir.path().join("logs/a.log"), "one\ntwo\n\n").unwrap();
    std::env::set_current_dir(dir.path()).unwrap();
    (dir, guard)
}

fn merged_lines(dir: &tempfile::TempDir) -> Vec<String> {
    let merged = std::fs::read_to_string(dir.path().join("all.log")).unwrap();
    let mut lines: Vec<_> = merged.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

mod async_use {
    include!("readme/async_use.rs");

    #[test]
    fn runs() {
        assert!(super::README.contains(include_str!("readme/async_use.rs")));
        let (dir, _guard) = super::in_directory_with_logs();
        let report = smol::block_on(merge_logs()).unwrap();
        assert_eq!((report.lines, report.is_complete()), (4, true));
        assert_eq!(super::merged_lines(&dir), ["", "one", "started", "two"]);
    }
}

mod sync_use {
    include!("readme/sync_use.rs");

    #[test]
    fn runs() {
        assert!(super::README.contains(include_str!("readme/sync_use.rs")));
        let (dir, _guard) = super::in_directory_with_logs();
        assert_eq!(merge_logs().unwrap().lines, 4);
        assert_eq!(super::merged_lines(&dir), ["", "one", "started", "two"]);
    }
}

mod tail_alone {
    include!("readme/tail_alone.rs");

    #[test]
    fn runs() {
        assert!(super::README.contains(include_str!("readme/tail_alone.rs")));
        let (_dir, _guard) = super::in_directory_with_logs();
        assert_eq!(smol::block_on(lines_until_empty()).unwrap(), [b"one", b"two"]);
    }
}

mod own_backend {
    include!("readme/own_backend.rs");

    #[test]
    fn runs() {
        assert!(super::README.contains(include_str!("readme/own_backend.rs")));
        let (dir, _guard) = super::in_directory_with_logs();
        let builder = tailmerge::Builder::new().input("logs/*.log").output("all.log");
        let merge = builder.start_on_blocking(Threads).unwrap();
        assert_eq!(merge.stop_blocking(super::Duration::from_secs(30)).unwrap().lines, 3);
        assert_eq!(super::merged_lines(&dir), ["", "one", "two"]);
    }
}
