//! What jumpbag wants to reach, and whether it did. Invariant: an aim whose numbers are missing is shown as not
//! measured, never as met.

use std::fmt::Write;

use crate::peers::{JUMPBAG, NGINX, Syncs};
use crate::physical;
use crate::table::{Row, Table, cell, number};
use crate::work::{
    action, agent, agents, cli, concurrent, download, flat, list, search, small, start, upload,
};

struct Aim {
    what: String,
    target: String,
    /// The measured number as text and whether it meets the target.
    measured: Option<(String, bool)>,
}

/// All aims against `tables`, as markdown. `many` is the size of the large library, `crowd` how many agents are connected
/// at most.
pub fn markdown(tables: &[Table], many: usize, crowd: usize) -> String {
    let mut text = String::from("### Aims\n\n| aim | target | measured | met |\n|---|---|---|---|\n");
    let tables = Tables(tables);
    for aim in all(&tables, many).into_iter().chain(machines(&tables, crowd)).chain(command_line(&tables)) {
        let (measured, met) = match &aim.measured {
            Some((measured, true)) => (measured.as_str(), "yes"),
            Some((measured, false)) => (measured.as_str(), "**no**"),
            None => ("not measured", "–"),
        };
        let _ = writeln!(text, "| {} | {} | {} | {met} |", cell(&aim.what), aim.target, cell(measured));
    }
    text
}

struct Tables<'a>(&'a [Table]);

impl Tables<'_> {
    fn table(&self, id: &str) -> Option<&Table> {
        self.0.iter().find(|table| table.id == id)
    }

    fn row(&self, id: &str, name: &str) -> Option<&Row> {
        self.table(id)?.row(name)
    }

    fn median(&self, id: &str, name: &str) -> Option<f64> {
        self.row(id, name)?.median()
    }
}

fn all(tables: &Tables<'_>, many: usize) -> Vec<Aim> {
    let aim = |what: &str, target: &str, measured| Aim { what: what.into(), target: target.into(), measured };
    vec![
        aim("20 MiB upload, share of the physical limit", "≥ 0.8", large(tables)),
        aim(
            "durable small uploads a second, against the best peer that does not sync all",
            "≥ 1.0×",
            small(tables),
        ),
        aim("list of 1,000 files, nginx static rate over jumpbag's", "≤ 1.5×", listed(tables)),
        aim("20 MiB download, time over that of nginx's static file", "≤ 1.3×", downloaded(tables)),
        aim("`$search` for a rare word over 10,000 scripts, in lists of 1,000", "≤ 3", searched(tables)),
        aim("peak memory under concurrent 20 MiB uploads, worst run", "< 96 MiB", peak(tables)),
        aim("idle memory, after the start and after a list, worst run", "< 20 MiB", idle(tables)),
        grown(tables, flat::UPLOAD, "upload", many),
        grown(tables, flat::DELETE, "delete", many),
    ]
}

/// What is wanted of live response.
fn machines(tables: &Tables<'_>, crowd: usize) -> Vec<Aim> {
    let below = |what: String, id: &str, row: &str, unit: &str, most: f64| Aim {
        what,
        target: format!("< {most} {unit}"),
        measured: tables.median(id, row).map(|median| (format!("{} {unit}", number(median)), median < most)),
    };
    let agents = agents::row(crowd);
    let of = |what: &str| format!("{what}, {agents} connected");
    vec![
        below(
            "trivial script on a machine, until its success is seen".into(),
            action::ID,
            JUMPBAG,
            "ms",
            20.0,
        ),
        below("the agent's program".into(), agent::SIZE, JUMPBAG, "MiB", 5.0),
        below("the agent's memory, idle".into(), agent::MEMORY, JUMPBAG, "MiB", 8.0),
        below(of("memory of the server"), agents::MEMORY, &agents, "MiB", 250.0),
        below(of("processor time of the server, idle"), agents::CPU, &agents, "% of a core", 5.0),
        below(of("one action on each, first result"), agents::FIRST, &agents, "ms", 1000.0),
        below(of("one action on each, last result, none lost"), agents::LAST, &agents, "ms", 60_000.0),
    ]
}

