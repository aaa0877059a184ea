//! Input: what is in an agent's journal.
#![no_main]

use jumpbag_fuzz::spool::journal::{Record, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
    let good = |line: &&[u8]| line.ends_with(b"\n") && serde_json::from_slice::<Record>(line).is_ok();
    match read(input) {
        Ok((records, length)) => {
            // It is a whole number of lines from the beginning on, and nothing good is behind it.
            let (kept, dropped) = input.split_at(usize::try_from(length).expect("a length"));
            assert!(kept.is_empty() || kept.ends_with(b"\n"));
            assert_eq!(records.len(), kept.split_inclusive(|byte| *byte == b'\n').count());
            assert!(!dropped.split_inclusive(|byte| *byte == b'\n').any(|line| good(&line)));
            assert_eq!(read(kept), Ok((records.clone(), length)));
            check_written(&records);
        }
        Err(line) => {
            // The first that is bad, and one that is good is behind it.
            assert!(!good(&lines[line - 1]) && lines[..line - 1].iter().all(good));
            assert!(lines[line..].iter().any(good));
        }
    }
    // However the last write was torn, what was whole before it is there.
    let whole: Vec<Record> =
        lines.iter().take_while(|line| good(line)).filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let begin: usize = lines.iter().take(whole.len()).map(|line| line.len()).sum();
    let torn = &input[..begin + lines.get(whole.len()).map_or(0, |line| line.len() / 2)];
    assert_eq!(read(torn).map(|(records, _)| records), Ok(whole));
});

/// Written down again they are the same.
fn check_written(records: &[Record]) {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record).expect("plain data");
        text.push(b'\n');
    }
    let length = text.len() as u64;
    assert_eq!(read(&text), Ok((records.to_vec(), length)));
}
