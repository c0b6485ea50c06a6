use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;

use super::*;
use crate::follow::context::tests::context;
use crate::fs::{FileId, OsFs};
use crate::sync::lock::lock;
use crate::watch::ChangeWatch;

/// Watches each path that it is given.
#[derive(Debug, Default)]
struct Paths(Mutex<HashSet<PathBuf>>);

impl ChangeWatch for Paths {
    fn watch_dir(&self, path: &Path, _: FileId) -> bool {
        lock(&self.0).insert(path.to_owned());
        true
    }

    fn is_watched(&self, _: &Path) -> bool {
        true
    }

    fn retain(&self, keep: &dyn Fn(&Path) -> bool) {
        lock(&self.0).retain(|path| keep(path));
    }
}

#[test]
fn a_tree_is_not_watched_any_more_under_the_names_that_it_had() {
    let root = tempfile::tempdir().unwrap();
    let place = |number: u32| root.path().join(number.to_string());
    fs::create_dir_all(place(0).join("below")).unwrap();
    let watch = Arc::<Paths>::default();
    let cx = ReadContext { watch: Some(watch.clone()), ..context(OsFs, |_: &Event| ()) };
    let (shard, _inbox) = async_channel::unbounded();
    let spec = Spec::new(root.path().join("**/*.log").as_os_str(), &OsFs).unwrap();
    let names = Arc::default();
    let mut discovery = Discovery::new(cx, vec![spec], StartAt::Start, vec![shard], names);
    for number in 1..10 {
        discovery.scan(true);
        fs::rename(place(number - 1), place(number)).unwrap();
    }
    discovery.scan(true);
    let left = HashSet::from([root.path().to_owned(), place(9), place(9).join("below")]);
    assert_eq!(*lock(&watch.0), left);
}