/// What is wanted of `jumpbag`.
fn command_line(tables: &Tables<'_>) -> Vec<Aim> {
    let below = |what: &str, id: &str, unit: &str, most: f64| Aim {
        what: what.into(),
        target: format!("< {most} {unit}"),
        measured: tables
            .median(id, JUMPBAG)
            .map(|median| (format!("{} {unit}", number(median)), median < most)),
    };
    let uploaded = |what: &str, other: &str| {
        let ratio =
            tables.median(cli::UPLOAD, other).zip(tables.median(cli::UPLOAD, JUMPBAG)).map(|(a, b)| a / b);
        Aim {
            what: format!("`files upload` of many files, faster than {what} by"),
            target: "≥ 1.0×".into(),
            measured: ratio.map(|ratio| (format!("{}×", number(ratio)), ratio >= 1.0)),
        }
    };
    let calls = tables.row(cli::CALLS, JUMPBAG).filter(|row| !row.samples.is_empty()).map(Row::max);
    let rate = tables.median(cli::HASHING, JUMPBAG);
    vec![
        Aim {
            what: "calls of a `sync` in which nothing changed, most".into(),
            target: "1".into(),
            measured: calls.map(|most| (format!("{most}"), most == 1.0)),
        },
        Aim {
            what: "`sync` of large files in which nothing changed".into(),
            target: "≥ 1 GB/s".into(),
            measured: rate.map(|rate| (format!("{} GB/s", number(rate)), rate >= 1.0)),
        },
        below("start of `jumpbag --version`", cli::VERSION, "ms", 10.0),
        below("start of `jumpbag --help`", cli::HELP, "ms", 10.0),
        below("the command line's program", cli::SIZE, "MB", 10.0),
        uploaded("a loop of curl", cli::LOOP),
        uploaded("rclone", cli::COPY),
    ]
}

fn large(tables: &Tables<'_>) -> Option<(String, bool)> {
    let share = tables.median(upload::ID, physical::FILE)? / tables.median(upload::ID, JUMPBAG)?;
    Some((number(share), share >= 0.8))
}

fn small(tables: &Tables<'_>) -> Option<(String, bool)> {
    let own = tables.median(small::UPLOADS, JUMPBAG)?;
    let rows = &tables.table(small::UPLOADS)?.rows;
    let unsynced = rows.iter().filter(|row| matches!(row.syncs, Some(Syncs::No | Syncs::BytesOnly)));
    let medians = unsynced.filter_map(|row| Some((row.median()?, &row.name)));
    let (best, name) = medians.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let ratio = own / best;
    Some((format!("{}× of {name} ({} against {})", number(ratio), number(own), number(best)), ratio >= 1.0))
}

fn listed(tables: &Tables<'_>) -> Option<(String, bool)> {
    let id = list::id(1_000);
    let ratio = tables.median(&id, list::STATIC)? / tables.median(&id, JUMPBAG)?;
    Some((format!("{}×", number(ratio)), ratio <= 1.5))
}

fn downloaded(tables: &Tables<'_>) -> Option<(String, bool)> {
    let ratio = tables.median(download::ID, JUMPBAG)? / tables.median(download::ID, NGINX)?;
    Some((format!("{}×", number(ratio)), ratio <= 1.3))
}

fn searched(tables: &Tables<'_>) -> Option<(String, bool)> {
    let ratio = tables.median(search::OVER_LIST, search::RARE)?;
    Some((number(ratio), ratio <= 3.0))
}

fn peak(tables: &Tables<'_>) -> Option<(String, bool)> {
    tables.median(concurrent::MEMORY, JUMPBAG)?;
    let most = tables.row(concurrent::MEMORY, JUMPBAG)?.max();
    Some((format!("{} MiB ({})", number(most), tables.table(concurrent::MEMORY)?.title), most < 96.0))
}

fn idle(tables: &Tables<'_>) -> Option<(String, bool)> {
    tables.median(start::IDLE, JUMPBAG)?;
    let before = tables.row(start::IDLE, JUMPBAG)?.max();
    let after = tables.row(start::IDLE_AFTER, JUMPBAG)?.max();
    let text = format!("{} and {} MiB", number(before), number(after));
    Some((text, before < 20.0 && after < 20.0))
}

