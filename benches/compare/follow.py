"""The workloads of files that grow, or do not."""
import os
import select
import shutil
import time

import inputs as files
from lab import Failed, size_of
from process import Sample, Watch


def ready(lab, system, inputs, is_fifo=False):
    """Starts a system on files of one line, and waits until it has written these."""
    job = lab.job(inputs, is_fifo)
    process = lab.start(system, job)
    if not is_fifo:
        lab.wait_for(job, inputs.size, pause=0.01)
    return job, process


def grown(lab, count):
    """A fresh set of small files."""
    directory = lab.path("run-inputs")
    shutil.rmtree(directory, ignore_errors=True)
    return files.make_small(directory, count)


def per_cent(values, share):
    """The value that so many per cent of the sorted values are not above."""
    return values[min(len(values) - 1, int(len(values) * share / 100))]


def live(lab, system, count, rate, seconds):
    """Lines come one by one. How long until each can be read from the output?"""
    inputs = grown(lab, count)
    job, process = ready(lab, system, inputs)
    time.sleep(0.5)
    watch, seen = Watch(job.out), []
    try:
        with open(job.out, "rb", buffering=0) as out, select.epoll() as poll:
            poll.register(watch.fd, select.EPOLLIN)
            out.seek(inputs.size)
            lab.feed(job, "live", rate, seconds)
            before, done = Sample(process.pid), None
            expected, got = None, inputs.size
            while expected is None or got < expected and time.monotonic() < done + 10:
                poll.poll(0.1)
                watch.drain()
                while piece := out.read(files.MIB):
                    seen.append((time.monotonic_ns(), piece))
                    got += len(piece)
                if expected is None and not lab.is_feeding():
                    cpu, waits = Sample(process.pid).since(before)
                    expected, done = inputs.size_now(), time.monotonic()
    finally:
        watch.close()
    fed = lab.fed()
    lab.check(job.out, inputs)
    late = sorted(latencies(seen))
    if len(late) != fed["lines"]:
        raise Failed("%d lines of %d came" % (len(late), fed["lines"]))
    return {"p50": per_cent(late, 50), "p90": per_cent(late, 90), "p99": per_cent(late, 99), "max": late[-1],
            "cpu": cpu, "waits": waits, "feeder": fed["worst_ms"]}


def latencies(seen):
    """Of each line, in milliseconds: from its time stamp to the read that brought its newline."""
    rest = b""
    for at, piece in seen:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield (at - int(line.split(b" ", 2)[1])) / 1e6


def idle(lab, system, count, seconds):
    """Nothing happens. What does that cost?"""
    inputs = files.Inputs(lab.path("quiet"), count)
    inputs.size = inputs.size_now()
    _, process = ready(lab, system, inputs)
    time.sleep(max(2.0, seconds / 3))
    before = Sample(process.pid)
    time.sleep(seconds)
    cpu, waits = Sample(process.pid).since(before)
    if not process.is_running():
        raise Failed("it ended: " + process.said())
    return {"cpu": cpu, "waits": waits, "rss": process.resident_mib(), "fds": process.descriptors()}


def sustained(lab, system, sources, rate, seconds):
    """Files grow fast. Does it keep up?"""
    inputs = begun(lab, sources)
    # Room for what the inputs grow by, and for the output.
    files.warm(sources, lab.path("warm"), copies=2)
    job, process = ready(lab, system, inputs)
    time.sleep(0.5)
    before = process.cpu_now()
    lab.feed(job, "flow", rate, seconds, sources)
    while lab.is_feeding(0.02):
        process.look()
    size = inputs.size_now()
    lag = size - size_of(job.out)
    ended = time.monotonic()
    if lag > 0:
        lab.wait_for(job, size)
    after = time.monotonic() - ended
    cpu = process.cpu_now() - before
    fed = lab.fed()
    peak = process.peak_mib()
    lab.check(job.out, inputs)
    return {"lag": lag / 1e6, "after": 1000 * after, "cpu": cpu / (fed["bytes"] / 1e9), "peak": peak,
            "rate": fed["bytes"] / fed["seconds"] / 1e6}


def begun(lab, sources):
    """Files that have the first line of each source."""
    inputs = grown(lab, len(sources.paths))
    inputs.size = 0
    for path, source in zip(inputs.paths, sources.paths):
        with open(source, "rb") as origin, open(path, "wb") as file:
            inputs.size += file.write(origin.readline())
    return inputs


def blocked(lab, system, sources, rate, seconds):
    """Nobody reads the output, a FIFO, while files grow; then somebody does. How much memory does that take?"""
    inputs = begun(lab, sources)
    job = lab.job(inputs, is_fifo=True)
    # Open for reading before the system opens it for writing, which would wait otherwise.
    fifo = os.open(job.out, os.O_RDONLY | os.O_NONBLOCK)
    try:
        process = lab.start(system, job)
        lab.feed(job, "flow", rate, seconds, sources)
        lab.fed()
        time.sleep(1.0)
        held = process.peak_mib()
        read, size = os.path.join(job.work, "read"), inputs.size_now()
        drain(process, fifo, read, size)
        peak = process.peak_mib()
    finally:
        # What it writes while it ends goes nowhere, and it must not wait for that.
        os.close(fifo)
    lab.check(read, inputs)
    return {"waiting": size / 1e6, "held": held, "peak": peak}


def drain(process, fifo, path, size):
    got, last = 0, time.monotonic()
    with open(path, "wb", buffering=0) as file:
        while got < size:
            try:
                piece = os.read(fifo, files.MIB)
            except BlockingIOError:
                piece = b""
            now = time.monotonic()
            if piece:
                files.write_all(file, piece)
                got, last = got + len(piece), now
            elif now > last + 15:
                raise Failed("%d of %d bytes came. %s" % (got, size, process.said()))
            else:
                time.sleep(0.001)
