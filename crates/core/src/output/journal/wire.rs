//! Numbers and records as bytes, and the check sums by which a record is known.
//!
//! The check sums of a record cover its place and the journal's number, so that bytes that were written somewhere else,
//! or by an earlier journal, are not taken for it.

use crc32fast::Hasher;

/// The bytes of a record before its body: the length of the body, and a check sum of that.
pub(super) const HEAD: usize = 8;
/// The bytes of a record behind its body: a check sum of head and body.
pub(super) const TAIL: usize = 4;

/// Appends a number, seven bits a byte, the lowest first; the top bit of each byte but the last is set (LEB128).
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a record whose body `put` appends; it stands at `place` in the journal of this number.
///
/// Returns false, and appends nothing, if the body is longer than a record can be.
pub(super) fn put_record(out: &mut Vec<u8>, number: u64, place: u64, put: impl FnOnce(&mut Vec<u8>)) -> bool {
    let at = out.len();
    out.resize(at + HEAD, 0);
    put(out);
    let Ok(len) = u32::try_from(out.len() - at - HEAD) else {
        out.truncate(at);
        return false;
    };
    let len = len.to_le_bytes();
    out[at..at + 4].copy_from_slice(&len);
    out[at + 4..at + HEAD].copy_from_slice(&sum(number, place, &[&len]).to_le_bytes());
    let whole = sum(number, place, &[&out[at..]]);
    out.extend_from_slice(&whole.to_le_bytes());
    true
}

/// Returns the body of the record at `place`, and where the next one begins; none if there is no valid one.
pub(super) fn record_at(bytes: &[u8], number: u64, place: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(place..)?;
    let (len, len_sum) = (rest.first_chunk::<4>()?, rest.get(4..)?.first_chunk::<4>()?);
    let end = usize::try_from(u32::from_le_bytes(*len)).ok()?.checked_add(HEAD)?;
    // Most bytes that are no record end here already.
    let (record, whole) = (rest.get(..end)?, rest.get(end..)?.first_chunk::<TAIL>()?);
    if u32::from_le_bytes(*len_sum) != sum(number, place as u64, &[len]) {
        return None;
    }
    let is_valid = u32::from_le_bytes(*whole) == sum(number, place as u64, &[record]);
    is_valid.then(|| (&record[HEAD..], place + end + TAIL))
}

/// Returns true if a valid record begins behind `place`.
pub(super) fn has_record_behind(bytes: &[u8], number: u64, place: usize) -> bool {
    (place + 1..bytes.len().saturating_sub(HEAD)).any(|place| record_at(bytes, number, place).is_some())
}

fn sum(number: u64, place: u64, parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&place.to_le_bytes());
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The bytes of a body that are still to be decoded. Each method returns none where there are too few, or where they are
/// not what it returns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (these, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(these)
    }

    pub(super) fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        self.take(LEN)?.first_chunk().copied()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn sum(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number of a smaller type.
    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        self.number()?.try_into().ok()
    }
}
