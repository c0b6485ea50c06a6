//! What is measured, section by section, and the targets.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Copier};
use crate::data::Inputs;
use crate::measure::{Ran, Running, cat, merge, run};
use crate::table::{Figure, Table, Target};
use crate::{Outcome, child};

/// How long quiet files are followed before memory is looked at: ten looks at each.
const SETTLE: Duration = Duration::from_secs(1);

type Section = fn(&mut Bench) -> Outcome<Table>;

/// All sections, in the order in which they run.
pub(crate) const SECTIONS: &[(&str, Section)] =
    &[("catchup", catchup), ("many", many), ("idle", idle), ("threads", threads), ("heartbeat", heartbeat)];

/// The runs of one program on one set of inputs.
#[derive(Debug, Default)]
struct Runs {
    gb_per_second: Vec<f64>,
    cpu_per_gb: Vec<f64>,
    peak_mib: Vec<f64>,
}

impl Runs {
    fn add(&mut self, ran: &Ran, inputs: &Inputs) {
        let gb = inputs.bytes as f64 / 1e9;
        self.gb_per_second.push(gb / ran.seconds);
        self.cpu_per_gb.push(ran.cpu_seconds / gb);
    }

    fn tell(&self, who: &str, table: &mut Table) {
        table.tell(format!("{who}: speed"), Figure::of(&self.gb_per_second), 2, "GB/s");
        table.tell(format!("{who}: CPU"), Figure::of(&self.cpu_per_gb), 2, "s/GB");
    }

    /// Its speed, as a multiple of another's.
    fn times(&self, other: &Self) -> Figure {
        Figure::ratio(&self.gb_per_second, &other.gb_per_second)
    }
}

/// Has `cat` and a merge copy each set of inputs, in turn, run after run.
fn race<const N: usize>(bench: &Bench, sets: [&Inputs; N]) -> Outcome<[[Runs; 2]; N]> {
    let copiers: [Copier; 2] = [cat, merge];
    let mut runs: [[Runs; 2]; N] = std::array::from_fn(|_| Default::default());
    for _ in 0..bench.runs {
        for (inputs, runs) in sets.iter().zip(&mut runs) {
            for (copier, runs) in copiers.iter().zip(runs) {
                let ran = bench.copy(inputs, *copier)?;
                runs.add(&ran, inputs);
                runs.peak_mib.extend(ran.figure("peak").map(|kib| kib / 1024.0).ok());
            }
        }
    }
    Ok(runs)
}

/// Catch-up of 16 large files, beside `cat`.
fn catchup(bench: &mut Bench) -> Outcome<Table> {
    let few = bench.few()?;
    bench.check(&few)?;
    let [[cat, merge]] = race(bench, [&few])?;
    let mut table = Table::default();
    cat.tell("cat, 16 files", &mut table);
    merge.tell("merge, 16 files", &mut table);
    table.row("speed, as a multiple of cat's", merge.times(&cat), 2, "", Target::AtLeast(0.6));
    table.row("peak memory", Figure::of(&merge.peak_mib), 1, "MiB", Target::Below(32.0));
    Ok(table)
}

/// Catch-up of 1000 files, beside that of 16.
fn many(bench: &mut Bench) -> Outcome<Table> {
    let (few, many) = (bench.few()?, bench.many()?);
    bench.check(&many)?;
    let [[cat_few, merge_few], [cat_many, merge_many]] = race(bench, [&few, &many])?;
    let mut table = Table::default();
    merge_few.tell("merge, 16 files", &mut table);
    cat_many.tell("cat, 1000 files", &mut table);
    merge_many.tell("merge, 1000 files", &mut table);
    table.tell("1000 files: peak memory", Figure::of(&merge_many.peak_mib), 1, "MiB");
    table.tell("cat: speed on 1000, of that on 16", cat_many.times(&cat_few), 2, "");
    table.tell("1000 files: speed, as a multiple of cat's", merge_many.times(&cat_many), 2, "");
    table.row("merge: speed on 1000, of that on 16", merge_many.times(&merge_few), 2, "", Target::AtLeast(0.7));
    Ok(table)
}

