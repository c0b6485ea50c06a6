"""What the workloads share: a fresh place for each run, starting a system, waiting for it, checking what it wrote."""
import json
import os
import select
import shutil
import subprocess
import sys
import time

import inputs as files
from process import Process
from systems import HERE, Job, written


class Failed(Exception):
    """A system did not do its work; the tables say so."""


class Lab:
    """Runs one system at a time."""

    def __init__(self, place, patience):
        self.place = place
        # Seconds that a system may take to get to where it is waited for; to get on at all, a tenth of them.
        self.patience = patience
        self.process = None
        self.feeder = None

    def path(self, name):
        return self.place.path(name)

    def job(self, inputs, is_fifo=False):
        """An empty directory for a run, with no output in it yet."""
        work = self.path("run")
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(os.path.join(work, "out"))
        job = Job(inputs, os.path.join(work, "out", "merged"), work, is_fifo)
        if is_fifo:
            os.mkfifo(job.out)
        return job

    def start(self, system, job):
        log = os.path.join(job.work, "log")
        argv = system.argv(job)
        if not system.prints:
            self.process = Process(self.place, argv, None, log)
            return self.process
        with open(job.out, "wb") as out:
            self.process = Process(self.place, argv, out, log)
        return self.process

    def wait_for(self, job, size, pause=0.001):
        """Waits until the output is so long, and notes meanwhile how much memory the system takes."""
        process, looked, best, moved = self.process, 0.0, -1, 0.0
        while (got := size_of(job.out)) < size:
            now = time.monotonic()
            if got > best:
                best, moved = got, now
            if now > looked + 0.005:
                looked = now
                process.look()
                if not process.is_running() and size_of(job.out) < size:
                    raise Failed("it ended: " + process.said())
                if now > process.began + self.patience or now > moved + self.patience / 10:
                    raise Failed("%d of %d bytes after %d s. %s" % (got, size, now - process.began, process.said()))
            time.sleep(pause)
        return time.monotonic() - process.began

    def feed(self, job, kind, rate, seconds, sources=None):
        """Starts to write into the inputs."""
        argv = [sys.executable, "-S", os.path.join(HERE, "feeder.py"), kind, job.listed(), str(rate), str(seconds)]
        if sources:
            argv.append(written(job.work, "sources.list", "\n".join(sources.paths) + "\n"))
        self.feeder = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.place.tell("+", self.feeder.pid)
        self.feeder.stdout.readline()

    def is_feeding(self, pause=0.0):
        """Waits for its end, for so many seconds. It says how it went, and ends."""
        return not select.select([self.feeder.stdout], [], [], pause)[0]

    def fed(self):
        """What the feeder says at its end."""
        text = self.feeder.communicate()[0]
        self.place.tell("-", self.feeder.pid)
        if self.feeder.returncode != 0:
            raise RuntimeError("the feeder failed")
        self.feeder = None
        return json.loads(text)

    def check(self, out, inputs, form="raw"):
        """How many lines are there, all of them right."""
        listed = written(self.path("run"), "checked.list", "\n".join(inputs.paths) + "\n")
        argv = [sys.executable, "-S", os.path.join(HERE, "check.py"), out, listed, form]
        said = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
        if "wrong" in said:
            raise Failed(said["wrong"])
        return said["lines"]

    def end(self):
        """Ends whatever runs still."""
        if self.feeder is not None:
            self.feeder.kill()
            self.feeder.communicate()
            self.place.tell("-", self.feeder.pid)
            self.feeder = None
        if self.process is not None:
            self.process.stop()
            self.process = None
        shutil.rmtree(self.path("run"), ignore_errors=True)


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def catchup(lab, system, inputs, checks=True):
    """Everything is on the disk. How long until all of it is in the output?"""
    job = lab.job(inputs)
    files.warm(inputs, lab.path("warm"))
    process = lab.start(system, job)
    if system.form == "raw":
        seconds = lab.wait_for(job, inputs.size)
    else:
        # How long its output will be is not known: it says when it is done.
        while process.is_running():
            process.look()
            time.sleep(0.001)
        seconds = time.monotonic() - process.began
    if not system.follows:
        end = time.monotonic() + 5
        while process.is_running() and time.monotonic() < end:
            time.sleep(0.001)
    peak = process.peak_mib()
    process.stop()
    if process.child.returncode not in (0, -15):
        raise Failed("exit status %d: %s" % (process.child.returncode, process.said()))
    if checks:
        lines = lab.check(job.out, inputs, system.form)
        if lines != inputs.lines:
            raise Failed("%d lines of %d" % (lines, inputs.lines))
    gigabytes = inputs.size / 1e9
    return {"mb_s": 1000 * gigabytes / seconds, "cpu": process.cpu_seconds / gigabytes, "peak": peak}