/// Flat within what runs differ by on one machine.
fn grown(tables: &Tables<'_>, id: &str, what: &str, many: usize) -> Aim {
    let growth = tables.median(id, JUMPBAG);
    Aim {
        what: format!("cost of one {what}, {many} files present over 10"),
        target: "≤ 1.25×".into(),
        measured: growth.map(|growth| (format!("{}×", number(growth)), growth <= 1.25)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Unit;

    fn table(id: &str, unit: Unit, rows: &[(&str, Option<Syncs>, f64)]) -> Table {
        let mut table = Table::new(id, id, unit, "");
        let row = |(name, syncs, value): &(&str, Option<Syncs>, f64)| Row {
            name: (*name).into(),
            syncs: *syncs,
            samples: vec![*value],
            failure: None,
        };
        table.rows = rows.iter().map(row).collect();
        table
    }

    #[test]
    fn without_numbers_nothing_is_met() {
        let text = markdown(&[], 100_000, 10_000);
        assert_eq!(text.matches("| not measured | – |").count(), 23, "{text}");
    }

    #[test]
    fn the_best_unsynced_peer_counts_and_physical_rows_do_not() {
        let rows = [
            (JUMPBAG, Some(Syncs::Yes), 900.0),
            ("slow", Some(Syncs::No), 100.0),
            ("fast", Some(Syncs::No), 1000.0),
            (physical::LOG, None, 9000.0),
        ];
        let text = markdown(&[table(small::UPLOADS, Unit::PerSecond, &rows)], 100_000, 10_000);
        assert!(text.contains("| 0.90× of fast (900 against 1000) | **no** |"), "{text}");
    }

    #[test]
    fn an_upload_slower_than_the_limit_is_a_share_below_one() {
        let rows = [(JUMPBAG, Some(Syncs::Yes), 100.0), (physical::FILE, None, 85.0)];
        let text = markdown(&[table(upload::ID, Unit::Milliseconds, &rows)], 100_000, 10_000);
        assert!(text.contains("| ≥ 0.8 | 0.85 | yes |"), "{text}");
    }

    #[test]
    fn a_search_may_take_three_lists() {
        for (ratio, shown) in [(3.0, "| ≤ 3 | 3.00 | yes |"), (3.1, "| ≤ 3 | 3.10 | **no** |")] {
            let tables = [table(search::OVER_LIST, Unit::Growth, &[(search::RARE, None, ratio)])];
            let text = markdown(&tables, 100_000, 10_000);
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn a_download_slower_than_nginx_is_more_than_one_time() {
        for (own, shown) in [(13.0, "1.30× | yes |"), (15.0, "1.50× | **no** |")] {
            let rows = [(JUMPBAG, None, own), (NGINX, Some(Syncs::No), 10.0)];
            let text = markdown(&[table(download::ID, Unit::Milliseconds, &rows)], 100_000, 10_000);
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn one_call_is_enough_for_a_sync_and_two_are_too_many() {
        for (samples, shown) in
            [(vec![1.0, 1.0], "| 1 | 1 | yes |"), (vec![1.0, 1.0, 2.0], "| 1 | 2 | **no** |")]
        {
            let mut calls = table(cli::CALLS, Unit::Calls, &[(JUMPBAG, None, 0.0)]);
            calls.rows[0].samples = samples;
            let text = markdown(&[calls], 100_000, 10_000);
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn an_upload_that_takes_longer_than_a_loop_of_curl_is_less_than_one_time() {
        for (own, shown) in [(10.0, "2.00× | yes |"), (40.0, "0.50× | **no** |")] {
            let rows = [(JUMPBAG, Some(Syncs::Yes), own), (cli::LOOP, Some(Syncs::Yes), 20.0)];
            let text = markdown(&[table(cli::UPLOAD, Unit::Milliseconds, &rows)], 100_000, 10_000);
            assert!(text.contains(shown), "{text}");
        }
    }

    #[test]
    fn the_largest_crowd_counts() {
        let rows = [("10000 agents", None, 240.0), ("1000 agents", None, 900.0)];
        let text = markdown(&[table(agents::MEMORY, Unit::Mebibytes, &rows)], 100_000, 10_000);
        assert!(text.contains("| < 250 MiB | 240 MiB | yes |"), "{text}");
    }
}
