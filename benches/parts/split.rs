//! What is done with bytes that are in memory: finding where lines end, counting and rendering them.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use tailmerge::internal::LineFormat;
use tailmerge::{Batch, Format, Prefix};

use crate::{Bench, CHUNK, Outcome, gb_per_second, ns_each, text, us_each};

pub(crate) fn run(bench: &Bench) -> Outcome<()> {
    let text = text::lines(bench.bytes.min(8 * 1024 * 1024));
    let pieces = text::pieces(&text, CHUNK);
    let count = memchr::memchr_iter(b'\n', &text).count();
    println!("  (lines of {} bytes on average, in pieces of {} KiB)", text.len() / count, CHUNK / 1024);

    bench.tell("last newline of a piece that ends with half a line", "ns", || {
        let start = Instant::now();
        for piece in &pieces {
            black_box(memchr::memrchr(b'\n', &piece[..piece.len() - 1]));
        }
        Ok(ns_each(pieces.len(), start.elapsed()))
    })?;
    bench.tell("count lines", "GB/s", || {
        let start = Instant::now();
        for piece in &pieces {
            black_box(memchr::memchr_iter(b'\n', piece).count());
        }
        Ok(gb_per_second(text.len(), start.elapsed()))
    })?;
    bench.tell("find each line", "GB/s", || {
        let start = Instant::now();
        for piece in &pieces {
            for at in memchr::memchr_iter(b'\n', piece) {
                black_box(at);
            }
        }
        Ok(gb_per_second(text.len(), start.elapsed()))
    })?;
    bench.tell("Batch::commit of a piece", "µs", || {
        let mut batch = Batch::with_capacity(text.len());
        batch.spare().copy_from_slice(&text);
        let mut offset = 0;
        let start = Instant::now();
        for piece in &pieces {
            batch.commit(offset, piece.len());
            offset += piece.len() as u64;
        }
        let took = start.elapsed();
        black_box(batch.extents());
        Ok(us_each(pieces.len(), took))
    })?;
    render(bench, &pieces, count)
}

fn render(bench: &Bench, pieces: &[&[u8]], count: usize) -> Outcome<()> {
    for (what, prefix, format) in [
        ("render a line with its label", Prefix::Name, Format::Raw),
        ("render a line as JSON", Prefix::None, Format::Json),
        ("render a line as JSON with its label", Prefix::Name, Format::Json),
    ] {
        let renderer = LineFormat { prefix, format }.labelled(Path::new("logs/app.log"));
        let mut out = Vec::with_capacity(2 * CHUNK);
        bench.tell(what, "ns", || {
            let start = Instant::now();
            for piece in pieces {
                out.clear();
                let mut from = 0;
                for at in memchr::memchr_iter(b'\n', piece) {
                    renderer.push(&piece[from..at], &mut out);
                    from = at + 1;
                }
                black_box(&out);
            }
            Ok(ns_each(count, start.elapsed()))
        })?;
    }
    Ok(())
}
