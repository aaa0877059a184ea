//! Every way to tamper with a small log, one at a time: each is found, and named is the first entry that is bad.

use serde_json::{Value, json};

use super::{Fault, Verified, Verifier};
use crate::audit::{AuditEntry, FIRST, RESTORE};
use crate::note::{Checkpoint, PublicKey, signed};
use crate::time::Timestamp;

const ENTRIES: i64 = 12;
/// The entries that checkpoints cover.
const SEALED: [i64; 3] = [4, 8, 11];

/// Stands in for Ed25519: the signature is the key's first byte and the message's digest, more or less.
fn check(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    signature == signature_of(public[0], message)
}

fn signature_of(key: u8, message: &[u8]) -> [u8; 2] {
    [key, message.iter().fold(1, |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(*byte))]
}

fn key(byte: u8) -> PublicKey {
    PublicKey::new("example.org/log", [byte; 32]).unwrap()
}

fn note(key_byte: u8, number: i64, head: &str) -> String {
    let checkpoint = Checkpoint { origin: "example.org/log".into(), number, head: head.into() };
    let text = checkpoint.text().unwrap();
    signed(&text, &key(key_byte), &signature_of(key_byte, text.as_bytes()))
}

#[derive(Clone)]
struct Log {
    entries: Vec<AuditEntry>,
    /// Number, as its row has it, and note.
    seals: Vec<(i64, String)>,
}

fn entry(number: i64, previous: &str) -> AuditEntry {
    let mut entry = AuditEntry {
        number,
        time: Timestamp::from_micros(1_767_225_600_000_001 + number),
        actor: "Zoë".into(),
        actor_id: "app t c".into(),
        address: Some("127.0.0.1".into()),
        action: "library.upload".into(),
        target: format!("{number}.ps1"),
        before: (number % 2 == 0).then(|| json!({ "version": number })),
        after: Some(json!({ "version": number + 1, "file": { "fileName": "a", "tags": ["x"] } })),
        request_id: format!("request {number}"),
        previous: previous.into(),
        hash: String::new(),
    };
    entry.hash = entry.expected_hash();
    entry
}

/// Twelve entries; the seventh continues a backup, a thousand numbers later.
fn log() -> Log {
    let mut entries: Vec<AuditEntry> = Vec::new();
    for number in 1..=ENTRIES {
        let previous = entries.last().map_or(FIRST.into(), |last| last.hash.clone());
        let mut next = entry(if number < 7 { number } else { number + 1000 }, &previous);
        if number == 7 {
            (next.action, next.before) = (RESTORE.into(), Some(json!({ "number": 6 })));
            next.hash = next.expected_hash();
        }
        entries.push(next);
    }
    let seals = SEALED.map(|place| {
        let covered = &entries[place as usize - 1];
        (covered.number, note(1, covered.number, &covered.hash))
    });
    Log { entries, seals: seals.into() }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut seals = self.seals.iter().peekable();
        let line = |note: &String| json!({ "checkpoint": note }).to_string();
        for entry in &self.entries {
            while let Some((_, note)) = seals.next_if(|(number, _)| *number < entry.number) {
                lines.push(line(note));
            }
            lines.push(serde_json::to_string(entry).unwrap());
        }
        lines.extend(seals.map(|(_, note)| line(note)));
        lines
    }

    fn verified(&self) -> Result<Verified, Fault> {
        verify(&self.lines(), &[])
    }

    /// The place of the first bad entry, counted from 1, and the last that may be meant.
    fn first_bad(&self) -> (i64, i64) {
        let fault = self.verified().expect_err("it was tampered with");
        (fault.first, fault.last)
    }

    /// Hashes from this index on, as whoever forges a log makes them.
    fn rehash(&mut self, from: usize) {
        for index in from..self.entries.len() {
            let previous =
                index.checked_sub(1).map_or(FIRST.into(), |before| self.entries[before].hash.clone());
            self.entries[index].previous = previous;
            self.entries[index].hash = self.entries[index].expected_hash();
        }
    }
}

fn verify(lines: &[impl AsRef<str>], kept: &[String]) -> Result<Verified, Fault> {
    let mut verifier = Verifier::new(vec![key(1)], check);
    for note in kept {
        verifier.keep(note).expect("a good checkpoint");
    }
    for line in lines {
        verifier.line(line.as_ref())?;
    }
    verifier.finish()
}

fn number_of(place: i64) -> i64 {
    if place < 7 { place } else { place + 1000 }
}

#[test]
fn the_log_as_it_was_written_is_good() {
    let log = log();
    let verified = log.verified().unwrap();
    assert_eq!((verified.entries, verified.checkpoints), (12, 3));
    assert_eq!((verified.last, verified.sealed), (1012, 1011));
    assert_eq!(verified.head, log.entries[11].hash);
    // As two exports that follow each other have it: the checkpoint between them is there twice.
    let mut lines = log.lines();
    let place = lines.iter().position(|line| line.starts_with("{\"checkpoint\"")).unwrap();
    lines.insert(place, lines[place].clone());
    assert_eq!(verify(&lines, &[]), Ok(verified));
    let empty: [&str; 0] = [];
    assert_eq!(verify(&empty, &[]).unwrap().entries, 0);
}