/// Memory of a merge that follows quiet files, by their number.
fn idle(bench: &mut Bench) -> Outcome<Table> {
    let counts = bench.scale.idle;
    let sets: Outcome<Vec<_>> =
        counts.iter().map(|&count| Inputs::make_small(bench.path(&format!("idle{count}")), count)).collect();
    let sets = sets?;
    let mut resident = vec![Vec::new(); sets.len()];
    for _ in 0..bench.runs {
        for (inputs, resident) in sets.iter().zip(&mut resident) {
            let pattern = inputs.dir.join("*.log");
            let child = followed(bench, inputs, &[pattern], |_| ())?;
            thread::sleep(SETTLE);
            resident.push(child.resident()?);
            child.end()?;
            bench.discard(inputs)?;
        }
    }
    let mut table = Table::default();
    for (count, resident) in counts.iter().zip(&resident) {
        let mib = resident.iter().map(|bytes| bytes / (1024.0 * 1024.0));
        table.tell(format!("{count} idle files: resident"), Figure::of(&mib.collect::<Vec<_>>()), 2, "MiB");
    }
    for (count, most) in counts.iter().zip(&resident).skip(1) {
        let more = most.iter().zip(&resident[0]).map(|(most, least)| (most - least) / (count - counts[0]) as f64);
        let figure = Figure::of(&more.collect::<Vec<_>>());
        table.row(format!("{count} idle files: growth a file"), figure, 0, "bytes", Target::Below(2048.0));
    }
    Ok(table)
}

/// Threads of the blocking pool, of a merge that catches up on 1000 files and then follows them.
fn threads(bench: &mut Bench) -> Outcome<Table> {
    let many = bench.many()?;
    let (mut pool, mut all) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let mut most = (0, 0);
        let mut look = |child: &Running| {
            most = (most.0.max(child.threads("blocking-")), most.1.max(child.threads("")));
        };
        let child = followed(bench, &many, &many.paths, &mut look)?;
        let start = Instant::now();
        while start.elapsed() < bench.scale.watch {
            look(&child);
            thread::sleep(Duration::from_millis(2));
        }
        child.end()?;
        bench.discard(&many)?;
        pool.push(most.0 as f64);
        all.push(most.1 as f64);
    }
    let mut table = Table::default();
    table.tell("threads in all, most", Figure::of(&all), 0, "");
    table.row("threads of the blocking pool, most", Figure::of(&pool), 0, "", Target::AtMost(4.0));
    Ok(table)
}

/// Starts a child that follows, and waits until it has written all there is.
fn followed(bench: &Bench, files: &Inputs, inputs: &[PathBuf], meanwhile: impl FnMut(&Running)) -> Outcome<Running> {
    let output = bench.output();
    let mut child = Running::start(child::command("follow")?.arg(&output).args(inputs))?;
    child.wait_for(&output, files.bytes, meanwhile)?;
    Ok(child)
}

/// How late the ticks of one kind of run were.
#[derive(Debug, Default)]
struct Lateness {
    worst_ms: Vec<f64>,
    late: Vec<f64>,
}

impl Lateness {
    fn add(&mut self, ran: &Ran) -> Outcome<()> {
        self.worst_ms.push(ran.figure("worst")? / 1000.0);
        self.late.push(ran.figure("late")?);
        Ok(())
    }

    fn tell(&self, meanwhile: &str, target: Option<Target>, table: &mut Table) {
        table.row(format!("worst tick while {meanwhile}"), Figure::of(&self.worst_ms), 2, "ms", target);
        table.tell("  ticks later than 5 ms", Figure::of(&self.late), 0, "");
    }
}

/// How late a host's heartbeat is beside a merge on its only thread, beside `cat`, and alone.
fn heartbeat(bench: &mut Bench) -> Outcome<Table> {
    let few = bench.few()?;
    let (output, fifo) = (bench.output(), bench.path("fifo"));
    run(Command::new("mkfifo").arg(&fifo))?;
    let [mut merging, mut waiting, mut copying, mut alone] = [(); 4].map(|()| Lateness::default());
    for _ in 0..bench.runs {
        bench.warm(&few)?;
        merging.add(&Running::start(child::command("beat")?.arg(&output).args(&few.paths))?.ended()?)?;
        bench.discard(&few)?;

        // Open for reading, and not read.
        let reader = fs::File::options().read(true).write(true).open(&fifo)?;
        waiting.add(&watched(bench, child::command("beat")?.arg(&fifo).args(&few.paths))?)?;
        drop(reader);

        bench.warm(&few)?;
        let mut child = Running::start(&mut child::command("beat")?)?;
        child.wait_for_line()?;
        run(&mut cat(&few.paths, &output)?)?;
        copying.add(&child.end()?)?;
        bench.discard(&few)?;

        alone.add(&watched(bench, &mut child::command("beat")?)?)?;
    }
    let mut table = Table::default();
    let target = Some(Target::AtMost(5.0));
    merging.tell("all is merged to a file", target, &mut table);
    waiting.tell("nobody reads the FIFO", target, &mut table);
    copying.tell("cat copies as much", None, &mut table);
    alone.tell("nothing else is done", None, &mut table);
    Ok(table)
}

/// Lets a heart beat for a while.
fn watched(bench: &Bench, command: &mut Command) -> Outcome<Ran> {
    let mut child = Running::start(command)?;
    child.wait_for_line()?;
    thread::sleep(bench.scale.watch);
    child.end()
}
