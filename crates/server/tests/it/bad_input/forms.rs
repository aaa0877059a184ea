//! Bodies of uploads: a table, one row a case.

use super::{Ground, STAGED, large_form};
use crate::support::form::Form;

const FORM: Option<&str> = Some(Form::CONTENT_TYPE);
const INCORRECT: &str = "Request body is incorrect: ";

/// What is sent, and the message of the 400 `InvalidRequestBody` that it gets.
struct Case {
    name: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    message: &'static str,
}

fn case(
    name: &'static str,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    message: &'static str,
) -> Case {
    Case { name, content_type, body, message }
}

async fn refuse_all(cases: Vec<Case>) {
    let ground = Ground::start().await;
    for case in cases {
        let answer = ground.post(case.content_type, case.body).await;
        let message = format!("{INCORRECT}{}", case.message);
        ground.refuses(case.name, answer, 400, "InvalidRequestBody", &message).await;
    }
}

#[tokio::test]
async fn bodies_that_are_no_form() {
    let form = || Form::new().file("new.ps1", "x").end();
    refuse_all(vec![
        case(
            "no body and no type",
            None,
            Vec::new(),
            "the request has no content type; a form with a file is sent as `multipart/form-data`",
        ),
        case(
            "no body",
            FORM,
            Vec::new(),
            "the body is empty; it must hold at least one part",
        ),
        case(
            "JSON",
            Some("application/json"),
            b"{\"file\":\"x\"}".to_vec(),
            "the content type is `application/json`; a form with a file is sent as `multipart/form-data`",
        ),
        case(
            "a form of another kind",
            Some("application/x-www-form-urlencoded"),
            b"file=x".to_vec(),
            "the content type is `application/x-www-form-urlencoded`; a form with a file is sent as \
             `multipart/form-data`",
        ),
        case(
            "no boundary",
            Some("multipart/form-data"),
            form(),
            "the content type has no `boundary`; it must be `multipart/form-data; boundary=…`",
        ),
        case(
            "an empty boundary",
            Some("multipart/form-data; boundary=\"\""),
            form(),
            "the boundary in the content type has 0 characters; it must be 1 to 70 visible ASCII characters",
        ),
        case(
            "two boundaries",
            Some("multipart/form-data; boundary=b0undary; boundary=b0undary"),
            form(),
            "the boundary in the content type is given twice; it must be 1 to 70 visible ASCII characters",
        ),
        case(
            "another boundary",
            Some("multipart/form-data; boundary=other"),
            form(),
            "no boundary line in the first 136 bytes of the body; the body must begin with `--` and the boundary \
             that the content type names",
        ),
        case(
            "another boundary, large",
            Some("multipart/form-data; boundary=other"),
            large_form().end(),
            "no boundary line in the first 8192 bytes of the body; the body must begin with `--` and the boundary \
             that the content type names",
        ),
    ])
    .await;
}

#[tokio::test]
async fn bodies_that_break_off() {
    refuse_all(vec![
        case(
            "in the first boundary line",
            FORM,
            b"--b0und".to_vec(),
            "no boundary line in the first 7 bytes of the body; the body must begin with `--` and the boundary that \
             the content type names",
        ),
        case(
            "in a part's headers",
            FORM,
            b"--b0undary\r\nContent-Disposition: form-da".to_vec(),
            "part 1: the body is truncated; it must end with the closing boundary",
        ),
        case(
            "in a small file",
            FORM,
            Form::new().file("new.ps1", "0123456789").cut(5),
            "part 1 (`file`): the body is truncated; it must end with the closing boundary",
        ),
        case(
            "in a large file",
            FORM,
            large_form().cut(1000),
            "part 1 (`file`): the body is truncated; it must end with the closing boundary",
        ),
        case(
            "before the closing boundary",
            FORM,
            large_form().cut(0),
            "part 1 (`file`): the body is truncated; it must end with the closing boundary",
        ),
        case(
            "in a field after a large file",
            FORM,
            large_form().field("Description", "0123456789").cut(5),
            "part 2 (`Description`): the body is truncated; it must end with the closing boundary",
        ),
    ])
    .await;
}

#[tokio::test]
async fn forms_with_the_wrong_parts() {
    let nameless = |head: &str| Form::new().part(format!("Content-Disposition: {head}"), "x").end();
    refuse_all(vec![
        case(
            "no file",
            FORM,
            Form::new().field("Description", "d").end(),
            "there is no part named `file` with the file's content",
        ),
        case(
            "two files",
            FORM,
            large_form().file("second.ps1", "2").end(),
            "there are two parts named `file`",
        ),
        case(
            "a file without a name",
            FORM,
            nameless("form-data; name=\"file\""),
            "the part named `file` has no `filename`: the name in the library",
        ),
        case(
            "a part without a name",
            FORM,
            nameless("form-data"),
            "part 1: header Content-Disposition has no `name`",
        ),
        case(
            "a part that is no form data",
            FORM,
            nameless("attachment; name=\"file\""),
            "part 1: header Content-Disposition is `attachment`; it must be `form-data`",
        ),
        case(
            "a part without a disposition",
            FORM,
            Form::new().part("Content-Type: text/plain", "x").end(),
            "part 1: header Content-Disposition is missing; every part needs one",
        ),
        case(
            "an encoded file",
            FORM,
            Form::new()
                .part(
                    "Content-Disposition: form-data; name=file; filename=a\r\nContent-Transfer-Encoding: base64",
                    "eA==",
                )
                .end(),
            "part 1: header Content-Transfer-Encoding is `base64`; send the bytes as they are",
        ),
        case(
            "bare line feeds",
            FORM,
            b"--b0undary\nContent-Disposition: form-data; name=file; filename=a\n\nx\n--b0undary--\n".to_vec(),
            "part 1: a line ends in a bare line feed; boundary and header lines must end in CR LF",
        ),
    ])
    .await;
}