#[test]
fn each_altered_column_of_each_entry_is_found() {
    type Alter = fn(&mut AuditEntry);
    let columns: [Alter; 12] = [
        |entry| entry.time = entry.time.plus_secs(1),
        |entry| entry.actor.push('x'),
        |entry| entry.actor_id.push('x'),
        |entry| entry.address = None,
        |entry| entry.action = "library.delete".into(),
        |entry| entry.target.push('x'),
        |entry| entry.before = Some(json!({ "version": -1 })),
        |entry| entry.after = None,
        |entry| entry.request_id.push('x'),
        |entry| entry.previous = "ab".repeat(32),
        |entry| entry.hash = "ab".repeat(32),
        |entry| entry.number += 100_000,
    ];
    for (column, alter) in columns.iter().enumerate() {
        for index in 0..ENTRIES as usize {
            let mut log = log();
            alter(&mut log.entries[index]);
            let number = number_of(index as i64 + 1);
            let (first, last) = log.first_bad();
            // Behind a gap it is not known whether the number is true.
            if column == 11 || index == 6 {
                assert!(first <= number && number <= last, "column {column}, entry {number}: {first} {last}");
            } else {
                assert_eq!((first, last), (number, number), "column {column}");
            }
        }
    }
}

#[test]
fn an_entry_with_a_new_hash_is_found_by_the_next_one_or_a_checkpoint() {
    for index in 0..ENTRIES as usize - 1 {
        let mut log = log();
        log.entries[index].target = "forged".into();
        log.entries[index].hash = log.entries[index].expected_hash();
        let number = number_of(index as i64 + 1);
        let (first, last) = log.first_bad();
        assert!(first <= number && number <= last, "{number}: {first} {last}");
        if !SEALED.contains(&(index as i64 + 1)) {
            assert_eq!((first, last), (number, number));
        }
    }
}

#[test]
fn dropped_entries_are_found() {
    for from in 0..ENTRIES as usize {
        for to in from + 1..=ENTRIES as usize {
            let mut log = log();
            let gone: Vec<_> = log.entries.drain(from..to).map(|entry| entry.number).collect();
            // Nothing tells of a last entry that no checkpoint covers, but the tenant's row.
            if from == ENTRIES as usize - 1 {
                assert_eq!(log.verified().unwrap().last, 1011);
                continue;
            }
            let (first, last) = log.first_bad();
            assert!(first <= gone[0] && gone[0] <= last, "{gone:?}: {first} {last}");
            if from != 6 {
                assert_eq!(first, gone[0], "{gone:?}");
            }
        }
    }
}

#[test]
fn entries_that_changed_places_are_found() {
    for one in 0..ENTRIES as usize {
        for other in one + 1..ENTRIES as usize {
            // Numbers exchanged, as in the database.
            let mut log = log();
            let (low, high) = (log.entries[one].number, log.entries[other].number);
            (log.entries[one].number, log.entries[other].number) = (high, low);
            log.entries.swap(one, other);
            let (first, last) = log.first_bad();
            assert!(first <= low && low <= last, "{low} and {high}: {first} {last}");
            if one != 6 {
                assert_eq!((first, last), (low, low), "{low} and {high}");
            }
            // Lines exchanged, as in a file.
            let good = self::log();
            let mut entries = good.entries.clone();
            entries.swap(one, other);
            let lines: Vec<_> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
            let fault = verify(&lines, &[]).unwrap_err();
            assert!(fault.first <= low && low <= fault.last, "{low} and {high}: {fault}");
        }
    }
}

#[test]
fn inserted_entries_are_found() {
    for place in 1..=ENTRIES as usize {
        for rehashed in [false, true] {
            // Later entries move up by one; what is inserted follows the one before it.
            let mut log = log();
            let previous =
                place.checked_sub(2).map_or(FIRST.into(), |before| log.entries[before].hash.clone());
            let number = log.entries[place - 1].number;
            for entry in &mut log.entries[place - 1..] {
                entry.number += 1;
            }
            let mut inserted = entry(number, &previous);
            if !rehashed {
                inserted.target = "forged".into();
            }
            log.entries.insert(place - 1, inserted);
            let (first, last) = log.first_bad();
            assert!(first <= number && number <= last, "{number}: {first} {last}");
        }
    }
    // Into the gap that a restore has left.
    for number in [7, 500, 1006] {
        let mut log = log();
        log.entries.insert(6, entry(number, &log.entries[5].hash.clone()));
        let (first, last) = log.first_bad();
        assert!(first <= number && number <= last, "{number}: {first} {last}");
    }
}

