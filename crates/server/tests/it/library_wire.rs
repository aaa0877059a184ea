//! The library on the wire: what real clients send is understood, and what they are answered is kept word by word.

mod addresses;
mod edge;
mod entity;
mod protocols;
mod uploads;

use crate::support::client::{Answer, Client};
use crate::support::form::Form;

/// An upload of a body made by hand.
async fn post(client: &Client, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    client
        .post("/api/libraryfiles")
        .with(|request| request.header("content-type", content_type).body(body))
        .await
}

/// An upload of this form, the way curl would send it.
async fn post_form(client: &Client, form: Form) -> Answer {
    post(client, Form::CONTENT_TYPE, form.end()).await
}
