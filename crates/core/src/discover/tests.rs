use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;

use super::*;
use crate::follow::context::Settings;
use crate::follow::descriptors::{Descriptors, OpenLimits};
use crate::fs::{FileId, OsFs};
use crate::record::format::{Format, LineFormat, Prefix};
use crate::record::limit::{LineLimit, LongLines};
use crate::report::ledger::Ledger;
use crate::sync::lock::lock;
use crate::sync::stop::Stop;
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

fn context(watch: Arc<Paths>) -> ReadContext {
    let most = usize::MAX;
    ReadContext {
        settings: Settings {
            limit: LineLimit { max: 1024, policy: LongLines::Split },
            format: LineFormat { prefix: Prefix::None, format: Format::Raw },
            once: false,
            grace: Duration::ZERO,
            copy_grace: Duration::ZERO,
            chunk: 1024,
            poll_interval: Duration::ZERO,
            ignore_older: None,
            deleted_max_age: None,
            deleted_max_bytes: None,
            capacity: 1024,
            stall_limit: None,
        },
        stop: Arc::new(Stop::new()),
        streams: None,
        fs: Arc::new(OsFs),
        ledger: Ledger::new(Box::new(|_: &Event| ())),
        registry: Arc::default(),
        excludes: Arc::default(),
        descriptors: Descriptors::new(OpenLimits { ordinary: most, nameless: most, process: u64::MAX }),
        watch: Some(watch),
    }
}

#[test]
fn a_tree_is_not_watched_any_more_under_the_names_that_it_had() {
    let root = tempfile::tempdir().unwrap();
    let place = |number: u32| root.path().join(number.to_string());
    fs::create_dir_all(place(0).join("below")).unwrap();
    let watch = Arc::<Paths>::default();
    let (cx, (shard, _inbox)) = (context(watch.clone()), async_channel::unbounded());
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
