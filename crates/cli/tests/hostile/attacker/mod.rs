//! The attacker: what he can do, and the process that does it.
//!
//! He ends when his standard input does, and by himself some time later, so that none outlives its test.

mod bout;
mod content;
mod ends;
mod names;
mod trees;

use std::collections::BTreeMap;
use std::env;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use self::bout::Bout;
use crate::kit::{Rng, setting};
use crate::round::{is_root, this_program};

/// How many attacks at a time.
const HANDS: u64 = 3;
/// The user and the group `nobody`.
const NOBODY: u32 = 65534;
/// How many bouts one hand leaves lying about, for what finds it later.
const LEFTOVERS: usize = 6;

/// Tries what it is about until the bout is over.
type Attack = fn(&mut Bout<'_>);

/// Each attack, by the name that asks for it alone.
pub(crate) const ATTACKS: [(&str, Attack); 30] = [
    ("pseudo", names::pseudo),
    ("holes", content::holes),
    ("held", content::held),
    ("storm", content::storm),
    ("sparse", content::sparse),
    ("truncate", content::truncate),
    ("mtime", content::mtime),
    ("endless", content::endless),
    ("amplify", content::amplify),
    ("trickle", content::trickle),
    ("heads", content::heads),
    ("copies", content::copies),
    ("preallocated", ends::preallocated),
    ("beheaded", ends::beheaded),
    ("rewritten", ends::rewritten),
    ("replaced", ends::replaced),
    ("aliases", ends::aliases),
    ("names", names::names),
    ("twins", names::twins),
    ("links", names::links),
    ("dir-links", names::dir_links),
    ("hard-links", names::hard_links),
    ("renames", names::renames),
    ("shapes", names::shapes),
    ("special", names::special),
    ("permissions", names::permissions),
    ("deep", trees::deep),
    ("wide", trees::wide),
    ("long-names", trees::long_names),
    ("moved-trees", trees::moved),
];

/// These attacks are played only where they are asked for: the program was seen to suffer from holes behind a first line,
/// and from NULs in files that are longer than what is written in them. Both are handled by now, and not yet tried long
/// enough.
const NOT_YET: [&str; 2] = ["holes", "preallocated"];

/// What the attacker knows of the world, and what he must leave to others.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Where the victim's log is.
    pub(crate) dir: PathBuf,
    /// What only the victim may read.
    pub(crate) secret: PathBuf,
    /// The program's output.
    pub(crate) output: PathBuf,
    /// Whether the output tells which line is whose: else a copy of the victim's lines would look like his.
    pub(crate) labelled: bool,
    /// Whether a file in another directory may have the name of the victim's.
    pub(crate) nested: bool,
}

/// What became of an attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Did {
    pub(crate) attack: String,
    pub(crate) bouts: u64,
    /// What the system let him do.
    pub(crate) done: u64,
    pub(crate) refused: u64,
}

impl Did {
    /// Attack by attack.
    pub(crate) fn sum(all: Vec<Self>) -> Vec<Self> {
        let mut sums = BTreeMap::<String, Self>::new();
        for did in all {
            let sum = sums.entry(did.attack.clone()).or_default();
            *sum = Self {
                attack: did.attack,
                bouts: sum.bouts + did.bouts,
                done: sum.done + did.done,
                refused: sum.refused + did.refused,
            };
        }
        sums.into_values().collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("did ")?.split(' ');
        let attack = fields.next()?.to_owned();
        let mut number = || fields.next()?.parse().ok();
        Some(Self { attack, bouts: number()?, done: number()?, refused: number()? })
    }
}

/// The attacker at work.
#[derive(Debug)]
pub(crate) struct Attacker(Child);

impl Attacker {
    /// Lets him loose, for so long at most.
    pub(crate) fn start(world: &World, length: Duration, seed: u64) -> Self {
        let mut command = this_program();
        command.args(["--exact", "attacker_process", "--ignored", "--nocapture"]);
        for (name, value) in [("DIR", &world.dir), ("SECRET", &world.secret), ("OUTPUT", &world.output)] {
            command.env(format!("TAILMERGE_HOSTILE_{name}"), value);
        }
        command
            .env("TAILMERGE_HOSTILE_LABELLED", u8::from(world.labelled).to_string())
            .env("TAILMERGE_HOSTILE_NESTED", u8::from(world.nested).to_string())
            .env("TAILMERGE_HOSTILE_LENGTH", length.as_millis().to_string())
            .env("TAILMERGE_TEST_SEED", seed.to_string())
            .current_dir("/");
        match is_root() {
            true => drop(command.uid(NOBODY).gid(NOBODY)),
            false => println!("the attacker is the same user as the victim: links to his files are to be followed"),
        }
        Self(command.spawn().unwrap())
    }

