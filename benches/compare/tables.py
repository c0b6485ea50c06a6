"""Figures of several runs, and Markdown tables of them."""
import os
import platform
import statistics

import inputs as files


def figure(values, digits=2):
    """The median, and the least and the greatest of several."""
    middle = "%.*f" % (digits, statistics.median(values))
    if len(values) == 1:
        return middle
    return "%s (%.*f–%.*f)" % (middle, digits, min(values), digits, max(values))


class Results:
    """What the runs of one variant of a workload gave, system by system."""

    def __init__(self):
        self.runs, self.failed, self.others = {}, {}, []

    def add(self, name, run):
        self.runs.setdefault(name, []).append(run)

    def fail(self, name, why):
        self.failed.setdefault(name, []).append(why)

    def cells(self, name, columns):
        runs = self.runs.get(name, [])
        if not runs:
            return ["–"] * len(columns)
        return [figure([run[key] for run in runs], digits) for key, _, digits in columns]

    def notes(self):
        for name, reasons in self.failed.items():
            count = len(reasons) + len(self.runs.get(name, []))
            yield "%s, without figures in %d of %d runs: %s" % (name, len(reasons), count, reasons[0].strip())


def row(cells):
    return "| " + " | ".join(cells) + " |\n"


def table(title, first, columns, parts, names):
    """One row for each system of each part; `parts` has a label and results each."""
    text = "### %s\n\n" % title
    text += row([first, "system", *(heading for _, heading, _ in columns)])
    text += "|---|---|" + "--:|" * len(columns) + "\n"
    notes = []
    for label, results in parts:
        for name in names:
            if name in results.runs or name in results.failed:
                text += row([label, name, *results.cells(name, columns)])
        notes += ["%s: %s" % (label, note) for note in results.notes()]
    return text + "".join("\n* " + note for note in notes) + ("\n" if notes else "")


def pivot(title, key, digits, parts, names):
    """One row for each system, one column for each part."""
    text = "### %s\n\n" % title
    text += row(["system", *(label for label, _ in parts)]) + "|---|" + "--:|" * len(parts) + "\n"
    for name in names:
        if any(name in results.runs for _, results in parts):
            cells = [results.cells(name, [(key, "", digits)])[0] for _, results in parts]
            text += row([name, *cells])
    return text


def file_system(directory):
    """The kind of file system that a directory is on."""
    best, kind = "", "?"
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for mount in mounts:
            _, where, what = mount.split()[:3]
            inside = directory == where or directory.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(best):
                best, kind = where, what
    return kind


def machine(directory):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / files.MIB / 1024
    return "%d processors, %.0f GiB of memory, %s, Linux %s, Python %s" % (
        os.cpu_count(), memory, file_system(directory), platform.release(), platform.python_version())
