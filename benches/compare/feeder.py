"""Writes into growing files, in a process of its own.

    feeder.py live LIST RATE SECONDS             RATE lines a second in all, each with the time at which it was written
    feeder.py flow LIST RATE SECONDS LIST_OF_SOURCES     RATE bytes a second in all, copied from other files

It says `go` when it begins. At the end it prints a JSON object: how much it wrote, in how many seconds, and how late it
was at worst against its own time table.
"""
import json
import os
import random
import signal
import sys
import time

# Bytes of one write of a flow, at most; it ends with a line.
BLOCK = 8192


def paths_in(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def appending(paths):
    return [os.open(path, os.O_WRONLY | os.O_APPEND) for path in paths]


def wait_until(due):
    """How late it is then."""
    left = due - time.monotonic()
    if left > 0:
        time.sleep(left)
    return time.monotonic() - due


def live(paths, rate, seconds):
    files = appending(paths)
    order = list(range(len(files)))
    random.Random(2).shuffle(order)
    lines = [0] * len(files)
    worst, total = 0.0, int(rate * seconds)
    start = time.monotonic()
    for count in range(total):
        worst = max(worst, wait_until(start + count / rate))
        number = order[count % len(order)]
        lines[number] += 1
        os.write(files[number], b"%05d-%08d %020d status=200 took=0.013s worker queue commit user=alice attempt=1 path=/api\n"
                 % (number, lines[number], time.monotonic_ns()))
    return {"lines": total, "seconds": time.monotonic() - start, "worst_ms": worst * 1000}


def flow(paths, rate, seconds, sources):
    """The first line of each source is in the file that grows already."""
    files, origins = appending(paths), [open(path, "rb") for path in sources]
    for origin in origins:
        origin.readline()
    written, worst, turn = 0, 0.0, 0
    total = int(rate * seconds)
    start = time.monotonic()
    left = list(range(len(files)))
    while written < total and left:
        number = left[turn % len(left)]
        block = origins[number].read(BLOCK)
        whole = block.rfind(b"\n") + 1
        if whole == 0:
            left.remove(number)
            continue
        origins[number].seek(whole - len(block), os.SEEK_CUR)
        worst = max(worst, wait_until(start + written / rate))
        written += os.write(files[number], block[:whole])
        turn += 1
    return {"bytes": written, "seconds": time.monotonic() - start, "worst_ms": worst * 1000}


def main():
    # Ctrl-C is for the script, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kind, listed, rate, seconds = sys.argv[1:5]
    print("go", flush=True)
    if kind == "live":
        done = live(paths_in(listed), float(rate), float(seconds))
    else:
        done = flow(paths_in(listed), float(rate), float(seconds), paths_in(sys.argv[5]))
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
