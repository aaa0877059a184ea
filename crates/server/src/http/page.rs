//! The pages that people see: plain HTML and one style, no script. Every text goes through [`escape`], and a page
//! cannot be framed, cannot load anything, and can send its forms to nobody but us and the app that asked.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, header};

use crate::auth::secret::sha256;
use crate::error::Error;

const STYLE: &str = include_str!("page/style.css");
/// The console's picture; it stands in the page because nothing may be loaded.
const ICON: &str = include_str!("../../../../console/icon.svg");

static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(sha256(STYLE.as_bytes()))));

/// A page under way.
pub struct Page {
    title: String,
    alert: String,
    body: String,
    /// Where else than here its forms may lead.
    leads_to: Option<String>,
}

/// Text, fit to stand in HTML, between tags or in an attribute's quotes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

impl Page {
    pub fn new(title: &str) -> Page {
        Page { title: title.to_owned(), alert: String::new(), body: String::new(), leads_to: None }
    }

    /// An answer to one of its forms may send the browser there.
    pub fn leading_to(mut self, uri: &str) -> Page {
        self.leads_to = crate::auth::authorize::source_of(uri);
        self
    }

    /// A paragraph.
    pub fn text(mut self, text: &str) -> Page {
        self.body.push_str(&format!("<p>{}</p>\n", escape(text)));
        self
    }

    /// What to type on the server.
    pub fn command(mut self, text: &str) -> Page {
        let lines: Vec<_> = text.lines().map(escape).collect();
        self.body.push_str(&format!("<pre>{}</pre>\n", lines.join("\n")));
        self
    }

    /// What went wrong: above all else, and read out at once by screen readers.
    pub fn alert(mut self, text: &str) -> Page {
        self.alert.push_str(&format!("<p class=\"alert\" role=\"alert\">{}</p>\n", escape(text)));
        self
    }

    /// Names and what they stand for.
    pub fn facts(mut self, facts: &[(&str, &str)]) -> Page {
        self.body.push_str("<dl>\n");
        for (name, value) in facts {
            self.body.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)));
        }
        self.body.push_str("</dl>\n");
        self
    }

    /// A way to another page of ours, as big as a button. `href` is fit to stand in an address already.
    pub fn link(mut self, label: &str, href: &str) -> Page {
        let (label, href) = (escape(label), escape(href));
        self.body.push_str(&format!("<p><a class=\"button\" href=\"{href}\">{label}</a></p>\n"));
        self
    }

    pub fn form(mut self, form: Fields) -> Page {
        self.body.push_str(&form.0);
        self.body.push_str("</form>\n");
        self
    }

    /// The answer. `failure` gives it its status.
    pub fn answer(self, failure: Option<&Error>) -> Response {
        let title = escape(&self.title);
        let html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title} · jumpbag</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <p class=\"brand\">{ICON}jumpbag</p>\n<h1>{title}</h1>\n{}{}</main>\n</body>\n</html>\n",
            self.alert, self.body
        );
        let style = STYLE_SOURCE.as_str();
        let leads_to = self.leads_to.map(|source| format!(" {source}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src {style}; form-action 'self'{leads_to}; frame-ancestors 'none'; base-uri 'none'"
        );
        let headers: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_FRAME_OPTIONS, "DENY"),
            // With `no-referrer` browsers would not say either from where a form is sent.
            (header::REFERRER_POLICY, "same-origin"),
            (header::CONTENT_SECURITY_POLICY, &policy),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        let mut response = html.into_response();
        if let Some(failure) = failure {
            *response.status_mut() = failure.face().status;
            if let Some(seconds) = failure.retry_after() {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
        }
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// A page that says why something was not done.
    pub fn refusal(title: &str, failure: &Error) -> Response {
        Page::new(title).alert(&failure.face().message).answer(Some(failure))
    }
}

/// A form under way.
pub struct Fields(String);

/// A field that people fill in.
pub struct Field<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub hint: &'a str,
    pub value: &'a str,
    /// Attributes, as they stand in HTML: nobody else's text.
    pub attributes: &'static str,
}

impl Fields {
    /// Sent to `action`, which is relative to the page.
    pub fn to(action: &'static str, token: &str) -> Fields {
        let form = format!("<form method=\"post\" action=\"{action}\">\n");
        Fields(form).hidden(super::browser::TOKEN, token)
    }

    pub fn hidden(mut self, name: &str, value: &str) -> Fields {
        let (name, value) = (escape(name), escape(value));
        self.0.push_str(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n"));
        self
    }

    pub fn field(mut self, field: &Field<'_>) -> Fields {
        let Field { name, label, hint, value, attributes } = field;
        let (label, value) = (escape(label), escape(value));
        let (described, hint) = if hint.is_empty() {
            (String::new(), String::new())
        } else {
            let hint = format!("<p class=\"hint\" id=\"{name}-hint\">{}</p>\n", escape(hint));
            (format!(" aria-describedby=\"{name}-hint\""), hint)
        };
        self.0.push_str(&format!(
            "<label for=\"{name}\">{label}</label>\n{hint}<input id=\"{name}\" name=\"{name}\" value=\"{value}\"{described} \
             {attributes}>\n"
        ));
        self
    }

    /// A button that sends the form, saying `decision=value`.
    pub fn button(mut self, label: &str, value: &str, class: &'static str) -> Fields {
        let (label, value) = (escape(label), escape(value));
        self.0.push_str(&format!(
            "<button type=\"submit\" name=\"decision\" value=\"{value}\" class=\"{class}\">{label}</button>\n"
        ));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_place() {
        assert_eq!(escape("\"><img onerror='x'>&\n"), "&quot;&gt;&lt;img onerror=&#39;x&#39;&gt;&amp; ");
    }

    #[test]
    fn a_page_says_what_it_may_do() {
        let response = Page::new("A").leading_to("https://app.example/cb").answer(None);
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("form-action 'self' https://app.example; frame-ancestors 'none'"),
            "{policy}"
        );
        let refused = Page::refusal("B", &Error::TooManyRequests("wait".into(), 7));
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (429, &"7".parse().unwrap())
        );
    }
}