#[tokio::test]
async fn forms_that_are_too_much() {
    let many = (0..10_000).fold(large_form(), |form, n| form.field(&format!("field-{n}"), "x"));
    let header = format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"new.ps1\"\r\nX-Large: {}",
        "x".repeat(64 * 1024)
    );
    let name = format!("Content-Disposition: form-data; name=file; filename=\"{}\"", "n".repeat(2000));
    refuse_all(vec![
        case("10,000 tiny parts", FORM, many.end(), "the body has more than 1000 parts"),
        case(
            "a description of 1 MB",
            FORM,
            large_form().field("Description", "d".repeat(1_000_000)).end(),
            "part 2 (`Description`): the field has more than 4096 bytes",
        ),
        case(
            "a description of parameters of 1 MB",
            FORM,
            Form::new().field("ParametersDescription", "d".repeat(1_000_000)).file("new.ps1", "x").end(),
            "part 1 (`ParametersDescription`): the field has more than 4096 bytes",
        ),
        case(
            "a part's header of 64 KB",
            FORM,
            Form::new().part(header, "x").end(),
            "part 1: the headers have more than 16384 bytes",
        ),
        case(
            "a name longer than any",
            FORM,
            Form::new().part(name, "x").end(),
            "part 1: header Content-Disposition has a `filename` of 2000 bytes; at most 1024 are allowed",
        ),
    ])
    .await;
}

#[tokio::test]
async fn text_that_is_none() {
    let not_utf8 = |name: &str| large_form().field(name, b"ab\xffc").end();
    let head = |bytes: &[u8]| {
        Form::new().part([b"Content-Disposition: form-data; ".as_slice(), bytes].concat(), "x").end()
    };
    refuse_all(vec![
        case(
            "description",
            FORM,
            not_utf8("Description"),
            "part 2 (`Description`): the field is not UTF-8 text (byte 3)",
        ),
        case(
            "description of parameters",
            FORM,
            not_utf8("ParametersDescription"),
            "part 2 (`ParametersDescription`): the field is not UTF-8 text (byte 3)",
        ),
        case(
            "has parameters",
            FORM,
            not_utf8("HasParameters"),
            "part 2 (`HasParameters`): the field is not UTF-8 text (byte 3)",
        ),
        case(
            "override",
            FORM,
            not_utf8("OverrideIfExists"),
            "part 2 (`OverrideIfExists`): the field is not UTF-8 text (byte 3)",
        ),
        case(
            "file name",
            FORM,
            head(b"name=\"file\"; filename=\"ab\xff.ps1\""),
            "part 1: header Content-Disposition has a `filename` that is not UTF-8 (byte 3 of the value)",
        ),
        case(
            "extended file name",
            FORM,
            head(b"name=\"file\"; filename*=utf-8''ab%FF.ps1"),
            "part 1: header Content-Disposition has a `filename*` that is not UTF-8 (byte 3 of the value)",
        ),
        case(
            "field name",
            FORM,
            head(b"name=\"Descr\xffption\""),
            "part 1: header Content-Disposition has a `name` that is not UTF-8 (byte 6 of the value)",
        ),
        case(
            "a charset nobody knows",
            FORM,
            Form::new()
                .part(
                    "Content-Disposition: form-data; name=Description\r\nContent-Type: text/plain; charset=utf-7",
                    "x",
                )
                .end(),
            "part 1 (`Description`): the field is in the charset `utf-7`; send UTF-8",
        ),
        case(
            "U+0000",
            FORM,
            large_form().field("Description", "a\0b").end(),
            "a text field contains the character U+0000",
        ),
    ])
    .await;
}

#[tokio::test]
async fn values_that_cannot_be() {
    let ground = Ground::start().await;
    let twice = "Library file KEPT.ps1 already exists. Set OverrideIfExists to true to replace it";
    let cases = [
        (
            large_form().field("HasParameters", "yes"),
            "Invalid input HasParameters: `yes` is not true or false",
        ),
        (
            large_form().field("OverrideIfExists", "1"),
            "Invalid input OverrideIfExists: `1` is not true or false",
        ),
        (Form::new().file("new.ps1", ""), "the file is empty: a library file has at least one byte"),
        (Form::new().file("KEPT.ps1", vec![b'n'; STAGED]), twice),
        (Form::new().file("KEPT.ps1", vec![b'n'; STAGED]).field("OverrideIfExists", "false"), twice),
        (Form::new().file("KEPT.ps1", "small").field("OverrideIfExists", ""), twice),
    ];
    for (form, message) in cases {
        let answer = ground.post(FORM, form.end()).await;
        ground.refuses(message, answer, 400, "InvalidInput", message).await;
    }
}
