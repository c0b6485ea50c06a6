//! Reads the files of devices where a call may hang, that of a network or of a program: they are found and read by a
//! job of their own, one a device, so that no other file waits with them.

use std::time::Duration;

use async_channel::{Receiver, TryRecvError};

use crate::batch::Batch;
use crate::discover::Discovery;
use crate::discover::remote::Order;
use crate::follow::shard::FileShard;
use crate::source::tailer::{Progress, TailError, Tailer};

/// Finds and reads the files of remote devices, in one job.
#[derive(Debug)]
pub(crate) struct RemoteReader {
    orders: Receiver<Order>,
    /// The discovery; none after its last scan.
    discovery: Option<Discovery>,
    shard: FileShard,
    poll_interval: Duration,
}

impl RemoteReader {
    pub(crate) fn new(
        orders: Receiver<Order>,
        discovery: Discovery,
        shard: FileShard,
        poll_interval: Duration,
    ) -> Self {
        Self { orders, discovery: Some(discovery), shard, poll_interval }
    }

    /// Obeys orders, and scans if it is due.
    fn discover(&mut self) {
        let Some(discovery) = &mut self.discovery else { return };
        loop {
            match self.orders.try_recv() {
                Ok(order) => discovery.obey(order),
                Err(TryRecvError::Empty) => {
                    if !discovery.is_once() {
                        discovery.scan_if_due(self.poll_interval, false);
                    }
                    return;
                }
                Err(TryRecvError::Closed) => {
                    discovery.scan_if_due(self.poll_interval, true);
                    self.discovery = None;
                    return;
                }
            }
        }
    }
}

impl Tailer for RemoteReader {
    fn fill(&mut self, batch: &mut Batch) -> Result<Progress, TailError> {
        self.discover();
        self.shard.fill(batch)
    }

    fn look(&mut self) {
        self.discover();
        self.shard.look();
    }

    fn idle_timeout(&self) -> Option<Duration> {
        let discovery = self.discovery.as_ref().map(|discovery| discovery.rest(self.poll_interval).1);
        self.shard.idle_timeout().into_iter().chain(discovery).min()
    }
}
