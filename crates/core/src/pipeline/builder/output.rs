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

    /// Keeps in this file up to where each input is in the output file, so that the next merge with the same file goes on
    /// there: each line is in the output once, even if the process is killed at any moment.
    ///
    /// The output is never emptied then. It goes with this state file: the start fails if the two do not fit, or if the
    /// output holds something and there is no state file, unless it is [appended to](Self::append); the error says what to
    /// do. An output that was renamed is finished, and a new one begun. Beside the file are `.lock`, which stays there, and
    /// for a moment `.new`. Another merge with the same state file is refused. A last line without a newline is left to the
    /// next merge, under [`once`](Self::once) as well. Lines that cannot be read again (those of the host, of standard
    /// input and of FIFOs) may be lost when the process is killed. After a loss of power no line comes twice, and one is
    /// lost only if its input is gone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(backend: impl tailmerge::Backend) -> Result<(), Box<dyn std::error::Error>> {
    /// use tailmerge::Builder;
    ///
    /// let builder = Builder::new().input("logs/*.log").output("all.log").state("all.state");
    /// let merge = builder.start_on(backend).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
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
