"""Is every line of the inputs in the output, once, whole, and in the order of its file?

    check.py OUTPUT LIST [raw|prefix|json]

LIST is a file of the paths of the inputs. It prints a JSON object: `lines`, or what is `wrong`. It is a process of its
own because it holds everything mapped, and a large process is slow to start others.
"""
import json
import mmap
import os
import resource
import sys

# Pieces that are compared are first so long, then twice as long each time, up to the other.
PIECE, PIECE_MAX = 4096, 1 << 20


class Wrong(Exception):
    """The output is not what it should be."""


def mapped(path):
    """A file's bytes; of an empty one there is nothing to map."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def same(a, b):
    """How many bytes two unequal pieces begin with alike."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def owner(line, at, sources):
    """Which input a line says that it is of."""
    if not line[:5].isdigit() or line[5:6] != b"-" or int(line[:5]) >= len(sources):
        raise Wrong("byte %d of the output begins no line of an input: %r" % (at, line[:60]))
    return int(line[:5])


def next_line(number, sources, offsets):
    source, offset = sources[number], offsets[number]
    end = source.find(b"\n", offset) + 1
    if end == 0:
        raise Wrong("a line of file %d too many" % number)
    return source[offset:end]


def check_raw(out, sources, offsets):
    """Goes through the output in runs of lines of one file. Returns the number of lines."""
    at, lines, size = 0, 0, len(out)
    while at < size:
        number = owner(out[at:at + 6], at, sources)
        source, line = sources[number], next_line(number, sources, offsets)
        if out[at:at + len(line)] != line:
            raise Wrong("byte %d of the output: %r is not the next line of file %d, %r"
                        % (at, out[at:at + 40], number, line[:40]))
        at += len(line)
        offset = offsets[number] + len(line)
        lines += 1
        # As a rule more of the same file follows.
        mark, length = line[:6], PIECE
        while out[at:at + 6] == mark:
            piece, expected = out[at:at + length], source[offset:offset + length]
            equal = len(piece) if piece == expected else same(piece, expected)
            whole = piece.rfind(b"\n", 0, equal) + 1
            if whole == 0:
                break
            lines += piece.count(b"\n", 0, whole)
            at += whole
            offset += whole
            length = min(2 * length, PIECE_MAX) if equal == length else PIECE
        offsets[number] = offset
    return lines


def check_rendered(out, sources, offsets, plain):
    """Goes line by line; `plain` gives the input's line of an output's, and its file's name if there is one."""
    at, lines = 0, 0
    while at < len(out):
        end = out.find(b"\n", at) + 1
        if end == 0:
            raise Wrong("the output ends within a line")
        line, name = plain(out[at:end])
        number = owner(line, at, sources)
        if name not in (None, b"%05d.log" % number):
            raise Wrong("byte %d of the output: a line of file %d is said to be of %r" % (at, number, name))
        if next_line(number, sources, offsets) != line:
            raise Wrong("byte %d of the output is not the next line of file %d" % (at, number))
        offsets[number] += len(line)
        at = end
        lines += 1
    return lines


def prefixed(line):
    name, _, rest = line.partition(b": ")
    return rest, name


def from_json(line):
    return json.loads(line)["line"].encode() + b"\n", None


def check(output, paths, form="raw"):
    """The number of lines. Raises Wrong."""
    out, sources = mapped(output), [mapped(path) for path in paths]
    offsets = [0] * len(sources)
    if form == "raw":
        lines = check_raw(out, sources, offsets)
    else:
        lines = check_rendered(out, sources, offsets, {"prefix": prefixed, "json": from_json}[form])
    short = [number for number, source in enumerate(sources) if offsets[number] < len(source)]
    if short:
        missing = sum(source[offset:].count(b"\n") for source, offset in zip(sources, offsets))
        raise Wrong("%d lines are missing, of %d files" % (missing, len(short)))
    return lines


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with open(sys.argv[2], encoding="utf-8") as file:
        paths = file.read().splitlines()
    try:
        print(json.dumps({"lines": check(sys.argv[1], paths, *sys.argv[3:4])}))
    except (Wrong, OSError, ValueError, KeyError) as error:
        print(json.dumps({"wrong": str(error) or type(error).__name__}))


if __name__ == "__main__":
    main()
