#!/usr/bin/env python3
"""Measures tailmerge beside other programs that follow files, and prints tables in Markdown.

Workloads:
  catchup    about 1 GiB of lines of 20 to 2000 bytes in 1, 16, 256 and 4096 files, beside a `cat` before each run
  forms      a quarter of that in 16 files: tailmerge as it is, with --prefix name, and with --format json
  lengths    the same, of lines of 20 bytes, 120 bytes and 10 KiB
  live       1000 lines a second in all, into 16 and into 1000 files: how late each line is
  idle       100, 1000 and 20,000 quiet files
  sustained  64 files that grow by 50 MB/s in all for 20 s
  blocked    16 files that grow by 200 MB while nobody reads the output, a FIFO

Every run begins with warm pages and a fresh output, systems take turns in an order drawn anew, and every line of every
output is checked. Figures are medians (least–greatest). A system that is not found is left out, which the tables say.

  cargo build --release && cargo build --release --manifest-path benches/compare/peers/Cargo.toml
  python3 benches/compare/compare.py [--only catchup,live] [--scale 0.1] [--reps 1]
"""
import argparse
import json
import os
import random
import resource
import signal
import sys

sys.dont_write_bytecode = True

import follow  # noqa: E402
import inputs as files  # noqa: E402
import systems  # noqa: E402
import tables  # noqa: E402
from lab import Failed, Lab, catchup  # noqa: E402
from process import Place, busy_seconds  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(systems.HERE))

COPY = [("mb_s", "MB/s", 0), ("ratio", "× `cat`", 2), ("cpu", "CPU s/GB", 2), ("peak", "peak RSS, MiB", 1)]
LIVE = [("p50", "p50, ms", 2), ("p90", "p90, ms", 2), ("p99", "p99, ms", 2), ("max", "max, ms", 1), ("cpu", "CPU, %", 1),
        ("waits", "wake-ups/s", 0), ("feeder", "feeder late by, ms", 1)]
IDLE = [("cpu", "CPU, %", 3), ("waits", "wake-ups/s", 1), ("rss", "RSS, MiB", 1), ("fds", "descriptors", 0)]
SUSTAINED = [("rate", "MB/s in", 1), ("lag", "MB behind at the end", 2), ("after", "caught up after, ms", 0),
             ("cpu", "CPU s/GB", 2), ("peak", "peak RSS, MiB", 1)]
BLOCKED = [("waiting", "MB waiting", 0), ("held", "peak RSS while blocked, MiB", 1), ("peak", "peak RSS at the end, MiB", 1)]


