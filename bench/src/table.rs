//! Samples, their medians, and the tables they are printed in. Invariant: whoever was to be measured has a row in
//! every table, with numbers or with the reason why there are none.

use std::fmt::Write;

use crate::peers::{JUMPBAG, Syncs};

/// What the samples of a table are, and so which direction is better.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Milliseconds,
    PerSecond,
    Mebibytes,
    /// Less is better, as of milliseconds.
    PerMinute,
    /// Of one core; less is better.
    Percent,
    Kibibytes,
    /// 10⁶ bytes.
    Megabytes,
    /// 10⁹ bytes; more is better.
    GigabytesPerSecond,
    /// Less is better.
    Calls,
    /// How many times the cost grew; no comparison between peers is made of it.
    Growth,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::PerSecond => "per second",
            Self::Mebibytes => "MiB",
            Self::PerMinute => "a minute",
            Self::Percent => "% of a core",
            Self::Kibibytes => "KiB",
            Self::Megabytes => "MB",
            Self::GigabytesPerSecond => "GB/s",
            Self::Calls => "calls",
            Self::Growth => "times",
        }
    }
}

/// One contestant's samples in one table.
pub struct Row {
    pub name: String,
    pub syncs: Option<Syncs>,
    pub samples: Vec<f64>,
    pub failure: Option<String>,
}

impl Row {
    pub fn median(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[middle]),
            _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
        }
    }

    /// Whether it was measured, or somebody tried.
    pub fn has_something(&self) -> bool {
        !self.samples.is_empty() || self.failure.is_some()
    }

    pub fn min(&self) -> f64 {
        self.samples.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.samples.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// One measured thing. `id` names it for the aims.
pub struct Table {
    pub id: String,
    pub title: String,
    pub unit: Unit,
    pub remark: String,
    pub rows: Vec<Row>,
}

impl Table {
    pub fn new(id: &str, title: impl Into<String>, unit: Unit, remark: impl Into<String>) -> Self {
        Self { id: id.to_string(), title: title.into(), unit, remark: remark.into(), rows: Vec::new() }
    }

    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The table as markdown.
    pub fn markdown(&self) -> String {
        let unit = self.unit.name();
        let written = self.rows.iter().any(|row| row.syncs.is_some());
        let (head, rule) = if written { (" synced when answered |", "---|") } else { ("", "") };
        let mut text = format!("### {}\n\n", self.title);
        let _ = writeln!(text, "| who | median ({unit}) | min–max | n | jumpbag better by |{head}");
        let _ = writeln!(text, "|---|---:|---:|---:|---:|{rule}");
        let jumpbag = self.row(JUMPBAG).and_then(Row::median);
        for row in &self.rows {
            let _ = write!(text, "{}", self.line(row, jumpbag));
            let _ = if written { writeln!(text, " {} |", syncs(row)) } else { writeln!(text) };
        }
        for (row, failure) in self.rows.iter().filter_map(|row| Some((row, row.failure.as_ref()?))) {
            let _ = writeln!(text, "\n{}: {}", row.name, cell(failure));
        }
        if !self.remark.is_empty() {
            let _ = writeln!(text, "\n{}", self.remark);
        }
        text
    }

    fn line(&self, row: &Row, jumpbag: Option<f64>) -> String {
        let Some(median) = row.median() else {
            return format!("| {} | not measured | | 0 | |", row.name);
        };
        let ratio = match (self.unit, jumpbag) {
            (Unit::Growth, _) | (_, None) => None,
            _ if row.name == JUMPBAG => None,
            (Unit::PerSecond | Unit::GigabytesPerSecond, Some(own)) => Some(own / median),
            (_, Some(own)) if own > 0.0 => Some(median / own),
            _ => None,
        };
        let ratio = ratio.map_or_else(|| "–".to_string(), |ratio| format!("{ratio:.2}×"));
        let (low, high) = (number(row.min()), number(row.max()));
        let (name, count) = (&row.name, row.samples.len());
        format!("| {name} | {} | {low}–{high} | {count} | {ratio} |", number(median))
    }
}

fn syncs(row: &Row) -> &'static str {
    match row.syncs {
        Some(Syncs::Yes) => "yes",
        Some(Syncs::BytesOnly) => "bytes only",
        Some(Syncs::No) => "no",
        None => "",
    }
}

/// Three significant digits, or all before the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Text that cannot break a table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, samples: &[f64]) -> Row {
        Row { name: name.into(), syncs: Some(Syncs::No), samples: samples.to_vec(), failure: None }
    }

    #[test]
    fn median_of_even_and_odd_counts() {
        assert_eq!(row("a", &[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(row("a", &[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(row("a", &[]).median(), None);
    }

    #[test]
    fn ratios_above_one_mean_that_jumpbag_is_better() {
        for (unit, jumpbag, peer) in [(Unit::Milliseconds, 10.0, 20.0), (Unit::PerSecond, 200.0, 100.0)] {
            let mut table = Table::new("x", "X", unit, "");
            table.rows = vec![row(JUMPBAG, &[jumpbag]), row("peer", &[peer])];
            assert!(table.markdown().contains("| 2.00× |"), "{}", table.markdown());
        }
    }

    #[test]
    fn who_was_not_measured_is_named_with_the_reason() {
        let mut table = Table::new("x", "X", Unit::PerSecond, "");
        table.rows = vec![Row { failure: Some("is not there".into()), ..row("peer", &[]) }];
        let text = table.markdown();
        assert!(text.contains("| peer | not measured |") && text.contains("peer: is not there"), "{text}");
    }
}
