//! Forms as real clients build them.

use serde_json::Value;

use super::{post, post_form};
use crate::support::client::Answer;
use crate::support::form::Form;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn field_names_in_any_letter_case_and_parts_in_any_order() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let file = |form: Form, field: &str, name: &str| {
        form.part(format!("Content-Disposition: form-data; name=\"{field}\"; filename=\"{name}\""), "x")
    };
    let last = Form::new()
        .field("description", "d")
        .field("PARAMETERSDESCRIPTION", "p")
        .field("hasparameters", "TRUE")
        .field("overrideIfExists", "False");
    let last = post_form(&client, file(last, "File", "last.ps1")).await;
    let first =
        file(Form::new(), "FILE", "first.ps1").field("DESCRIPTION", "d").field("parametersDescription", "p");
    let first = post_form(&client, first).await;
    let middle =
        file(Form::new().field("Description", "d"), "fIlE", "middle.ps1").field("ParametersDescription", "p");
    let middle = post_form(&client, middle).await;
    for (answer, name) in [(last, "last.ps1"), (first, "first.ps1"), (middle, "middle.ps1")] {
        let entity = answer.expect_status(200).json();
        assert_eq!(entity["fileName"], name);
        assert_eq!(entity["description"], "d", "{name}");
        assert_eq!(entity["parametersDescription"], "p", "{name}");
        assert_eq!(entity["hasParameters"], true, "{name}");
    }
}

/// The headers of a file part, its content being `x`, and the name it goes under.
#[tokio::test]
async fn file_parts_as_clients_write_them() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    for (headers, name) in [
        // curl
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"curl.ps1\"\r\nContent-Type: application/octet-stream",
            "curl.ps1",
        ),
        // requests with a bare file object: no content type
        ("Content-Disposition: form-data; name=\"file\"; filename=\"requests.ps1\"", "requests.ps1"),
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"bogus.ps1\"\r\nContent-Type: application-type/octet-stream",
            "bogus.ps1",
        ),
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"picture.png\"\r\nContent-Type: image/png",
            "picture.png",
        ),
        // .NET: unquoted, the type first, the name twice
        (
            "Content-Type: application/octet-stream\r\nContent-Disposition: form-data; name=file; \
             filename=dotnet.ps1; filename*=utf-8''dotnet.ps1",
            "dotnet.ps1",
        ),
        (
            "Content-Disposition: form-data; name=file; filename=\"=?utf-8?B?w7xtbGF1dC5wczE=?=\"; \
             filename*=utf-8''%C3%BCmlaut.ps1",
            "ümlaut.ps1",
        ),
        ("Content-Disposition: form-data; name=file; filename==?utf-8?B?d8O2cnRlci5wczE=?=", "wörter.ps1"),
        // The extended form wins, wherever it stands.
        (
            "Content-Disposition: form-data; filename*=UTF-8'de'%e2%82%ac.ps1; name=\"file\"; filename=\"plain.ps1\"",
            "€.ps1",
        ),
        ("Content-Disposition: form-data; name=file; filename*=iso-8859-1''latin-%FC.ps1", "latin-ü.ps1"),
        // Raw UTF-8, as curl, requests and node send it
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"skript-äöü-脚本.ps1\"",
            "skript-äöü-脚本.ps1",
        ),
        ("Content-Disposition: form-data; name=\"file\"; filename=\"quote%22d.ps1\"", "quote\"d.ps1"),
        ("Content-Disposition: form-data; name=\"file\"; filename=\"back\\\"slash.ps1\"", "back\"slash.ps1"),
        // A client that quotes names by itself means what it sends.
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"per%20cent%2F.ps1\"",
            "per%20cent%2F.ps1",
        ),
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"two words; and more.ps1\"",
            "two words; and more.ps1",
        ),
        ("content-disposition:form-data;name=file;filename=lower.ps1", "lower.ps1"),
        ("CONTENT-DISPOSITION: FORM-DATA; NAME=\"file\"; FILENAME=\"upper.ps1\"", "upper.ps1"),
        (
            "Content-Disposition: form-data; name=\"file\"; filename=\"binary.ps1\"\r\nContent-Transfer-Encoding: binary",
            "binary.ps1",
        ),
        ("Content-Disposition: form-data;\r\n name=\"file\";\r\n\tfilename=\"folded.ps1\"", "folded.ps1"),
        (
            "X-Custom: 1\r\nContent-Length: 1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"more.ps1\"",
            "more.ps1",
        ),
        ("Content-Disposition: form-data; name=\"file\"; filename=\"no-extension\"", "no-extension"),
    ] {
        let answer = post_form(&client, Form::new().part(headers, "x")).await;
        assert_eq!(answer.status, 200, "{headers}: {}", answer.text());
        assert_eq!(answer.json()["fileName"], name, "{headers}");
        assert_eq!(answer.json()["size"], 1, "{headers}");
        assert_eq!(answer.header("jumpbag-warning"), None, "{headers}");
    }
}

