//! One round: the program, the victim and the attacker together, then what is left once the attacker has gone, then a
//! stop while he is back.

use std::env;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getuid};
use tempfile::TempDir;

use crate::attacker::{Attacker, Did, World};
use crate::control::Control;
use crate::judge::{Judge, Looks};
use crate::kit::{Rng, setting};
use crate::meter::{Meter, Others};
use crate::output::Output;
use crate::sweep;
use crate::tool::{Dir, Running, Tool};
use crate::victim::Victim;

/// How many descriptors the program may have.
pub(crate) const DESCRIPTORS: u64 = 1024;
/// How long after the attacker has gone nothing may be left to do.
const RECOVERY: Duration = Duration::from_secs(2);
/// Over how long it is measured what is done then.
const CALM: Duration = Duration::from_secs(4);
/// What the program is told a stop may take.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the attacker is back before the stop.
const ENCORE: Duration = Duration::from_millis(1500);

/// How the program is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) backend: String,
    pub(crate) format: String,
    /// What becomes of symbolic links, if not the default.
    pub(crate) links: Option<String>,
}

impl Setup {
    pub(crate) fn new(backend: &str, format: &str, links: Option<&str>) -> Self {
        Self { backend: backend.to_owned(), format: format.to_owned(), links: links.map(str::to_owned) }
    }

    /// What the environment asks for, if it does.
    pub(crate) fn asked() -> Option<Self> {
        let [backend, format, links] =
            ["BACKEND", "FORMAT", "LINKS"].map(|name| env::var(format!("TAILMERGE_HOSTILE_{name}")).ok());
        let asked = backend.is_some() || format.is_some() || links.is_some();
        let (backend, format) = (backend.as_deref().unwrap_or("smol"), format.as_deref().unwrap_or("name"));
        asked.then(|| Self::new(backend, format, links.as_deref()))
    }

    /// Whether each line tells which file it is from.
    pub(crate) fn is_labelled(&self) -> bool {
        self.format != "raw"
    }

    fn args(&self) -> Vec<String> {
        let mut args = vec!["-o", "out/all", "--report", "out/report", "--stop-timeout", "5s"];
        // Shorter than the time after which nothing may be left to do.
        args.extend(["--rotated-grace", "1s"]);
        args.extend(["--backend", &self.backend]);
        match &*self.format {
            "json" => args.extend(["--prefix", "name", "--format", "json"]),
            "raw" => args.extend(["--prefix", "none"]),
            label => args.extend(["--prefix", label]),
        }
        let watch = env::var("TAILMERGE_HOSTILE_WATCH").unwrap_or_else(|_| "auto".to_owned());
        args.extend(["--watch", &watch]);
        if let Some(links) = &self.links {
            args.extend(["--links", links]);
        }
        args.extend(["in/**/*.log", "in/*.log*"]);
        args.into_iter().map(str::to_owned).collect()
    }
}

/// A file system in memory, where there is one.
const MEMORY: &str = "/dev/shm";

/// The directories, gone with all that is in them when the round ends, however it ends.
///
/// The second is the output's, in memory if that can be: the judge gives back what he has read of the output, and on a
/// disk a write waits for that, up to 100 ms on ext4, through no fault of the program.
#[derive(Debug)]
struct Ground(Dir, TempDir);

impl Ground {
    fn new() -> Self {
        let memory = tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir());
        let ground = Self(Dir::new(), memory.expect("a directory for temporary files"));
        let dir = |name: &str, mode| {
            let path = ground.0.path(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        dir("", 0o755);
        dir("in", 0o1777);
        symlink(ground.1.path(), ground.0.path("out")).unwrap();
        dir("secret", 0o700);
        ground.0.write("secret/secret.log", "TOP SECRET\n".repeat(100));
        ground
    }

    fn world(&self, setup: &Setup) -> World {
        World {
            dir: self.0.path("in"),
            secret: self.0.path("secret/secret.log"),
            output: self.0.path("out/all"),
            labelled: setup.is_labelled(),
            // A label of names only cannot tell two files of one name apart.
            nested: setup.format == "path",
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        sweep::remove(&self.0.path("in"));
    }
}

/// Plays a round, and fails if the victim had to suffer.
pub(crate) fn play(setup: &Setup, seconds: u64) {
    let length = Duration::from_secs(setting("TAILMERGE_HOSTILE_SECONDS", seconds));
    let (mut rng, others) = (Rng::new(), Others::start());
    let ground = Ground::new();
    let world = ground.world(setup);
    let mut victim = Victim::start(&world.dir, rng.split(1));
    let control = Control::start(victim.path(), ground.0.path("out/copy"));
    let mut running = start(&ground.0, setup);
    let output = Output::start(world.output.clone(), Looks::new(setup, victim.key()));
    let meter = Meter::start(running.child().id());

    let mut did = Vec::new();
    let said = || String::from_utf8_lossy(&ground.0.read("out/said")).into_owned();
    assert!(output.waits_for(100), "before any attack the victim's lines do not come: {}", said());
    did.extend(attack(&world, length, rng.below(u64::MAX)));
    thread::sleep(RECOVERY);
    victim.pause();
    output.waits_for(victim.written());
    let calm = meter.share_of_cpu(CALM);
    victim.go_on();
    let attacker = Attacker::start(&world, ENCORE * 100, rng.below(u64::MAX));
    thread::sleep(ENCORE);

    let written = victim.finish();
    let stop = stop(&mut running);
    did.extend(attacker.finish());
    // It ends with the round, whether or not it wants to.
    drop(running);
    let usage = meter.finish();
    let judge = Judge {
        setup,
        written,
        seen: output.finish(),
        control: control.finish(written.lines),
        usage,
        others: others.share(),
        calm,
        stop,
        said: ground.0.read("out/said"),
        report: fs::read(ground.0.path("out/report")).unwrap_or_default(),
        did: Did::sum(did),
        alone: env::var_os("TAILMERGE_HOSTILE_ATTACKS").is_some(),
    };
    judge.rule();
}

/// Starts the program as a service would be: with few descriptors.
fn start(dir: &Dir, setup: &Setup) -> Running {
    let program = env::var_os("TAILMERGE_HOSTILE_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_tailmerge").into());
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\"");
    let tool = Tool::new(Path::new("/bin/sh"), &dir.path("")).args(["-c", &limited]).args([program]);
    tool.args(setup.args()).stderr(File::create(dir.path("out/said")).unwrap()).start()
}

fn attack(world: &World, length: Duration, seed: u64) -> Vec<Did> {
    let attacker = Attacker::start(world, length * 10, seed);
    thread::sleep(length);
    attacker.finish()
}

/// How a stop went: how long it took, and the exit status, if it came to one.
pub(crate) type Stop = (Duration, Option<i32>);

fn stop(running: &mut Running) -> Stop {
    let start = Instant::now();
    running.signal(Signal::TERM);
    while running.is_running() && start.elapsed() < STOP_TIMEOUT * 3 {
        thread::sleep(Duration::from_millis(1));
    }
    let took = start.elapsed();
    (took, running.child().try_wait().unwrap().and_then(|status| status.code()))
}

/// Whether the attacker is another user than the victim.
pub(crate) fn is_root() -> bool {
    getuid().is_root()
}

/// This test's own program, as another user can run it.
pub(crate) fn this_program() -> Command {
    // By a name that needs no access to the directories on the way.
    let mut command = Command::new(PathBuf::from("/proc/self/exe"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
