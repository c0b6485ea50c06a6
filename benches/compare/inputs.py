"""Input files: lines as logs have them, each of which says where it belongs.

A line begins with the number of its file and its own number in it, so that a merged output can be checked
byte for byte against the files, whatever the order of the files in it.
"""
import os
import random
import shutil

MIB = 1 << 20

# Shortest and longest line, in bytes with the newline.
SHORTEST, LONGEST = 20, 2000

# What a line begins with takes so many bytes.
HEAD = len("00000-00000000 ")

# How many different ends of lines there are.
ENDS = 4096

WORDS = (
    "GET POST /api/items /api/orders?page=2 /health status=200 status=503 bytes=5123 took=0.013s upstream client "
    'user="alice" session cache hit miss retry attempt queue worker shard offset commit follower snapshot postgres '
    "timeout connection accepted closed path=C:\\temp error: warning: info: debug: 10.0.3.17 trace=4bf92f3577b3"
).split()


class Inputs:
    """A directory of input files."""

    def __init__(self, directory, count):
        self.dir = directory
        self.paths = [os.path.join(directory, "%05d.log" % number) for number in range(count)]
        self.size = 0
        self.lines = 0

    def size_now(self):
        return sum(os.stat(path).st_size for path in self.paths)


def head(number, line):
    return b"%05d-%08d " % (number, line)


def ends(length=None):
    """What follows a line's head: about 100 bytes as a rule and seldom many, or all of one length."""
    draw = random.Random(1)
    text = " ".join(draw.choice(WORDS) for _ in range(16 * 1024)).encode()
    made = []
    for _ in range(ENDS if length is None or length < 1024 else 64):
        size = length or int(min(max(draw.lognormvariate(4.6, 0.62), SHORTEST), LONGEST))
        size -= HEAD + 1
        at = draw.randrange(len(text) - size)
        made.append(text[at:at + size] + b"\n")
    return made


def make(directory, count, size, length=None):
    """Makes files of `size` bytes in all, or a line each more, and has them on the disk."""
    os.mkdir(directory)
    inputs = Inputs(directory, count)
    tails = ends(length)
    mean = HEAD + sum(map(len, tails)) // len(tails)
    for number, path in enumerate(inputs.paths):
        with open(path, "wb", buffering=0) as file:
            written, line = 0, 0
            while written < size // count:
                lines = range(line, line + max(1, min(8192, (size // count - written) // mean)))
                block = b"".join([head(number, n) + tails[(n + 31 * number) % len(tails)] for n in lines])
                write_all(file, block)
                written += len(block)
                line = lines.stop
            os.fsync(file.fileno())
        inputs.size += written
        inputs.lines += line
    return inputs


def make_small(directory, count):
    """Makes files of one short line, which are to grow or to be quiet."""
    os.mkdir(directory)
    inputs = Inputs(directory, count)
    for number, path in enumerate(inputs.paths):
        with open(path, "wb", buffering=0) as file:
            inputs.size += file.write(head(number, 0) + b"the first line\n")
    inputs.lines = count
    return inputs


def write_all(file, data):
    view = memoryview(data)
    while view:
        view = view[file.write(view):]


def warm(inputs, scratch, copies=1):
    """Brings inputs into the page cache, and writes and removes a file as large as so many of them together.

    Memory that a machine has not touched for long may have to be got from its host first: the first writes are then
    several times slower than the next.
    """
    block = bytearray(MIB)
    for path in inputs.paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(block):
                pass
    try:
        with open(scratch, "wb", buffering=0) as file:
            for _ in range(copies * inputs.size // MIB + 16):
                write_all(file, block)
    finally:
        os.unlink(scratch)


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
