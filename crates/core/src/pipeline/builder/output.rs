//! Where a merge writes.

use std::future::Future;
use std::io;
use std::path::PathBuf;

use crate::output::thread::serve;
use crate::output::{Writer, WriterContext};
use crate::pipeline::builder::{Builder, Output};

impl Builder {
    /// Writes to a file, which is emptied first, or to what else there is of that name: a FIFO, a terminal.
    ///
    /// The file is created if need be, its directory is not. While a merge writes to it, another is refused. One that
    /// holds something and is found by a pattern among the inputs is refused, too: leave it out by
    /// [`exclude`](Self::exclude), or [`append`](Self::append) to it.
    pub fn output(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Output::File(path.into());
        self
    }

    /// Writes to standard output. This is the default.
    pub fn stdout(mut self) -> Self {
        self.output = Output::Stdout;
        self
    }

    /// Keeps what the output file holds and writes after it; several may do so at a time.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Writes to a writer of the host's own, made and used on the writer's thread.
    ///
    /// If `make` fails, the merge does not start.
    ///
    /// # Examples
    ///
    /// Lines into a TCP connection:
    ///
    /// ```no_run
    /// use std::io::{self, Write};
    /// use std::net::TcpStream;
    /// use tailmerge::{Batch, Builder, PartialWrite, Writer};
    ///
    /// struct Tcp(TcpStream);
    ///
    /// impl Writer for Tcp {
    ///     async fn write(&mut self, batch: &Batch) -> Result<(), PartialWrite> {
    ///         // Nobody can tell how much of it got through.
    ///         self.0.write_all(batch.bytes()).map_err(|error| PartialWrite::fatal(0, error))
    ///     }
    ///
    ///     async fn flush(&mut self) -> io::Result<()> {
    ///         self.0.flush()
    ///     }
    /// }
    ///
    /// let builder = Builder::new().input("logs/*.log");
    /// let builder = builder.writer(|_| async { Ok(Tcp(TcpStream::connect("collector:5140")?)) });
    /// ```
    pub fn writer<M, F, W>(mut self, make: M) -> Self
    where
        M: FnOnce(WriterContext) -> F + Send + 'static,
        F: Future<Output = io::Result<W>> + 'static,
        W: Writer,
    {
        self.output = Output::Own(serve(make));
        self
    }
}
