//! Server-sent events out of bytes as they come (HTML, "Server-sent events"): an event counts when its empty line is
//! there, and what a connection breaks off in is no event.

use std::collections::VecDeque;
use std::time::Duration;

use crate::failure::Failure;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub data: String,
}

/// Reads events of one connection.
#[derive(Default)]
pub struct Events {
    line: Vec<u8>,
    event: Event,
    /// Of the event that is being read, and of the last that counts.
    id: Option<String>,
    ready: VecDeque<(Event, Option<String>)>,
    pub last_id: Option<String>,
    pub retry: Option<Duration>,
}

/// More than any server here says in one event.
const LARGEST: usize = 16 << 20;
/// Every event that has no id of its own keeps the one before.
const LONGEST_ID: usize = 256;

impl Events {
    /// # Errors
    /// When an event is larger than any may be.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        for byte in bytes {
            match byte {
                b'\n' => self.line_ends(),
                byte => self.line.push(*byte),
            }
        }
        if self.line.len() + self.event.data.len() > LARGEST {
            return Err(Failure::Here(format!("the server's event has more than {LARGEST} bytes")));
        }
        Ok(())
    }

    /// The next whole event; one without data only tells the id.
    pub fn take(&mut self) -> Option<Event> {
        let (event, id) = self.ready.pop_front()?;
        self.last_id = id;
        Some(event)
    }

    fn line_ends(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            self.ready.push_back((std::mem::take(&mut self.event), self.id.clone()));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') && value.len() <= LONGEST_ID => self.id = Some(value.to_owned()),
            "retry" => {
                let millis = value.parse().ok().filter(|millis| *millis <= 60_000);
                self.retry = millis.map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_come_out_whole_however_the_bytes_come() {
        let text = "retry: 2000\nid: 0-0\n\n: comment\n\nid: 7-0\r\nevent: stdout\r\ndata: {\"ä\":1}\r\n\r\nid: 9-0\nevent: stdout\ndata: cut";
        for size in [1, 2, 3, 7, text.len()] {
            let (mut events, mut seen) = (Events::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                events.feed(piece).expect("small enough");
                while let Some(event) = events.take() {
                    seen.push((event.name, event.data, events.last_id.clone().unwrap_or_default()));
                }
            }
            let of = |name: &str, data: &str, id: &str| (name.to_owned(), data.to_owned(), id.to_owned());
            let expected = [of("", "", "0-0"), of("", "", "0-0"), of("stdout", "{\"ä\":1}", "7-0")];
            assert_eq!(seen, expected, "{size} bytes at a time");
            assert_eq!(events.retry.map(|retry| retry.as_millis()), Some(2000));
        }
    }

    #[test]
    fn a_long_id_is_not_kept_for_every_event() {
        let mut events = Events::default();
        let piece = [b"id: ", &vec![b'x'; 1 << 16][..], b"\n", &vec![b'\n'; 1 << 12]].concat();
        events.feed(&piece).expect("small enough");
        let ids: usize = events.ready.iter().filter_map(|(_, id)| id.as_ref()).map(String::len).sum();
        assert!(ids < 1 << 17, "{ids} bytes");
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut events = Events::default();
        let piece = vec![b'x'; 1 << 20];
        assert!((0..17).any(|_| events.feed(&piece).is_err()));
    }
}
