//! `Range`: what a client asks for, of so many bytes. What cannot be understood is as good as not there.

use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    Whole,
    Part(Range<u64>),
    /// A range that begins behind the last byte, or that has none.
    Nothing,
}

impl Asked {
    /// Understands one range of bytes. Several, and other units, ask for the whole.
    pub fn parse(value: &str, size: u64) -> Asked {
        one(value).map_or(Asked::Whole, |spec| spec.of(size))
    }
}

enum Spec {
    /// The first position, and the last where it is told.
    From(u64, Option<u64>),
    Last(u64),
}

impl Spec {
    fn of(self, size: u64) -> Asked {
        let range = match self {
            Spec::From(first, last) => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Spec::Last(count) => size.saturating_sub(count)..size,
        };
        if range.is_empty() { Asked::Nothing } else { Asked::Part(range) }
    }
}

/// RFC 9110, section 14.1.2. A list may have empty members.
fn one(value: &str) -> Option<Spec> {
    let (unit, ranges) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = ranges.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|r| !r.is_empty());
    let (range, None) = (ranges.next()?, ranges.next()) else { return None };
    let (first, last) = range.split_once('-')?;
    if first.is_empty() {
        return Some(Spec::Last(number(last)?));
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    last.is_none_or(|last| first <= last).then_some(Spec::From(first, last))
}

/// Digits, and nothing else; a number too large to count with is larger than every file.
fn number(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits_only.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Asked::{self, Nothing, Part, Whole};

    #[test]
    fn what_ranges_mean_of_ten_bytes() {
        for (value, wanted) in [
            ("bytes=0-9", Part(0..10)),
            ("bytes=0-", Part(0..10)),
            ("bytes=0-0", Part(0..1)),
            ("bytes=9-9", Part(9..10)),
            ("bytes=9-", Part(9..10)),
            ("bytes=3-4", Part(3..5)),
            ("bytes=3-100", Part(3..10)),
            ("bytes=3-99999999999999999999999", Part(3..10)),
            ("bytes=3-18446744073709551615", Part(3..10)),
            ("bytes=-1", Part(9..10)),
            ("bytes=-10", Part(0..10)),
            ("bytes=-11", Part(0..10)),
            ("bytes=-99999999999999999999999", Part(0..10)),
            ("Bytes=1-2", Part(1..3)),
            ("bytes= 1-2 ,", Part(1..3)),
            ("bytes=,,\t1-2", Part(1..3)),
            ("bytes=10-", Nothing),
            ("bytes=10-10", Nothing),
            ("bytes=99999999999999999999999-", Nothing),
            ("bytes=-0", Nothing),
            ("bytes=0-1,3-4", Whole),
            ("bytes=20-21,30-31", Whole),
            ("bytes=", Whole),
            ("bytes=-", Whole),
            ("bytes=,", Whole),
            ("bytes=4-3", Whole),
            ("bytes=--1", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes=1 -2", Whole),
            ("bytes=a-b", Whole),
            ("bytes 0-1", Whole),
            ("lines=0-1", Whole),
            ("0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(Asked::parse(value, 10), wanted, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_within_and_is_not_empty(value in "(bytes|x)?=?[-0-9, ]{0,30}", size in 1..1000_u64) {
            if let Part(range) = Asked::parse(&value, size) {
                prop_assert!(range.start < range.end && range.end <= size, "{value}: {range:?}");
            }
        }

        #[test]
        fn a_range_within_is_what_it_says(first in 0..100_u64, length in 1..100_u64) {
            let value = format!("bytes={first}-{}", first + length - 1);
            prop_assert_eq!(Asked::parse(&value, 200), Part(first..first + length));
        }
    }
}