class Bench:
    """All workloads, as the command line wants them."""

    def __init__(self, args, lab, found):
        self.args, self.lab, self.found = args, lab, found
        self.names = [system.name for system in found]
        self.following = [system for system in found if system.follows]
        self.cat = systems.printing("cat", lambda job: ["--", *job.inputs.paths], follows=False)
        self.draw = random.Random(args.seed)
        self.total = int(1024 * files.MIB * args.scale)
        self.records = []

    def seconds(self, full):
        return max(2.0, full * self.args.scale)

    def race(self, what, competing, run, count=0):
        """Has systems take turns. `run` gives the figures of one run of one of them."""
        results = tables.Results()
        for system in competing:
            if system.most is not None and count > system.most:
                results.fail(system.name, "not tried with so many files")
        competing = [system for system in competing if system.name not in results.failed]
        for turn in range(self.args.reps):
            # One that failed twice is not waited for again.
            trying = [system for system in competing if len(results.failed.get(system.name, [])) < 2]
            for system in self.draw.sample(trying, len(trying)):
                before = busy_seconds()
                try:
                    figures = run(system)
                    results.add(system.name, figures)
                except (Failed, OSError) as failure:
                    why = str(failure).replace(self.lab.path(""), "")
                    figures = {"failed": why}
                    results.fail(system.name, why)
                finally:
                    self.lab.end()
                machine, own = (after - earlier for after, earlier in zip(busy_seconds(), before))
                results.others.append(max(0.0, machine - own))
                self.records.append({"workload": what, "system": system.name, "turn": turn, **figures})
                shown = " ".join("%s=%.4g" % (key, value) if isinstance(value, float) else "%s=%s" % (key, value)
                                 for key, value in figures.items())
                say("%s, turn %d: %-12s %s (others: %.1f s of CPU)" % (what, turn + 1, system.name, shown, results.others[-1]))
        return results

    def beside_cat(self, what, competing, inputs):
        """Copies, each beside a `cat` of the same files just before."""
        def run(system):
            cat = catchup(self.lab, self.cat, inputs, checks=False)
            self.lab.end()
            figures = cat if system.name == "cat" else catchup(self.lab, system, inputs)
            return {**figures, "ratio": figures["mb_s"] / cat["mb_s"]}
        return self.race(what, competing, run, len(inputs.paths))

    def with_inputs(self, name, count, size, then, length=None):
        """Makes inputs for as long as something needs them."""
        say("making %d files of %d MiB in all" % (count, size // files.MIB))
        directory = self.lab.path(name)
        try:
            return then(files.make(directory, count, size, length))
        finally:
            files.remove(directory)

    def catchup(self):
        parts = []
        for count in self.args.counts or (1, 16, 256, 4096):
            what = "catch-up of %d files" % count
            parts.append(("%d" % count, self.with_inputs(
                "many", count, self.total, lambda inputs: self.beside_cat(what, self.found, inputs))))
        size = "%d MiB" % (self.total // files.MIB)
        return (tables.pivot("Catch-up of %s, × `cat`, by number of files" % size, "ratio", 2, parts, self.names) + "\n"
                + tables.table("Catch-up of %s" % size, "files", COPY, parts, self.names))

    def own_forms(self, options):
        """tailmerge alone, as it is and with options; `--once`, since how much it will write is not known."""
        binary = self.args.binary
        made = [systems.tailmerge(binary, name, ["--once", *words], form) for name, words, form in options]
        for system in made:
            system.follows = False
        return made

    def forms(self):
        competing = self.own_forms([("tailmerge --once", [], "raw"), ("--prefix name", ["--prefix", "name"], "prefix"),
                                    ("--format json", ["--format", "json"], "json")])
        results = self.with_inputs("few", 16, self.total // 4,
                                   lambda inputs: self.beside_cat("forms", competing, inputs))
        return tables.table("Lines as they are, labelled, and as JSON (MB of input)", "files", COPY, [("16", results)],
                            [system.name for system in competing])

    def lengths(self):
        competing = self.own_forms([("tailmerge --once", [], "raw")])
        parts = []
        for length in (20, 120, 10 * 1024):
            what = "lines of %d bytes" % length
            parts.append(("%d" % length, self.with_inputs(
                "lengths", 16, self.total // 4, lambda inputs: self.beside_cat(what, competing, inputs), length)))
        return tables.table("Lines of one length, in 16 files", "bytes a line", COPY, parts, ["tailmerge --once"])

    def live(self):
        parts, seconds = [], self.seconds(15)
        for count in self.args.counts or (16, 1000):
            def run(system):
                return follow.live(self.lab, system, count, 1000, seconds)
            parts.append(("%d" % count, self.race("live, %d files" % count, self.following, run)))
        return tables.table("Live: 1000 lines a second in all", "files", LIVE, parts, self.names)

    def idle(self):
        parts, seconds = [], self.seconds(10)
        for count in self.args.counts or (100, 1000, 20_000):
            directory = self.lab.path("quiet")
            try:
                files.make_small(directory, count)
                results = self.race("idle, %d files" % count, self.following,
                                    lambda system: follow.idle(self.lab, system, count, seconds), count)
            finally:
                files.remove(directory)
            parts.append(("%d" % count, results))
        return tables.table("Idle", "files", IDLE, parts, self.names)

    def sustained(self):
        seconds, rate = self.seconds(20), 50e6
        results = self.with_inputs(
            "sources", 64, int(rate * seconds * 1.05), lambda sources: self.race(
                "sustained", self.following, lambda system: follow.sustained(self.lab, system, sources, rate, seconds)))
        return tables.table("Sustained: 50 MB/s for %g s" % seconds, "files", SUSTAINED, [("64", results)], self.names)

    def blocked(self):
        seconds, rate = self.seconds(10), 20e6
        results = self.with_inputs(
            "sources", 16, int(rate * seconds * 1.05), lambda sources: self.race(
                "blocked", self.following, lambda system: follow.blocked(self.lab, system, sources, rate, seconds)))
        return tables.table("Nobody reads the output for %g s" % seconds, "files", BLOCKED, [("16", results)], self.names)


WORKLOADS = ["catchup", "forms", "lengths", "live", "idle", "sustained", "blocked"]


def say(what):
    print("… " + what, file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    parser.add_argument("--only", default=",".join(WORKLOADS), metavar="NAMES", help="workloads, with commas between")
    parser.add_argument("--systems", metavar="NAMES", help="only these of the systems, with commas between")
    parser.add_argument("--reps", type=int, default=5, help="turns of each system (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="of bytes and seconds (default: 1)")
    parser.add_argument("--counts", type=lambda text: [int(count) for count in text.split(",")], metavar="NUMBERS",
                        help="numbers of files, in place of those of catchup, live and idle")
    parser.add_argument("--binary", default=os.path.join(target, "release", "tailmerge"), metavar="PATH",
                        help="the tailmerge that is measured")
    parser.add_argument("--floor", default=os.path.join(systems.HERE, "peers", "target", "release"), metavar="DIR",
                        help="where the programs of benches/compare/peers are")
    parser.add_argument("--at", action="append", default=[], metavar="NAME=PATH",
                        help="where rsyslog, syslog-ng or fluent-bit is")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="one more system: {inputs} {inputs_file} or {dir}, and {out} or its standard output")
    parser.add_argument("--dir", default=target, help="where its directory is made; 5 GiB of a real disk")
    parser.add_argument("--patience", type=float, default=300.0, metavar="SECONDS", help="for one run")
    parser.add_argument("--seed", type=int, default=1, help="of the order of turns")
    parser.add_argument("--json", metavar="PATH", help="write the figures of every run there, too")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := [name for name in args.only if name not in WORKLOADS]:
        parser.error("there is no workload %s; there are %s" % (", ".join(unknown), ", ".join(WORKLOADS)))
    if args.reps < 1 or args.scale <= 0:
        parser.error("--reps and --scale must be above 0")
    return parser, args


def main():
    parser, args = arguments()
    try:
        every = systems.all_systems(args.binary, args.floor, dict(pair.split("=", 1) for pair in args.at), args.peer)
    except ValueError as error:
        parser.error(str(error))
    wanted = args.systems.split(",") if args.systems else [system.name for system in every]
    if unknown := set(wanted) - {system.name for system in every}:
        parser.error("there is no system " + ", ".join(sorted(unknown)))
    found = [system for system in every if system.name in wanted and system.path]
    missing = [system.name for system in every if system.name in wanted and not system.path]
    if every[0].path is None:
        parser.error("no program at %s: cargo build --release" % args.binary)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Ends as Ctrl-C does: by way of what cleans up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    directory = os.path.realpath(args.dir)
    os.makedirs(directory, exist_ok=True)
    place = Place(directory)
    lab = Lab(place, args.patience)
    try:
        bench = Bench(args, lab, found)
        print("%s. Medians of %d (least–greatest)." % (tables.machine(directory), args.reps))
        if missing:
            print("Not found, so not compared: %s." % ", ".join(missing))
        for name in WORKLOADS:
            if name in args.only:
                print("\n" + getattr(bench, name)(), end="", flush=True)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(bench.records, file, indent=1)
    finally:
        lab.end()
        place.close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("ended")
