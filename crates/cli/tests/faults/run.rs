//! One run of the program, with a fault at one of its calls.

use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::built::Built;
use crate::world::World;

/// A program that has not ended by then hangs.
const HANGS_AFTER: Duration = Duration::from_secs(30);

/// How long what happens to the inputs waits for the lines that were there before, once there has been a fault.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the output holds at first.
pub(crate) const BEFORE: &[u8] = b"from before\n";

/// What the program is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// Whether it follows files while things happen to them; else it merges what is there.
    pub(crate) follows: bool,
    /// Whether it labels lines and writes to a pipe; else lines are as they are, and go to a file.
    pub(crate) labels: bool,
    pub(crate) polls: bool,
    pub(crate) backend: &'static str,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It fails.
    Fails(Errno),
    /// It does less than it was asked to: "one", "half" or "none".
    Less(&'static str),
    /// The program is killed: "die" before it, "die-half" in the middle, "die-after".
    Dies(&'static str),
}

/// Where a run meets which fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// The kind of call, as `faults.c` names it.
    pub(crate) call: &'static str,
    pub(crate) what: What,
    /// Whether all calls that follow meet it too.
    pub(crate) stays: bool,
    /// Which call of that kind, from 1 on; 0: none.
    pub(crate) at: usize,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) world: World,
    /// None: a signal ended it, or nothing did.
    pub(crate) status: Option<i32>,
    pub(crate) hung: bool,
    pub(crate) stderr: String,
    pub(crate) output: Vec<u8>,
    pub(crate) report: serde_json::Value,
    /// What the call at fault was about; none if there were not so many calls.
    pub(crate) fired: Option<String>,
    /// How many calls of each kind there were, if it ended in order.
    pub(crate) counts: Vec<(String, usize)>,
    /// Whether lines kept others waiting.
    pub(crate) late: bool,
}

impl Variant {
    /// The arguments. Little memory makes for many reads.
    fn args(self) -> Vec<&'static str> {
        let mut args = vec!["--backend", self.backend, "--report", "r.json", "--stop-timeout", "4s"];
        args.extend(["--poll-interval", "10ms", "--max-line-bytes", "1KiB", "--memory", "8KiB"]);
        if !self.follows {
            args.push("--once");
        }
        if self.polls {
            args.extend(["--watch", "poll"]);
        }
        args.extend(if self.labels { ["--prefix", "name"] } else { ["-o", "all"] });
        args.extend(["logs/**/*.log*", "named.log"]);
        args
    }
}

impl Fault {
    pub(crate) const NONE: Self = Self { call: "read", what: What::Less("one"), stays: false, at: 0 };

    /// Whether the program is right to wait for as long as it lasts.
    fn is_waited_for(self) -> bool {
        let waits = [Errno::NOSPC, Errno::AGAIN, Errno::NOMEM];
        ["write", "poll"].contains(&self.call)
            && self.stays
            && waits.iter().any(|&errno| self.what == What::Fails(errno))
    }
}

/// Runs the program to its end, on a world of its own.
pub(crate) fn run(built: &Built, variant: Variant, fault: Fault) -> Ran {
    let mut world = World::new();
    // Where it has data has to be asked.
    world.add_hole("logs/h.log", 8192);
    world.append("logs/h.log", 3);
    for (name, lines) in [("logs/a.log", 90), ("logs/r.log", 50), ("logs/t.log", 40), ("logs/d.log", 10)] {
        world.append(name, lines);
    }
    for (name, lines) in [("logs/e.log", 0), ("logs/sub/s.log", 5), ("named.log", 60)] {
        world.append(name, lines);
    }
    world.begin_line("named.log");
    fs::write(world.path("all"), BEFORE).unwrap();
    run_in(world, built, variant, fault)
}

/// The same, on a world in which there were others before.
pub(crate) fn run_in(mut world: World, built: &Built, variant: Variant, fault: Fault) -> Ran {
    fs::remove_file(world.said("faults")).ok();
    let mut running = Running::start(built, variant, fault, &world);
    let late = if variant.follows {
        running.follow(&mut world)
    } else if fault.is_waited_for() {
        running.wait(PATIENCE);
        running.stop();
        false
    } else {
        false
    };
    running.finish(world, late)
}

