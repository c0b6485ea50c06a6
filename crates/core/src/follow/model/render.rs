//! What is to come out for a range of bytes of a content.

use std::os::unix::ffi::OsStrExt;

use crate::batch::extent::Extent;
use crate::follow::model::disk::Disk;
use crate::follow::model::oracle::Oracle;
use crate::record::limit::LongLines;

/// The output for an extent.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) bytes: Vec<u8>,
    /// Where a fragment was ended.
    pub(crate) cut: Option<u64>,
}

/// What the bytes of an extent must look like in the output if they come from this content.
///
/// # Errors
///
/// Why they must not come out, such as being part of a line.
pub(crate) fn expect(oracle: &Oracle, disk: &Disk, epoch: usize, extent: &Extent) -> Result<Rendered, String> {
    let (content, track, setup) = (&disk.epochs[epoch], &oracle.tracks[epoch], &oracle.setup);
    let (start, end) = (extent.start as usize, (extent.start + extent.len_in) as usize);
    if end > content.bytes.len() {
        return Err(format!("the content had {} bytes", content.bytes.len()));
    }
    let mut rendered = Rendered { bytes: Vec::new(), cut: None };
    let mut at = start;
    while at < end {
        let line = line_start(&content.bytes, content.hole, &track.cuts, at);
        let newline = content.bytes[at..].iter().position(|&byte| byte == b'\n').map(|len| at + len);
        let stop = newline.unwrap_or(content.bytes.len());
        let is_long = stop - line > setup.limit;
        let next = match setup.policy {
            _ if !is_long && at != line => return Err(format!("byte {at} is within a line that starts at {line}")),
            LongLines::Split if is_long && !(at - line).is_multiple_of(setup.limit) => {
                return Err(format!("byte {at} is not where the line from {line} is split"));
            }
            LongLines::Split if stop - at > setup.limit => at + setup.limit,
            LongLines::Truncate if is_long && at == line => at + setup.limit,
            LongLines::Truncate | LongLines::Skip if is_long => {
                return Err(format!("byte {at} is in a line from {line} that is over the limit"));
            }
            _ if newline.is_some() => stop + 1,
            // Rotated files are let go at once; perhaps this one has its name again, but that was not looked at since.
            _ if !setup.keeps => {
                rendered.cut = Some(stop as u64);
                stop
            }
            _ => return Err(format!("from byte {at} there is no whole line")),
        };
        if next > end {
            return Err(format!("the line goes on to {next}"));
        }
        if setup.labels {
            rendered.bytes.extend_from_slice(extent.source.path().as_os_str().as_bytes());
            rendered.bytes.extend_from_slice(b": ");
        }
        rendered.bytes.extend_from_slice(&content.bytes[at..next.min(stop)]);
        rendered.bytes.push(b'\n');
        at = next;
    }
    Ok(rendered)
}

/// Where the line begins that the byte `at` is part of.
pub(crate) fn line_start(bytes: &[u8], hole: usize, cuts: &[u64], at: usize) -> usize {
    let after_newline = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let after_cut = cuts.iter().map(|&cut| cut as usize).filter(|&cut| cut <= at).max().unwrap_or(0);
    let after_hole = if hole <= at { hole } else { 0 };
    after_newline.max(after_cut).max(after_hole)
}
