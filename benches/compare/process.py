"""A process that is measured: started, looked at through /proc, stopped.

Only this one process is looked at: a command that needs a shell should `exec`. A keeper, a process in a session of its
own, ends what is left and removes the directory when the script has ended, however that came.
"""
import ctypes
import os
import signal
import subprocess
import sys
import time

# Of the times in /proc/PID/stat, in seconds.
TICK = 1 / os.sysconf("SC_CLK_TCK")

# What the keeper does: it is told of processes as they come (+) and go (-), and waits for the end of its input.
KEEPER = """
import os, shutil, signal, sys
left = set()
for line in sys.stdin:
    (left.add if line[0] == "+" else left.discard)(int(line[1:]))
for pid in left:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


class Place:
    """The directory of all files, for as long as this is open."""

    def __init__(self, parent):
        self.dir = os.path.join(parent, "compare-%d" % os.getpid())
        os.makedirs(self.dir)
        self.keeper = subprocess.Popen([sys.executable, "-c", KEEPER, self.dir], stdin=subprocess.PIPE, text=True,
                                       start_new_session=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def tell(self, sign, pid):
        self.keeper.stdin.write("%s%d\n" % (sign, pid))
        self.keeper.stdin.flush()

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait()


def text_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def fields(text):
    """`Name: value` by the line, as /proc/PID/status has it."""
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


class Sample:
    """What the threads of a process have done up to now, each by its number."""

    def __init__(self, pid):
        self.at = time.monotonic()
        self.cpu, self.waits = {}, {}
        try:
            threads = os.listdir("/proc/%d/task" % pid)
        except OSError:
            threads = []
        for thread in threads:
            where = "/proc/%d/task/%s/" % (pid, thread)
            ran = text_of(where + "schedstat").split()
            if ran:
                self.cpu[thread] = int(ran[0]) / 1e9
            self.waits[thread] = int(fields(text_of(where + "status")).get("voluntary_ctxt_switches", 0))

    @staticmethod
    def more(later, earlier):
        """Threads that have ended in between do not count."""
        return sum(value - earlier.get(thread, 0) for thread, value in later.items())

    def since(self, earlier):
        """CPU in per cent of one processor, and wake-ups a second."""
        seconds = self.at - earlier.at
        return 100 * self.more(self.cpu, earlier.cpu) / seconds, self.more(self.waits, earlier.waits) / seconds


class Process:
    """A running system."""

    def __init__(self, place, argv, stdout, log):
        self.place, self.log = place, log
        with open(log, "wb") as errors:
            self.began = time.monotonic()
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout or errors, stderr=errors)
        self.pid = self.child.pid
        self.peak_kib = 0
        self.cpu_seconds = None
        place.tell("+", self.pid)

    def is_running(self):
        if self.cpu_seconds is None:
            self.wait(os.WNOHANG)
        return self.cpu_seconds is None

    def wait(self, options=0):
        pid, status, used = os.wait4(self.pid, options)
        if pid:
            self.child.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = used.ru_utime + used.ru_stime
            self.place.tell("-", self.pid)

    def status(self):
        return fields(text_of("/proc/%d/status" % self.pid))

    def look(self):
        """Notes the most memory that it has had so far, its own pages and the mapped ones."""
        peak = self.status().get("VmHWM", "0 kB").split()[0]
        self.peak_kib = max(self.peak_kib, int(peak))

    def peak_mib(self):
        self.look()
        return self.peak_kib / 1024

    def resident_mib(self):
        return int(self.status().get("VmRSS", "0 kB").split()[0]) / 1024

    def descriptors(self):
        try:
            return len(os.listdir("/proc/%d/fd" % self.pid))
        except OSError:
            return 0

    def cpu_now(self):
        """Seconds of CPU time so far, in ticks."""
        if not self.is_running():
            return self.cpu_seconds
        stat = text_of("/proc/%d/stat" % self.pid)
        after_name = stat[stat.rfind(")") + 2:].split()
        return (int(after_name[11]) + int(after_name[12])) * TICK if after_name else 0.0

    def stop(self, patience=20.0):
        """Asks it to end, and makes it end if it does not. False: it had to be made to."""
        if self.is_running():
            self.look()
            # Not by way of `Popen`, which would take its end for itself.
            os.kill(self.pid, signal.SIGTERM)
        end = time.monotonic() + patience
        while self.is_running() and time.monotonic() < end:
            time.sleep(0.002)
        if not self.is_running():
            return True
        os.kill(self.pid, signal.SIGKILL)
        self.wait()
        return False

    def said(self):
        """The last line that it said."""
        lines = text_of(self.log).strip().splitlines()
        return lines[-1][-200:] if lines else ""


class Watch:
    """Wakes up when a file is written."""

    MODIFY = 2

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, os.fsencode(path), self.MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "no notification for " + path)

    def drain(self):
        try:
            while os.read(self.fd, 65536):
                pass
        except BlockingIOError:
            pass

    def close(self):
        os.close(self.fd)


def busy_seconds():
    """CPU time of the whole machine so far, and that of this script's ended children with it."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    own = os.times()
    return (sum(ticks) - ticks[3] - ticks[4]) * TICK, sum(own[:4])
