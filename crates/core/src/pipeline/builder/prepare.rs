//! Checks the settings of a merge, and makes what it is started with.

use std::ffi::OsString;
use std::mem;
use std::path::Path;
use std::sync::Arc;

use crate::discover::pattern::Excludes;
use crate::discover::spec::Spec;
use crate::follow::context::{ReadContext, Settings};
use crate::follow::descriptors::{Descriptors, OpenLimits};
use crate::follow::registry::FileRegistry;
use crate::fs::{Fs, Kind};
use crate::output::open::FileOutput;
use crate::output::state::WantedState;
use crate::output::thread::{Serve, serve};
use crate::pipeline::builder::buffers::Buffers;
use crate::pipeline::builder::{Builder, Output};
use crate::pipeline::error::StartError;
use crate::pipeline::start_readers::Inputs;
use crate::report::event::Event;
use crate::report::ledger::Ledger;
use crate::source::host_tailers::Named;
use crate::source::stream::PipeTailer;
use crate::sync::stop::Stop;
use crate::watch::{Notifier, WatchMode};

/// A builder whose settings are checked.
pub(crate) struct Prepared {
    pub(crate) inputs: Inputs,
    /// The number of batches.
    pub(crate) batches: usize,
    pub(crate) serve: Serve,
}

impl Builder {
    /// Checks the settings and computes what follows from them. It blocks, since it reads the file system.
    pub(crate) fn prepare(mut self) -> Result<Prepared, StartError> {
        let buffers = Buffers::new(self.limit.max, self.memory)?;
        let inputs_fs = self.inputs_fs()?;
        let specs = self.specs(&*inputs_fs)?;
        let named = specs.iter().filter_map(Spec::path).map(Path::to_owned).collect();
        let (specs, fifos) = specs.into_iter().partition(|spec| !self.is_fifo_once(spec, &*inputs_fs));
        let ledger = Ledger::new(mem::replace(&mut self.observer, Box::new(|_: &Event| {})));
        let cx = self.read_context(inputs_fs, ledger.clone(), &buffers)?;
        let watch = if self.once { WatchMode::Poll } else { self.watch };
        let notifier = Notifier::new(watch, &*self.fs, &ledger);
        let notifier = notifier.map_err(|error| StartError::system("there is no notification", error))?;
        let tailers = self.take_tailers(fifos, &cx)?;
        let registry = cx.registry.clone();
        let resume = Arc::new(move |path: Option<&Path>, position| match path {
            Some(path) => registry.keep_position(path, position),
            None => registry.keep_position_of_moved(position),
        });
        let state = self.state.take().map(|path| WantedState { path, resume });
        let inputs = Inputs { specs, start: self.start, tailers, cx, notifier };
        let (fs, append) = (self.fs, self.append);
        let file = |path| FileOutput { fs, path, append, inputs: named, state };
        let serve_file = |output: FileOutput| serve(|cx| output.open(cx));
        let serve = match self.output {
            Output::Own(serve) => serve,
            Output::Stdout => serve_file(file(None)),
            Output::File(path) => serve_file(file(Some(path))),
        };
        Ok(Prepared { inputs, batches: buffers.batches, serve })
    }

    /// Returns true for a FIFO that is read to its end. Otherwise those who follow the path find it, whenever it is
    /// there.
    fn is_fifo_once(&self, spec: &Spec, fs: &dyn Fs) -> bool {
        let is_fifo =
            |path: &Path| fs.remote_device(path).is_none() && fs.stat(path).is_ok_and(|stat| stat.kind == Kind::Fifo);
        self.once && spec.path().is_some_and(is_fifo)
    }

    /// Returns what all readers of files share.
    fn read_context(&self, fs: Arc<dyn Fs>, ledger: Arc<Ledger>, buffers: &Buffers) -> Result<ReadContext, StartError> {
        let registry = FileRegistry::default();
        for id in self.never_ids() {
            registry.forbid(id);
        }
        for (path, position) in &self.positions {
            registry.keep_position(path, *position);
        }
        let settings = Settings {
            limit: self.limit,
            format: self.format,
            once: self.once,
            goes_on: self.state.is_some(),
            grace: self.rotated_grace,
            copy_grace: self.rotated_grace,
            chunk: buffers.chunk,
            capacity: buffers.capacity,
            poll_interval: self.poll_interval,
            stall_limit: self.stall_limit,
            ignore_older: self.ignore_older,
            deleted_max_age: self.deleted_max_age,
            deleted_max_bytes: self.deleted_max_bytes,
        };
        Ok(ReadContext {
            is_ending: false,
            settings,
            fs,
            ledger,
            registry: Arc::new(registry),
            excludes: Arc::new(Excludes::new(self.excludes.clone())?),
            descriptors: Descriptors::new(OpenLimits::of_process()),
            stop: Arc::new(Stop::new()),
            streams: None,
            watch: None,
        })
    }

    /// Returns the host's tailers, and those of the inputs that are streams.
    fn take_tailers(&mut self, fifos: Vec<Spec>, cx: &ReadContext) -> Result<Vec<Named>, StartError> {
        let ledger = &cx.ledger;
        let add = |(name, tailer): (OsString, _)| (ledger.add_source(Path::new(&name).into()), tailer);
        let mut tailers: Vec<Named> = self.tailers.drain(..).map(add).collect();
        for fifo in fifos.iter().filter_map(Spec::path) {
            let source = ledger.add_source(fifo.into());
            let pipe = PipeTailer::fifo_once(source.clone(), cx);
            tailers.push((source, Box::new(pipe)));
        }
        if self.stdin {
            let source = ledger.add_source(Path::new("-").into());
            let pipe = PipeTailer::stdin(source.clone(), cx);
            let pipe = pipe.map_err(|error| StartError::system("standard input cannot be read", error))?;
            tailers.push((source, Box::new(pipe)));
        }
        Ok(tailers)
    }
}
