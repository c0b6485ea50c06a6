//! Splits the bytes of one input into records, and applies the line limit.
//!
//! It does no I/O, and the records are the same however the bytes are divided over calls. It keeps no bytes: the caller
//! gives those that were not taken again, with more behind them.

use memchr::{memchr, memrchr};

use crate::batch::position::LineState;
use crate::record::limit::{LineLimit, LongLines};

/// Takes the records of an input, in order. Positions are offsets in the input.
pub(crate) trait RecordSink {
    /// Takes a record that was made from the bytes `start..end`; `content` has no newline. Returns false if there is no
    /// room: then the same record comes again later.
    fn record(&mut self, content: &[u8], start: u64, end: u64) -> bool;

    /// A line over the limit begins at `start`. Called once a line, after its first piece.
    fn long_line(&mut self, start: u64);

    /// The bytes `start..end` were dropped by the limit.
    fn dropped(&mut self, start: u64, end: u64);
}

/// The outcome of a call of [`Framer::frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framed {
    /// The number of bytes that were taken. The others are the beginning of a line, or did not fit.
    pub(crate) taken: usize,
    /// False if the sink had no room.
    pub(crate) room: bool,
}

/// Splits bytes into records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framer {
    limit: LineLimit,
    state: LineState,
}

impl Framer {
    /// Makes a framer that goes on in a given state.
    pub(crate) fn new(limit: LineLimit, state: LineState) -> Self {
        Self { limit, state }
    }

    pub(crate) fn state(&self) -> LineState {
        self.state
    }

    /// Returns the length of the whole lines at the start of `bytes`, if none of them can be over the limit. They are
    /// records as they stand.
    pub(crate) fn whole_lines(&self, bytes: &[u8]) -> Option<usize> {
        let is_plain = self.state == LineState::Start && bytes.len() <= self.limit.max;
        memrchr(b'\n', bytes).filter(|_| is_plain).map(|last| last + 1)
    }

    /// Gives the records among `bytes`, which stand at the offset `start`, to the sink.
    pub(crate) fn frame(&mut self, bytes: &[u8], start: u64, sink: &mut impl RecordSink) -> Framed {
        let max = self.limit.max;
        let mut taken = 0;
        loop {
            let (rest, from) = (&bytes[taken..], start + taken as u64);
            let newline = memchr(b'\n', rest);
            let len = newline.unwrap_or(rest.len());
            match self.state {
                LineState::Dropped { from: first, whole } => {
                    if newline.is_none() {
                        return Framed { taken: bytes.len(), room: true };
                    }
                    sink.dropped(first, from + len as u64 + u64::from(whole));
                    self.state = LineState::Start;
                    taken += len + 1;
                }
                state if len > max => {
                    let head = if self.limit.policy == LongLines::Skip { 0 } else { max };
                    let end = from + head as u64;
                    if head > 0 && !sink.record(&rest[..head], from, end) {
                        return Framed { taken, room: false };
                    }
                    if state == LineState::Start {
                        sink.long_line(from);
                    }
                    self.state = match self.limit.policy {
                        LongLines::Split => LineState::Long,
                        LongLines::Truncate => LineState::Dropped { from: end, whole: false },
                        LongLines::Skip => LineState::Dropped { from: end, whole: true },
                    };
                    taken += head;
                }
                _ if newline.is_some() => {
                    if !sink.record(&rest[..len], from, from + len as u64 + 1) {
                        return Framed { taken, room: false };
                    }
                    self.state = LineState::Start;
                    taken += len + 1;
                }
                _ => return Framed { taken, room: true },
            }
        }
    }

