"""The systems that are compared, and how each is started.

Each follows all files of a directory, from their first byte, and writes their lines as they are into one file, with
the settings that its manual gives for throughput and with flow control on, so that it loses nothing.
"""
import os
import shlex
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))

RSYSLOG = """\
global(workDirectory="{work}" maxMessageSize="64k" processInternalMessages="off")
main_queue(queue.type="FixedArray" queue.size="50000" queue.dequeueBatchSize="2048" queue.timeoutEnqueue="3600000")
module(load="imfile" mode="inotify")
template(name="line" type="string" string="%msg%\\n")
ruleset(name="merge") {{
  action(type="omfile" file="{out}" template="line" ioBufferSize="256k" flushOnTXEnd="on" asyncWriting="off")
}}
input(type="imfile" file="{dir}/*.log" tag="x" ruleset="merge" maxSubmitAtOnce="2048"
      freshStartTail="off" addMetadata="off")
"""

SYSLOG_NG = """\
@version: 3.38
options {{ threaded(no); use-dns(no); stats-freq(0); mark-freq(0); log-msg-size(65536); chain-hostnames(no); }};
source inputs {{
  wildcard-file(base-dir("{dir}") filename-pattern("*.log") flags(no-parse) follow-freq(0.05)
                max-files({room}) log-iw-size({window}) log-fetch-limit(1000));
}};
destination merged {{
  {driver}("{out}" template("${{MSG}}\\n") template-escape(no) log-fifo-size({queue}) flush-lines(1000));
}};
log {{ source(inputs); destination(merged); flags(flow-control); }};
"""

FLUENT_BIT = """\
[SERVICE]
    flush 0.05
    grace 5
    log_level error
[INPUT]
    name tail
    path {dir}/*.log
    tag lines
    read_from_head on
    inotify_watcher on
    refresh_interval 60
    buffer_chunk_size 256k
    buffer_max_size 2m
    mem_buf_limit 32m
[OUTPUT]
    name file
    match lines
    path {out_dir}
    file {out_name}
    format template
    template {{log}}
"""


class Job:
    """What a system is to do."""

    def __init__(self, inputs, out, work, is_fifo=False):
        self.inputs, self.out, self.work, self.is_fifo = inputs, out, work, is_fifo

    def listed(self):
        return written(self.work, "inputs.list", "\n".join(self.inputs.paths) + "\n")


def written(work, name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class System:
    """One of those that are compared."""

    def __init__(self, name, binary, command, follows=True, form="raw"):
        self.name, self.binary, self.follows, self.form = name, binary, follows, form
        self.path = shutil.which(binary) or shutil.which(binary, path="/usr/sbin:/sbin:/usr/local/sbin:/opt/%s/bin" % name)
        self.command = command
        # Whether its standard output is the output.
        self.prints = False
        # It is not asked to follow more files than this.
        self.most = None

    def argv(self, job):
        return [self.path, *self.command(job)]


class Given(System):
    """One that the command line gives: NAME=COMMAND with {out} {inputs} {dir} {inputs_file}."""

    def __init__(self, text):
        name, equals, template = text.partition("=")
        words = shlex.split(template)
        if not equals or not words:
            raise ValueError("%r is not NAME=COMMAND" % text)
        super().__init__(name, words[0], self.rest)
        self.words = words[1:]
        self.prints = not any("{out}" in word for word in self.words)

    def rest(self, job):
        argv = []
        for word in self.words:
            if word == "{inputs}":
                argv += job.inputs.paths
                continue
            if "{inputs_file}" in word:
                word = word.replace("{inputs_file}", job.listed())
            argv.append(word.replace("{out}", job.out).replace("{dir}", job.inputs.dir))
        return argv


def tailmerge(binary, name="tailmerge", options=(), form="raw"):
    def command(job):
        return ["--quiet", *options, "--output", job.out, os.path.join(job.inputs.dir, "*.log")]
    return System(name, binary, command, form=form)


def printing(name, command, follows):
    system = System(name, name, command, follows)
    system.prints = True
    return system


def rsyslog(binary):
    def command(job):
        config = RSYSLOG.format(work=job.work, out=job.out, dir=job.inputs.dir)
        return ["-n", "-C", "-f", written(job.work, "rsyslog.conf", config), "-i", os.path.join(job.work, "pid")]
    return System("rsyslog", binary, command)


def syslog_ng(binary):
    def command(job):
        room = len(job.inputs.paths) + 16
        # Every file has its share of the window, and all of it must fit the queue.
        window = max(10_000, 100 * room)
        config = SYSLOG_NG.format(out=job.out, dir=job.inputs.dir, room=room, window=window, queue=2 * window,
                                  driver="pipe" if job.is_fifo else "file")
        own = [os.path.join(job.work, name) for name in ("persist", "pid", "control")]
        return ["-F", "--no-caps", "-f", written(job.work, "syslog-ng.conf", config), "-R", own[0], "-p", own[1],
                "-c", own[2]]
    return System("syslog-ng", binary, command)


def fluent_bit(binary):
    def command(job):
        config = FLUENT_BIT.format(dir=job.inputs.dir, out_dir=os.path.dirname(job.out),
                                   out_name=os.path.basename(job.out))
        return ["-q", "-c", written(job.work, "fluent-bit.conf", config)]
    return System("fluent-bit", binary, command)


def own(name, floor, follows):
    """One of the programs in `peers`."""
    return System(name, os.path.join(floor, name), lambda job: [job.out, job.listed()], follows)


def thread_a_file(floor):
    system = own("threads", floor, follows=True)
    # Each thread wakes up a hundred times a second: more of them would keep the machine from all else.
    system.most = 4096
    return system


def all_systems(binary, floor, binaries, given):
    """In the order of the tables."""
    return [
        tailmerge(binary),
        printing("cat", lambda job: ["--", *job.inputs.paths], follows=False),
        own("pair", floor, follows=False),
        own("notified", floor, follows=True),
        thread_a_file(floor),
        printing("tail", lambda job: ["-q", "-F", "-n", "+1", "--", *job.inputs.paths], follows=True),
        rsyslog(binaries.get("rsyslog", "rsyslogd")),
        syslog_ng(binaries.get("syslog-ng", "syslog-ng")),
        fluent_bit(binaries.get("fluent-bit", "fluent-bit")),
        *map(Given, given),
    ]