#[tokio::test]
async fn text_parts_as_clients_write_them() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    for (n, (headers, bytes, wanted)) in [
        ("name=\"Description\"", "Grüße".as_bytes(), "Grüße"),
        ("name=Description\r\nContent-Type: text/plain; charset=utf-8", "Grüße".as_bytes(), "Grüße"),
        ("name=Description\r\nContent-Type: text/plain; charset=ISO-8859-1", b"Gr\xfc\xdfe", "Grüße"),
        ("name=Description\r\nContent-Type: text/plain", b"plain", "plain"),
        ("name=Description\r\nContent-Type: text/plain; charset=utf-8", b"\xef\xbb\xbfmarked", "marked"),
        ("name=\"Description\"", b"two\r\nlines\n--b0undar", "two\r\nlines\n--b0undar"),
    ]
    .into_iter()
    .enumerate()
    {
        let form = Form::new()
            .part(format!("Content-Disposition: form-data; {headers}"), bytes)
            .file(format!("text-{n}.ps1"), "x");
        let answer = post_form(&client, form).await.expect_status(200);
        assert_eq!(answer.json()["description"], wanted, "{headers}");
    }
}

#[tokio::test]
async fn boundaries_as_clients_write_them() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    for (n, (content_type, boundary)) in [
        ("multipart/form-data; boundary=plain", "plain"),
        ("multipart/form-data; boundary=\"quoted\"", "quoted"),
        ("Multipart/Form-Data; BOUNDARY=Case", "Case"),
        ("multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundaryx", "----WebKitFormBoundaryx"),
        ("multipart/form-data; boundary=+++", "+++"),
        ("multipart/form-data;boundary=\"a b:c/d=?\"", "a b:c/d=?"),
        (
            "multipart/form-data; boundary=c0ffee00-aaaa-bbbb-cccc-0123456789ab; x=y",
            "c0ffee00-aaaa-bbbb-cccc-0123456789ab",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("boundary-{n}.ps1");
        let body = format!(
            "preamble\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\
             --{boundary}x\r\n--{boundary} \t\r\nContent-Disposition: form-data; name=\"Description\"\r\n\r\nd\r\n\
             --{boundary}--\r\nepilogue"
        );
        let entity = post(&client, content_type, body).await.expect_status(200).json();
        assert_eq!(entity["fileName"], name, "{content_type}");
        assert_eq!(entity["description"], "d", "{content_type}");
        assert_eq!(entity["size"], boundary.len() + 3, "{content_type}");
    }
}

#[tokio::test]
async fn booleans_in_any_letter_case_and_empty_ones() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    let upload = async |value: &str| -> Answer {
        post_form(&client, Form::new().file("a.ps1", "x").field("OverrideIfExists", value)).await
    };
    upload("").await.expect_status(200);
    for yes in ["true", "True", "TRUE", " true\r\n"] {
        upload(yes).await.expect_status(200);
    }
    for no in ["false", "False", "FALSE", ""] {
        assert!(upload(no).await.expect_status(400).error_message().contains("already exists"));
    }
}

#[tokio::test]
async fn fields_of_the_clients_own_are_ignored() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let form = ["FileName", "fileName", "file-name", "anything", "id", "sha256"]
        .into_iter()
        .fold(Form::new(), |form, name| form.field(name, b"\xff/../other.ps1"))
        .file("real.ps1", "x");
    let entity = post_form(&client, form).await.expect_status(200).json();
    assert_eq!(entity["fileName"], "real.ps1");
    assert_eq!(entity["description"], Value::Null);
    assert_eq!(bag.names().await, ["real.ps1"]);
}

#[tokio::test]
async fn a_file_called_like_its_field_is_warned_of() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let answer = post_form(&client, Form::new().file("file", "x")).await.expect_status(200);
    assert_eq!(answer.json()["fileName"], "file");
    assert_eq!(
        answer.header("jumpbag-warning"),
        Some("stored under the name `file`: the client seems to have sent no file name")
    );
}

/// The digest and size are those of the bytes, whatever they are and wherever they are kept.
#[tokio::test]
async fn bytes_are_taken_as_they_are() {
    use sha2::{Digest, Sha256};
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let lookalike = b"\r\n--b0undar\r\n--b0undary\r\r\n\r\n-\r\n".to_vec();
    for (name, bytes) in [
        ("one", vec![0]),
        ("every", every_byte.clone()),
        ("lookalike", lookalike),
        ("small", vec![b's'; 65_536]),
        ("large", vec![b'l'; 65_537]),
        ("larger", every_byte.repeat(8000)),
    ] {
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let size = bytes.len();
        let entity = post_form(&client, Form::new().file(name, bytes)).await.expect_status(200).json();
        assert_eq!(entity["sha256"], digest.as_str(), "{name}");
        assert_eq!(entity["size"], size, "{name}");
    }
    let (status, report, _) = bag.command(&["check"]).await;
    assert!(status.success(), "{report}");
}
