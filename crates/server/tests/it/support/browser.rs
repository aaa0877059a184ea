//! A browser without a screen: it keeps cookies, reads forms and sends them back as browsers do.

use std::collections::BTreeMap;

use regex_lite::Regex;
use url::form_urlencoded;

use super::client::{Answer, Call, Client};
use super::stream::Stream;

/// A person's browser at one server, or at several nodes of one.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    pub cookies: BTreeMap<String, String>,
}

/// A page that was shown.
pub struct Shown {
    pub answer: Answer,
    /// The form's hidden fields, and what else stands in it.
    pub fields: BTreeMap<String, String>,
    pub action: Option<String>,
}

impl Browser {
    pub fn new(client: Client) -> Browser {
        Browser { client, cookies: BTreeMap::new() }
    }

    /// The same browser at another node.
    pub fn at(&self, client: Client) -> Browser {
        Browser { client, ..self.clone() }
    }

    pub async fn get(&mut self, path: &str) -> Shown {
        let call = self.client.get(path);
        self.send(call).await
    }

    /// Fills in the page's form and sends it from that page.
    pub async fn submit(&mut self, page: &str, shown: &Shown, filled: &[(&str, &str)]) -> Shown {
        self.submit_as(page, shown, filled, &[("sec-fetch-site", "same-origin")]).await
    }

    /// The same with other headers.
    pub async fn submit_as(
        &mut self,
        page: &str,
        shown: &Shown,
        filled: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Shown {
        let mut fields = shown.fields.clone();
        fields.extend(filled.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let action = shown.action.as_deref().expect("a form");
        let folder = page.split('?').next().and_then(|path| path.rsplit_once('/')).expect("a path").0;
        let call = self.client.post(&format!("{folder}/{action}")).with(|request| {
            let request =
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            request.form(&fields)
        });
        self.send(call).await
    }

    /// A call as a page of ours makes it, with this browser's cookies.
    pub fn calls(&self, call: Call) -> Call {
        self.with_cookies(call).with(|request| request.header("sec-fetch-site", "same-origin"))
    }

    /// The events at a path, as a page of ours listens to them.
    pub async fn listens(&self, path: &str) -> Stream {
        let response = self.calls(self.client.get(path)).response().await.expect("an answer");
        assert_eq!(response.status(), 200);
        Stream::of(response)
    }

    /// A call that this browser's cookies come along with, whoever made it.
    pub fn with_cookies(&self, call: Call) -> Call {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() {
            return call;
        }
        call.with(|request| request.header("cookie", cookies.join("; ")))
    }

    async fn send(&mut self, call: Call) -> Shown {
        let answer = self.with_cookies(call).await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().expect("a cookie in ASCII");
            let (name, rest) = line.split_once('=').expect("name and value");
            let value = rest.split(';').next().expect("a value");
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Shown::of(answer)
    }
}

impl Shown {
    fn of(answer: Answer) -> Shown {
        let html = answer.text();
        let input =
            Regex::new(r#"<input[^>]*\bname="([^"]*)"[^>]*\bvalue="([^"]*)""#).expect("a valid pattern");
        let fields = input.captures_iter(&html).map(|found| (found[1].to_owned(), unescape(&found[2])));
        let action = Regex::new(r#"<form method="post" action="([^"]*)""#).expect("a valid pattern");
        let action = action.captures(&html).map(|found| found[1].to_owned());
        Shown { fields: fields.collect(), action, answer }
    }

    /// What `name` is in the address that the browser is sent to. Panics when it is sent nowhere.
    pub fn sent_with(&self, name: &str) -> Option<String> {
        let to = self.sent_to();
        let (_, query) = to.split_once('?').unwrap_or((&to, ""));
        let found = form_urlencoded::parse(query.as_bytes()).find(|(given, _)| given == name);
        found.map(|(_, value)| value.into_owned())
    }

    pub fn sent_to(&self) -> String {
        let answer = &self.answer;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").expect("a place to go").to_owned()
    }

    /// What the page says went wrong.
    pub fn alert(&self) -> Option<String> {
        let alert = Regex::new(r#"role="alert">([^<]*)<"#).expect("a valid pattern");
        alert.captures(&self.answer.text()).map(|found| unescape(&found[1]))
    }
}

fn unescape(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
