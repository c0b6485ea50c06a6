//! Finding where the lines of the inputs are in the output, and the most telling difference if they are not.

use std::cmp::Ordering;
use std::collections::HashMap;

/// The hashes of what an input should be in the output.
pub(super) struct Input {
    pub(super) lines: Vec<u64>,
    /// How many of them come of terminated lines. The others, pieces of the unterminated last line, may be left out.
    pub(super) whole: usize,
}

/// An output that is not right, and all that is known of it.
pub(super) struct Difference<'a> {
    /// Each input's lines that must be in the output.
    pub(super) wanted: Vec<&'a [u64]>,
    pub(super) output: &'a [u64],
    /// For each input, where its lines are if each is looked for as early as can be; shorter than `wanted` if one of
    /// them is not found behind the line before it.
    pub(super) front: Vec<Vec<usize>>,
    /// The same from the end: its last line as late as can be, then the one before.
    pub(super) back: Vec<Vec<usize>>,
    /// How much more often than wanted a line is in the output; below 0 if it is missing.
    pub(super) excess: HashMap<u64, i64>,
}

impl Difference<'_> {
    /// Input and index of a line that is missing.
    pub(super) fn missing(&self) -> (usize, usize) {
        let is_missing = |hash: &u64| self.excess.get(hash).is_some_and(|n| *n < 0);
        for in_order in [false, true] {
            let mut guess = None;
            for (i, lines) in self.wanted.iter().enumerate() {
                let found = self.front[i].len();
                if (found == lines.len()) != in_order {
                    continue;
                }
                // Without a line behind the first that is not found, that one would still not be found.
                for n in (0..lines.len().min(found + 1)).rev().filter(|n| is_missing(&lines[*n])) {
                    if self.is_in_order_without(i, n) {
                        return (i, n);
                    }
                    guess = guess.or(Some((i, n)));
                }
            }
            if let Some(place) = guess {
                return place;
            }
        }
        let place = |(i, lines): (usize, &&[u64])| Some((i, lines.iter().position(is_missing)?));
        self.wanted.iter().enumerate().find_map(place).unwrap_or_default()
    }

    /// Whether input `i` is in order in the output if its line `n` is left out of the input. All lines before `n` are
    /// found.
    fn is_in_order_without(&self, i: usize, n: usize) -> bool {
        let after = self.wanted[i].len() - n - 1;
        let (front, back) = (&self.front[i], &self.back[i]);
        back.len() >= after && (n == 0 || after == 0 || front[n - 1] < back[after - 1])
    }

    /// Index of a line of the output that is there once too often.
    pub(super) fn surplus(&self) -> usize {
        let excess = |hash: &u64| self.excess.get(hash).map_or(0, |n| (*n).max(0) as usize);
        let first = self.output.iter().position(|hash| excess(hash) > 0).unwrap_or_default();
        let hash = self.output[first];
        let users = |i: &usize| self.front[*i].len() == self.wanted[*i].len() && self.wanted[*i].contains(&hash);
        let users: Vec<usize> = (0..self.wanted.len()).filter(users).collect();
        // The last ones are taken to be too many; of these the first.
        let same = (0..self.output.len()).rev().filter(|at| self.output[*at] == hash);
        let spare = same.filter(|at| users.iter().all(|i| self.can_spare(*i, *at)));
        spare.take(excess(&hash)).last().unwrap_or(first)
    }

    /// Whether input `i` is in order in the output if the output's line `at` is left out.
    fn can_spare(&self, i: usize, at: usize) -> bool {
        let before = self.front[i].partition_point(|place| *place < at);
        let after = self.back[i].partition_point(|place| *place > at);
        before + after >= self.wanted[i].len()
    }

    /// An input, the indices of a line that comes too early and of one that should have come before it, and the index
    /// in the output of the first.
    pub(super) fn out_of_order(&self) -> (usize, usize, usize, usize) {
        let i = (0..self.wanted.len()).find(|i| self.front[*i].len() < self.wanted[*i].len()).unwrap_or_default();
        let (lines, front) = (self.wanted[i], &self.front[i]);
        let mut seen: HashMap<u64, (usize, usize)> =
            lines.iter().enumerate().map(|(n, hash)| (*hash, (n, 0))).collect();
        for hash in self.output {
            if let Some((_, times)) = seen.get_mut(hash) {
                *times += 1;
            }
        }
        // Best is a line that cannot be mistaken for another: where it is, a line of before it is still awaited.
        for (at, hash) in self.output.iter().enumerate() {
            if let Some((n, 1)) = seen.get(hash) {
                let awaited = front.partition_point(|place| *place < at);
                if *n > awaited {
                    return (i, *n, awaited, at);
                }
            }
        }
        let late = front.len().saturating_sub(1);
        let free = |at: &usize| self.output[*at] == lines[front.len()] && front.binary_search(at).is_err();
        (i, front.len(), late, (0..self.output.len()).rev().find(free).unwrap_or_default())
    }
}

