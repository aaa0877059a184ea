//! A reader of server-sent events, as the standard has them.

use serde_json::Value;
use tokio::time::timeout;

use super::SOON;
use super::client::plain_http;
use super::server::Jumpbag;

/// An open stream.
pub struct Stream {
    pub response: reqwest::Response,
    unread: Vec<u8>,
    /// What a client would send when it comes again.
    pub last_id: Option<i64>,
    /// Why it broke off, where it did not end in order.
    pub broken: Option<reqwest::Error>,
}

/// An event with its data.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub data: Value,
}

impl Stream {
    /// The library's events after this one, as somebody with `Library.Read` sees them.
    pub async fn open(bag: &Jumpbag, after: Option<i64>) -> Stream {
        let token = bag.token(&["Library.Read"]).await;
        Stream::with(&plain_http(), bag, &token, after).await
    }

    /// The same by a client of one's own, with a token of one's own.
    pub async fn with(http: &reqwest::Client, bag: &Jumpbag, token: &str, after: Option<i64>) -> Stream {
        let request = http.get(format!("{}/api/library/events", bag.url())).bearer_auth(token);
        let request = match after {
            Some(after) => request.header("last-event-id", after),
            None => request,
        };
        let stream = Stream::of(request.send().await.expect("an answer"));
        assert_eq!(stream.response.status(), 200);
        stream
    }

    pub fn of(response: reqwest::Response) -> Stream {
        Stream { response, unread: Vec::new(), last_id: None, broken: None }
    }

    /// The next block of lines; `None` where the stream ends, in order or not. Panics when neither comes soon.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let block = self.unread.drain(..end + 2).collect();
                return Some(String::from_utf8(block).expect("UTF-8"));
            }
            let chunk = timeout(SOON, self.response.chunk()).await.expect("something on the stream, soon");
            match chunk {
                Ok(chunk) => self.unread.extend(chunk?),
                Err(error) => {
                    self.broken = Some(error);
                    return None;
                }
            }
        }
    }

    /// The next event; `None` where the stream ends.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            let (mut id, mut kind, mut data) = (None, None, None);
            for line in block.lines().filter(|line| !line.starts_with(':') && !line.is_empty()) {
                let (field, value) = line.split_once(": ").expect("a field");
                match field {
                    "id" => id = Some(value.parse().expect("a number")),
                    "event" => kind = Some(value.to_owned()),
                    "data" => data = Some(serde_json::from_str::<Value>(value).expect("JSON in one line")),
                    "retry" => {}
                    other => panic!("`{other}`: {block}"),
                }
            }
            self.last_id = id.or(self.last_id);
            if let (Some(id), Some(kind), Some(data)) = (id, kind, data) {
                assert_eq!((data["number"].as_i64(), data["type"].as_str()), (Some(id), Some(kind.as_str())));
                return Some(Event { id, kind, data });
            }
        }
    }

    /// Waits for a sign of life. One comes only where nothing else did for 15 seconds: for so long that it was checked
    /// more than once who listens.
    pub async fn idles(&mut self) {
        while !self.block().await.expect("an open stream").starts_with(':') {}
    }

    /// So many events.
    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await.expect("an open stream"));
        }
        events
    }

    /// Waits for its end; what came until then. Panics when it does not end soon.
    pub async fn rest(&mut self) -> Vec<Event> {
        let all = async {
            let mut events = Vec::new();
            while let Some(event) = self.next().await {
                events.push(event);
            }
            events
        };
        timeout(SOON, all).await.expect("an end, soon")
    }

    /// Waits for an end in order, without another event.
    pub async fn ends_well(&mut self) {
        assert_eq!(self.rest().await, []);
        assert!(self.broken.is_none(), "{:?}", self.broken);
    }
}
