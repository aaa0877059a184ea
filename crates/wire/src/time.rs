//! Points in time as the original writes them: UTC, at most seven fraction digits, trailing zeros
//! trimmed, `Z` at the end.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time with microsecond resolution: what both databases keep, and what JSON shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    pub const fn from_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000_000))
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Reads the clock. Only the edge of a program calls this; rules take `now` as an argument.
    pub fn now() -> Timestamp {
        Timestamp(Utc::now().timestamp_micros())
    }

    pub const fn plus_secs(self, secs: i64) -> Timestamp {
        Timestamp(self.0 + secs * 1_000_000)
    }

    /// RFC 3339, and the two shorter forms that clients of the original put into `$filter`:
    /// a date alone, with or without a `Z`.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Timestamp(time.timestamp_micros()));
        }
        let date = text.strip_suffix(['Z', 'z']).unwrap_or(text);
        let date = chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        Some(Timestamp(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros()))
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(time) = DateTime::<Utc>::from_timestamp_micros(self.0) else {
            return f.write_str("0001-01-01T00:00:00Z");
        };
        let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        write!(f, "{digits}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Timestamp::parse(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn fraction_is_trimmed_as_the_original_trims_it() {
        for (micros, text) in [
            (1_646_919_327_841_749, "2022-03-10T13:35:27.841749Z"),
            (1_646_919_327_920_000, "2022-03-10T13:35:27.92Z"),
            (1_646_919_320_000_000, "2022-03-10T13:35:20Z"),
            (1_646_870_400_000_000, "2022-03-10T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_micros(micros)));
        }
    }

    #[test]
    fn short_and_long_forms_are_read() {
        assert_eq!(Timestamp::parse("2018-08-01Z"), Timestamp::parse("2018-08-01T00:00:00Z"));
        assert_eq!(Timestamp::parse("2018-08-01"), Timestamp::parse("2018-08-01T02:00:00+02:00"));
        assert_eq!(
            Timestamp::parse("2022-03-10T14:36:51.8759111Z"),
            Timestamp::parse("2022-03-10T14:36:51.875911Z")
        );
        for bad in ["", "now", "2018-13-01Z", "2018-08-01T25:00:00Z"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