    /// Ends the input: `rest`, which [`frame`](Self::frame) did not take, is its last record. Returns false if the sink
    /// had no room.
    pub(crate) fn finish(&mut self, rest: &[u8], start: u64, sink: &mut impl RecordSink) -> bool {
        let end = start + rest.len() as u64;
        if let LineState::Dropped { from, .. } = self.state {
            sink.dropped(from, end);
        } else if !rest.is_empty() && !sink.record(rest, start, end) {
            return false;
        }
        self.state = LineState::Start;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects records, and refuses each one `refuse` times.
    #[derive(Default)]
    struct Collected {
        records: Vec<(Vec<u8>, u64, u64)>,
        long: Vec<u64>,
        dropped: Vec<(u64, u64)>,
        refuse: usize,
        refused: usize,
    }

    impl RecordSink for Collected {
        fn record(&mut self, content: &[u8], start: u64, end: u64) -> bool {
            if self.refused < self.refuse {
                self.refused += 1;
                return false;
            }
            self.refused = 0;
            self.records.push((content.to_vec(), start, end));
            true
        }

        fn long_line(&mut self, start: u64) {
            self.long.push(start);
        }

        fn dropped(&mut self, start: u64, end: u64) {
            self.dropped.push((start, end));
        }
    }

    /// The records of an input by their definition, line by line.
    fn expected(bytes: &[u8], LineLimit { max, policy }: LineLimit) -> Collected {
        let mut all = Collected::default();
        let mut at = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let content = line.strip_suffix(b"\n").unwrap_or(line);
            let (start, stop, end) = (at, at + content.len() as u64, at + line.len() as u64);
            at = end;
            if content.len() <= max {
                all.records.push((content.to_vec(), start, end));
                continue;
            }
            all.long.push(start);
            let cut = start + max as u64;
            match policy {
                LongLines::Split => {
                    let mut from = start;
                    for piece in content.chunks(max) {
                        let to = from + piece.len() as u64;
                        all.records.push((piece.to_vec(), from, if to == stop { end } else { to }));
                        from = to;
                    }
                }
                LongLines::Truncate => {
                    all.records.push((content[..max].to_vec(), start, cut));
                    all.dropped.push((cut, stop));
                }
                LongLines::Skip => all.dropped.push((start, end)),
            }
        }
        all
    }

    /// Frames an input that becomes visible `step` bytes at a time.
    fn framed(bytes: &[u8], limit: LineLimit, step: usize, refuse: usize) -> Collected {
        let mut all = Collected { refuse, ..Collected::default() };
        let mut state = LineState::Start;
        let (mut offset, mut seen) = (0, 0);
        loop {
            let mut framer = Framer::new(limit, state);
            let rest = &bytes[offset..seen];
            if let Some(len) = framer.whole_lines(rest) {
                assert_eq!(rest[len - 1], b'\n');
                assert!(rest[..len].split(|&byte| byte == b'\n').all(|line| line.len() <= limit.max));
            }
            let framed = framer.frame(rest, offset as u64, &mut all);
            (offset, state) = (offset + framed.taken, framer.state());
            if framed.room && seen == bytes.len() {
                while !framer.finish(&bytes[offset..], offset as u64, &mut all) {}
                return all;
            }
            seen = (seen + if framed.room { step } else { 0 }).min(bytes.len());
        }
    }

    #[test]
    fn records_do_not_depend_on_how_the_bytes_come() {
        // Each input of up to seven bytes, of which some are newlines.
        for len in 0..8 {
            for newlines in 0..1_u32 << len {
                let byte = |at: u32| if newlines >> at & 1 == 1 { b'\n' } else { b'a' + at as u8 };
                let bytes: Vec<u8> = (0..len).map(byte).collect();
                for policy in [LongLines::Split, LongLines::Truncate, LongLines::Skip] {
                    for max in 1..4 {
                        let limit = LineLimit { max, policy };
                        let want = expected(&bytes, limit);
                        for (step, refuse) in [(1, 0), (2, 1), (3, 0), (8, 0), (8, 2)] {
                            let got = framed(&bytes, limit, step, refuse);
                            let case = (String::from_utf8_lossy(&bytes), limit, step, refuse);
                            assert_eq!(got.records, want.records, "{case:?}");
                            assert_eq!(got.long, want.long, "{case:?}");
                            assert_eq!(got.dropped, want.dropped, "{case:?}");
                        }
                    }
                }
            }
        }
    }
}