    /// Ends him, and gives what he did.
    pub(crate) fn finish(mut self) -> Vec<Did> {
        assert!(self.0.try_wait().unwrap().is_none(), "the attacker ended before he should");
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the attacker: {status}: {text}");
        text.lines().filter_map(Did::parse).collect()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the attacker's process does; nothing if it was not started to be that.
pub(crate) fn process() {
    let path = |name: &str| env::var_os(format!("TAILMERGE_HOSTILE_{name}")).map(PathBuf::from);
    let (Some(dir), Some(secret), Some(output)) = (path("DIR"), path("SECRET"), path("OUTPUT")) else { return };
    let flag = |name: &str| setting(&format!("TAILMERGE_HOSTILE_{name}"), 0) > 0;
    let (labelled, nested) = (flag("LABELLED"), flag("NESTED"));
    let world = World { dir, secret, output, labelled, nested };
    let length = Duration::from_millis(setting("TAILMERGE_HOSTILE_LENGTH", 0));
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    // That he takes the processors is for the system to prevent.
    nice(10).unwrap();
    let did = &*Box::leak(Box::new(Mutex::new(Vec::new())));
    thread::spawn(move || {
        // Whatever comes first.
        thread::spawn(move || {
            thread::sleep(length);
            std::process::exit(1);
        });
        drop(io::stdin().read_to_end(&mut Vec::new()));
        tell(did);
        std::process::exit(0);
    });
    let rng = Rng::new();
    let deck = Deck::new(rng.split(HANDS));
    thread::scope(|scope| {
        for hand in 0..HANDS {
            let (world, rng, deck) = (&world, rng.split(hand), &deck);
            scope.spawn(move || play(world, hand, rng, deck, did));
        }
    });
}

/// Plays one attack after the other.
fn play(world: &World, hand: u64, mut rng: Rng, deck: &Deck, did: &Mutex<Vec<Did>>) {
    let mut left = Vec::new();
    for number in 0_u64.. {
        let (name, attack) = deck.draw();
        let until = Instant::now() + rng.millis(300, 2000);
        let mut bout = Bout::new(world, rng.split(number), until, format!("{name}{hand}-{number}"));
        attack(&mut bout);
        did.lock().unwrap().push(Did { attack: name.to_owned(), bouts: 1, done: bout.done, refused: bout.refused });
        left.push(bout);
        if left.len() > LEFTOVERS || rng.below(2) == 0 {
            left.swap_remove(rng.below(left.len() as u64) as usize).clean();
        }
    }
}

/// The attacks that are asked for, shuffled anew when each was drawn once.
struct Deck {
    all: Vec<(&'static str, Attack)>,
    rest: Mutex<(Vec<(&'static str, Attack)>, Rng)>,
}

impl Deck {
    fn new(rng: Rng) -> Self {
        let asked = env::var("TAILMERGE_HOSTILE_ATTACKS").ok();
        let is_asked = |name: &str| match &asked {
            Some(asked) => asked.split(',').any(|asked| asked == name),
            None => !NOT_YET.contains(&name),
        };
        let all: Vec<_> = ATTACKS.into_iter().filter(|(name, _)| is_asked(name)).collect();
        assert!(!all.is_empty(), "TAILMERGE_HOSTILE_ATTACKS names none of {:?}", ATTACKS.map(|(name, _)| name));
        Self { all, rest: Mutex::new((Vec::new(), rng)) }
    }

    fn draw(&self) -> (&'static str, Attack) {
        let (rest, rng) = &mut *self.rest.lock().unwrap();
        if rest.is_empty() {
            rest.clone_from(&self.all);
        }
        rest.swap_remove(rng.below(rest.len() as u64) as usize)
    }
}

fn tell(did: &Mutex<Vec<Did>>) {
    let mut text = String::from("\n");
    for Did { attack, bouts, done, refused } in Did::sum(did.lock().unwrap().clone()) {
        text += &format!("did {attack} {bouts} {done} {refused}\n");
    }
    drop(io::stdout().lock().write_all(text.as_bytes()));
}