/// Follows all inputs through the output at once, each as greedily as can be: which is enough, as one that can be found
/// at all is found so. `line` gives the hash of line `n` of input `i`. A line of the output may serve many inputs.
pub(super) fn align(
    inputs: usize,
    line: impl Fn(usize, usize) -> Option<u64>,
    output: impl Iterator<Item = (usize, u64)>,
) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); inputs];
    // An input that awaits a hash, and from each input to the next one that awaits the same.
    let mut awaiting: HashMap<u64, usize> = HashMap::with_capacity(inputs);
    let mut next = vec![None; inputs];
    for (i, next) in next.iter_mut().enumerate() {
        *next = line(i, 0).and_then(|hash| awaiting.insert(hash, i));
    }
    for (at, hash) in output {
        let mut waiting = awaiting.remove(&hash);
        while let Some(i) = waiting {
            found[i].push(at);
            waiting = next[i];
            next[i] = line(i, found[i].len()).and_then(|hash| awaiting.insert(hash, i));
        }
    }
    found
}

/// Equal for equal multisets, and for others as seldom as two lines have one hash.
pub(super) fn sum<'a>(lines: impl IntoIterator<Item = &'a u64>) -> (u64, u64) {
    lines.into_iter().fold((0, 0), |(count, sum), hash| (count + 1, sum.wrapping_add(*hash)))
}

/// How much more often than in the whole lines of the inputs a line is in the output, where that differs.
pub(super) fn excess(inputs: &[Input], output: &[u64]) -> HashMap<u64, i64> {
    let mut wanted: Vec<u64> = inputs.iter().flat_map(|input| &input.lines[..input.whole]).copied().collect();
    let mut output = output.to_vec();
    wanted.sort_unstable();
    output.sort_unstable();
    let mut excess = HashMap::new();
    let (mut w, mut o) = (0, 0);
    loop {
        let order = match (wanted.get(w), output.get(o)) {
            (Some(wanted), Some(output)) => wanted.cmp(output),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return excess,
        };
        match order {
            Ordering::Less => *excess.entry(wanted[w]).or_default() -= 1,
            Ordering::Greater => *excess.entry(output[o]).or_default() += 1,
            Ordering::Equal => {}
        }
        w += usize::from(order.is_le());
        o += usize::from(order.is_ge());
    }
}

/// Takes from `excess` what are unterminated last lines, and returns how many lines of each input are then wanted.
///
/// Those that are in the output with all their pieces go first, then those of which there are some.
pub(super) fn account_for_fragments(
    inputs: &[Input],
    front: &[Vec<usize>],
    excess: &mut HashMap<u64, i64>,
) -> Vec<usize> {
    let mut lengths: Vec<usize> = inputs.iter().map(|input| input.whole).collect();
    for all in [true, false] {
        for ((input, found), length) in inputs.iter().zip(front).zip(&mut lengths) {
            let Some(pieces) = input.lines[..found.len()].get(*length..) else { continue };
            let mut taken = 0;
            for piece in pieces {
                match excess.get_mut(piece) {
                    Some(n) if *n > 0 => *n -= 1,
                    _ => break,
                }
                taken += 1;
            }
            if all && *length + taken < input.lines.len() {
                for piece in &pieces[..taken] {
                    *excess.entry(*piece).or_default() += 1;
                }
            } else {
                *length += taken;
            }
        }
    }
    lengths
}