struct Running {
    child: Child,
    variant: Variant,
    /// What came out of the pipe so far, and who reads it.
    piped: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    fn start(built: &Built, variant: Variant, fault: Fault, world: &World) -> Self {
        let mut command = Command::new(&built.tool);
        command.args(variant.args()).current_dir(world.root());
        command.stdin(Stdio::null()).stderr(File::create(world.said("stderr")).unwrap());
        command.env("LD_PRELOAD", &built.library).env("FAULTS_UNDER", world.root());
        command.env("FAULTS_LOG", world.said("faults")).env("FAULTS_STREAMS", "1");
        command.env("FAULTS_CALL", fault.call).env("FAULTS_AT", fault.at.to_string());
        command.env(
            "FAULTS_WHAT",
            match fault.what {
                What::Fails(errno) => errno.raw_os_error().to_string(),
                What::Less(what) | What::Dies(what) => what.to_owned(),
            },
        );
        if fault.stays {
            command.env("FAULTS_FOREVER", "1");
        }
        let piped = Arc::<Mutex<Vec<u8>>>::default();
        let reader = variant.labels.then(|| {
            let (mut reader, writer) = std::io::pipe().unwrap();
            command.stdout(writer);
            let piped = piped.clone();
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(got @ 1..) = reader.read(&mut bytes) {
                    piped.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..got]);
                }
            })
        });
        if !variant.labels {
            command.stdout(Stdio::null());
        }
        let child = command.spawn().unwrap();
        Self { child, variant, piped, reader }
    }

    fn output(&self, world: &World) -> Vec<u8> {
        match self.variant.labels {
            true => self.piped.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            false => fs::read(world.path("all")).unwrap(),
        }
    }

    /// What happens to the inputs of one that follows them, up to a stop. Tells whether lines were late.
    fn follow(&mut self, world: &mut World) -> bool {
        let mut late = !self.until_merged(world);
        world.append("logs/a.log", 3);
        world.rename("logs/r.log", "logs/r.log.1");
        world.append("logs/r.log", 20);
        world.append("logs/r.log.1", 2);
        world.end_line("named.log");
        world.rename("named.log", "named.log.1");
        world.append("named.log", 2);
        world.append("named.log.1", 2);
        late |= !self.until_merged(world);
        world.truncate("logs/t.log");
        world.append("logs/t.log", 5);
        world.remove("logs/d.log");
        world.append("logs/new.log", 4);
        late |= !self.until_merged(world);
        self.stop();
        late
    }

    /// Waits until all lines are out. Gives up when the program has ended, or has met its fault and then takes long.
    fn until_merged(&mut self, world: &World) -> bool {
        let wanted = world.lines.iter().filter(|line| line.is_whole).count();
        let start = Instant::now();
        let mut faulty = None;
        loop {
            let output = self.output(world);
            if output.iter().filter(|&&byte| byte == b'\n').count() >= wanted && !output.starts_with(BEFORE) {
                return true;
            }
            if faulty.is_none() && fs::read(world.said("faults")).is_ok_and(|log| !log.is_empty()) {
                faulty = Some(Instant::now());
            }
            let impatient = faulty.is_some_and(|since| since.elapsed() > PATIENCE);
            if impatient || start.elapsed() > HANGS_AFTER || self.child.try_wait().unwrap().is_some() {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn stop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        }
    }

    /// Whether it ends within that time.
    fn wait(&mut self, within: Duration) -> bool {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > within {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn finish(mut self, world: World, late: bool) -> Ran {
        let hung = !self.wait(HANGS_AFTER);
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap().code();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let log = fs::read_to_string(world.said("faults")).unwrap_or_default();
        let fired = log.lines().find_map(|line| line.strip_prefix("fired ")?.split_once(' '));
        let counted = log.lines().filter_map(|line| line.split_once(' '));
        Ran {
            status: status.filter(|_| !hung),
            hung,
            stderr: fs::read_to_string(world.said("stderr")).unwrap(),
            output: self.output(&world),
            report: serde_json::from_slice(&fs::read(world.path("r.json")).unwrap_or_default()).unwrap_or_default(),
            fired: fired.map(|(_, path)| path.replace(" (deleted)", "")),
            counts: counted.filter_map(|(call, count)| Some((call.to_owned(), count.parse().ok()?))).collect(),
            late,
            world,
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, lines) =
            (["once", "follow"][usize::from(self.follows)], ["raw", "labels"][usize::from(self.labels)]);
        write!(f, "{mode} {lines} {}{}", self.backend, if self.polls { " poll" } else { "" })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{} {}", self.call, self.what, if self.stays { "…" } else { "" }, self.at)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails(errno) => {
                f.write_str(NAMES.iter().find(|(known, _)| known == errno).map_or("?", |(_, name)| name))
            }
            Self::Less(what) | Self::Dies(what) => f.write_str(what),
        }
    }
}

/// The errors that are tried.
const NAMES: [(Errno, &str); 11] = [
    (Errno::IO, "EIO"),
    (Errno::INTR, "EINTR"),
    (Errno::NOSPC, "ENOSPC"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NFILE, "ENFILE"),
    (Errno::ACCESS, "EACCES"),
    (Errno::NOENT, "ENOENT"),
    (Errno::STALE, "ESTALE"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::NOLCK, "ENOLCK"),
];