#[test]
fn a_log_that_was_cut_or_written_anew_is_found_by_a_checkpoint() {
    let good = log();
    for keep in 0..ENTRIES as usize - 1 {
        let mut cut = good.clone();
        cut.entries.truncate(keep);
        let first = cut.entries.last().map_or(1, |last| last.number + 1);
        assert_eq!(cut.first_bad().0, first);
        // Without the checkpoints behind its end only one that was kept elsewhere tells.
        let last = cut.entries.last().map_or(0, |last| last.number);
        cut.seals.retain(|(number, _)| *number <= last);
        assert_eq!(cut.verified().unwrap().last, last);
        let fault = verify(&cut.lines(), &[good.seals[2].1.clone()]).unwrap_err();
        assert_eq!((fault.first, fault.last), (first, 1011), "{fault}");
    }
    for from in 0..ENTRIES as usize - 1 {
        let mut forged = good.clone();
        forged.entries[from].target = "forged".into();
        forged.rehash(from);
        let number = forged.entries[from].number;
        let (first, last) = forged.first_bad();
        assert!(first <= number && number <= last, "{number}: {first} {last}");
        assert!(forged.seals.iter().any(|(sealed, _)| *sealed == last), "{last}");
        // Checkpoints of another key, in place of those.
        let mut resigned = forged.clone();
        for (number, note) in &mut resigned.seals {
            let entry = forged.entries.iter().find(|entry| entry.number == *number).unwrap();
            *note = self::note(2, *number, &entry.hash);
        }
        assert!(resigned.verified().unwrap_err().why.contains("no key known here"));
        resigned.seals.clear();
        assert_eq!(resigned.verified().unwrap().checkpoints, 0);
        let kept = [good.seals[1].1.replace('\n', "\\n"), good.seals[2].1.clone()];
        assert!(verify(&resigned.lines(), &kept).is_err());
    }
}

#[test]
fn checkpoints_that_were_tampered_with_are_found() {
    for (index, place) in SEALED.into_iter().enumerate() {
        let number = number_of(place);
        let tamper: [fn(&str, &AuditEntry) -> String; 5] = [
            |note, _| note.replacen("example.org/log\n", "example.org/lag\n", 1),
            |note, entry| note.replacen(&format!("\n{}\n", entry.number), "\n3\n", 1),
            |_, entry| note(2, entry.number, &entry.hash),
            |_, entry| note(1, entry.number, &"ab".repeat(32)),
            |_, _| "no note".into(),
        ];
        for (way, tamper) in tamper.iter().enumerate() {
            let mut log = log();
            log.seals[index].1 = tamper(&log.seals[index].1, &log.entries[place as usize - 1]);
            let (first, last) = log.first_bad();
            assert!(first <= number && number <= last, "way {way}: {first} {last}");
        }
        // In another place.
        let mut log = log();
        log.seals[index].0 -= 1;
        assert!(log.verified().is_err());
        log.seals[index].0 += 2;
        assert!(log.verified().is_err());
    }
}

/// One byte of an export changed, removed or doubled: it still says the same, or it is found at that line at the latest.
#[test]
fn every_byte_of_an_export_counts() {
    let log = log();
    let lines = log.lines();
    let mut numbers = Vec::new();
    for line in &lines {
        let value: Value = serde_json::from_str(line).unwrap();
        numbers.push(value["number"].as_i64().unwrap_or_else(|| *numbers.last().unwrap()));
    }
    let mut before = Verifier::new(vec![key(1)], check);
    for (index, line) in lines.iter().enumerate() {
        let value: Value = serde_json::from_str(line).unwrap();
        for (place, here) in line.char_indices() {
            for with in
                [String::new(), "0".into(), "a".into(), " ".into(), "\\".into(), format!("{here}{here}")]
            {
                let mut altered = line.clone();
                altered.replace_range(place..place + here.len_utf8(), &with);
                if serde_json::from_str::<Value>(&altered).is_ok_and(|altered| altered == value) {
                    continue;
                }
                let mut verifier = before.clone();
                let rest = lines[index + 1..].iter();
                let found = std::iter::once(&altered).chain(rest).try_for_each(|line| verifier.line(line));
                let fault = found.expect_err(&altered);
                assert!(fault.first <= numbers[index], "{fault}: {altered}");
            }
        }
        before.line(line).unwrap();
    }
}

#[test]
fn lines_that_are_nothing_of_a_log_are_told() {
    let line = log().lines().remove(0);
    let twice = line.replacen("\"number\":1", "\"number\":1,\"number\":1", 1);
    let other = line.replacen("\"number\":1", "\"other\":2,\"number\":1", 1);
    let less = line.replacen("\"address\":\"127.0.0.1\",", "", 1);
    let seal = "{\"checkpoint\":\"x\",\"more\":1}";
    for bad in ["", "x", "[]", "{}", "1", "{\"checkpoint\":1}", seal, &twice, &other, &less] {
        assert_eq!(verify(&[bad], &[]).expect_err(bad).first, 1, "{bad}");
    }
}
