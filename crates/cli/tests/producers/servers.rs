//! Servers that open their logs again when told: nginx and rsyslog, rotated by `mv` and a signal.

use std::fs;
use std::io::{BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::kit::{Merged, Own, Rng, Written, line, padding, program, report, wait_for_bytes};
use crate::tool::{Dir, Running, wait_until};

const STREAMS: u64 = 3;
const ROTATIONS: u64 = 15;
/// Requests under way at a time.
const PIPELINED: u64 = 40;

fn follow(dir: &Dir) -> Vec<(&'static str, Running)> {
    let start = |(output, pattern)| {
        let report = format!("{output}.json");
        (output, dir.tailmerge(["-o", output, "--report", &report, pattern]).start())
    };
    [("named", "logs/a.log"), ("all", "logs/a.log*")].map(start).into()
}

fn expect_all(dir: &Dir, following: Vec<(&str, Running)>, written: &Written) {
    for (output, running) in following {
        running.stop().expect(0);
        assert_eq!(report(dir, &format!("{output}.json"))["gaps"], serde_json::json!([]));
        Merged::read(&dir.path(output)).expect_all(written);
    }
    println!("{} lines, {ROTATIONS} rotations", written.values().sum::<u64>());
}

/// Moves the log away again and again and tells the server, while each stream is written to on a thread of its own.
fn rotate(dir: &Dir, server: &Own, signal: Signal, write: impl Fn(u64, &AtomicBool) -> u64 + Sync) -> Written {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (write, over) = (&write, &over);
        let start = |at| (format!("s{at}"), scope.spawn(move || write(at, over)));
        let writers: Vec<_> = (0..STREAMS).map(start).collect();
        let mut rng = Rng::new();
        for rotation in 0..ROTATIONS {
            thread::sleep(rng.millis(500, 1200));
            fs::rename(dir.path("logs/a.log"), dir.path(format!("logs/a.log.{rotation}"))).unwrap();
            server.signal(signal);
            wait_until("the log is opened again", || dir.path("logs/a.log").exists());
        }
        over.store(true, Ordering::Relaxed);
        writers.into_iter().map(|(name, writer)| (name, writer.join().unwrap())).collect()
    })
}

/// What all that was written comes to.
fn bytes(written: &Written) -> u64 {
    let stream =
        |(name, count): (&String, &u64)| (0..*count).map(|number| line(name, number).len() as u64).sum::<u64>();
    written.iter().map(stream).sum()
}

/// Asks for pages, some at a time, until it is over.
fn ask(port: u16, stream: u64, over: &AtomicBool) -> u64 {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(crate::tool::DEADLINE)).unwrap();
    let (mut number, mut answers) = (0, vec![0; 64 * 1024]);
    while !over.load(Ordering::Relaxed) {
        let request =
            |number| format!("GET /?s=s{stream}&n={number}&p={} HTTP/1.1\r\nHost: here\r\n\r\n", padding(number));
        let requests: String = (number..number + PIPELINED).map(request).collect();
        connection.write_all(requests.as_bytes()).unwrap();
        number += PIPELINED;
        let (mut got, mut ends) = (0, 0);
        while ends < PIPELINED {
            let len = connection.read(&mut answers[got..]).unwrap();
            assert!(len > 0, "the server closed the connection");
            got += len;
            ends = answers[..got].windows(4).filter(|four| four == b"\r\n\r\n").count() as u64;
        }
        thread::sleep(Duration::from_millis(2));
    }
    number
}

fn nginx_conf(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = paths.iter().map(|name| format!("{name}_temp_path {dir}/tmp-{name};\n")).collect();
    format!(
        "daemon off; user root; worker_processes 2; pid {dir}/pid; error_log {dir}/error;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n{paths}\
         log_format numbered '$arg_s $arg_n $arg_p';\n\
         access_log {dir}/logs/a.log numbered;\n\
         server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000000; location / {{ return 204; }} }}\n}}\n"
    )
}

#[test]
#[ignore = "needs nginx, and a quarter of a minute"]
fn the_access_log_of_nginx() {
    let nginx = program("nginx", "nginx-light");
    let dir = Dir::new();
    fs::create_dir(dir.path("logs")).unwrap();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    dir.write("conf", nginx_conf(&dir.path(""), port));
    drop(free);
    let mut command = Command::new(nginx);
    command.arg("-p").arg(dir.path("")).arg("-c").arg(dir.path("conf")).arg("-e").arg(dir.path("error"));
    let server = Own::start(command.stdin(Stdio::null()).stderr(Stdio::null()));
    wait_until("nginx answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let following = follow(&dir);
    let written = rotate(&dir, &server, Signal::USR1, |stream, over| ask(port, stream, over));
    server.signal(Signal::QUIT);
    server.finish();
    wait_for_bytes(&dir.path("logs"), bytes(&written));
    expect_all(&dir, following, &written);
}

fn rsyslog_conf(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "global(workDirectory=\"{dir}\")\n\
         main_queue(queue.type=\"linkedlist\" queue.workerThreads=\"1\" queue.timeoutEnqueue=\"600000\")\n\
         module(load=\"imtcp\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{dir}/port\")\n\
         template(name=\"numbered\" type=\"string\" string=\"%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{dir}/logs/a.log\" template=\"numbered\")\n"
    )
}

/// Sends messages until it is over.
fn send(port: u16, stream: u64, over: &AtomicBool) -> u64 {
    let mut connection = BufWriter::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let (mut number, name) = (0, format!("s{stream}"));
    while !over.load(Ordering::Relaxed) {
        for _ in 0..PIPELINED {
            write!(connection, "<13>1 - - - - - - {}", line(&name, number)).unwrap();
            number += 1;
        }
        connection.flush().unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    number
}

fn port_in(path: PathBuf) -> u16 {
    let read = || fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    wait_until("rsyslog listens", || read().is_some());
    read().unwrap()
}

#[test]
#[ignore = "needs rsyslogd, and a quarter of a minute"]
fn a_file_that_rsyslog_writes() {
    let rsyslog = program("rsyslogd", "rsyslog");
    let dir = Dir::new();
    fs::create_dir(dir.path("logs")).unwrap();
    dir.write("conf", rsyslog_conf(&dir.path("")));
    let mut command = Command::new(rsyslog);
    command.arg("-n").arg("-f").arg(dir.path("conf")).arg("-i").arg(dir.path("pid"));
    let server = Own::start(command.stdin(Stdio::null()).stderr(Stdio::null()));
    let port = port_in(dir.path("port"));
    let following = follow(&dir);
    let written = rotate(&dir, &server, Signal::HUP, |stream, over| send(port, stream, over));
    wait_for_bytes(&dir.path("logs"), bytes(&written));
    server.signal(Signal::TERM);
    server.finish();
    expect_all(&dir, following, &written);
}
