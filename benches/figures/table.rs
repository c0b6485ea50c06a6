//! Figures of several runs, and the tables they are printed in.

use std::fmt;

/// The median of some runs, and their range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    median: f64,
    min: f64,
    max: f64,
}

impl Figure {
    /// Of at least one run.
    pub(crate) fn of(runs: &[f64]) -> Self {
        let mut runs = runs.to_vec();
        runs.sort_by(f64::total_cmp);
        let (low, high) = (runs[(runs.len() - 1) / 2], runs[runs.len() / 2]);
        Self { median: f64::midpoint(low, high), min: runs[0], max: runs[runs.len() - 1] }
    }

    /// The ratio of two medians. The range is that of the ratios run by run.
    pub(crate) fn ratio(over: &[f64], under: &[f64]) -> Self {
        let pairs: Vec<f64> = over.iter().zip(under).map(|(over, under)| over / under).collect();
        Self { median: Self::of(over).median / Self::of(under).median, ..Self::of(&pairs) }
    }
}

/// What a median must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::Below(bound) => value < bound,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::Below(bound) => write!(f, "< {bound}"),
        }
    }
}

/// A section's figures, a row each.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: Figure,
    /// Digits after the point.
    digits: usize,
    unit: &'static str,
    target: Option<Target>,
}

impl Row {
    fn is_missed(&self) -> bool {
        self.target.is_some_and(|target| !target.is_met(self.figure.median))
    }
}

impl Table {
    /// Adds a row that is there to compare with.
    pub(crate) fn tell(&mut self, what: impl Into<String>, figure: Figure, digits: usize, unit: &'static str) {
        self.row(what, figure, digits, unit, None);
    }

    /// Adds a row, which may have a target.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        figure: Figure,
        digits: usize,
        unit: &'static str,
        target: impl Into<Option<Target>>,
    ) {
        self.rows.push(Row { what: what.into(), figure, digits, unit, target: target.into() });
    }

    /// How many targets are missed.
    pub(crate) fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.is_missed()).count()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let Row { what, figure: Figure { median, min, max }, digits, unit, target } = row;
            let range = format!("({min:.digits$}–{max:.digits$})");
            write!(f, "  {what:<44} {median:>9.digits$} {range:<17} {unit:<7}")?;
            match target {
                Some(target) => writeln!(f, " {target:<8} {}", if row.is_missed() { "MISSED" } else { "ok" })?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
