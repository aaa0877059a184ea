use std::cell::Cell;

use super::*;

#[test]
fn content_types_that_are_not_a_form() {
    let long = format!("multipart/form-data; boundary={}", "b".repeat(201));
    for (content_type, message) in [
        (None, "the request has no content type; a form with a file is sent as `multipart/form-data`"),
        (
            Some("application/json"),
            "the content type is `application/json`; a form with a file is sent as `multipart/form-data`",
        ),
        (Some(""), "the content type is ``; a form with a file is sent as `multipart/form-data`"),
        (
            Some("multipart/mixed; boundary=b"),
            "the content type is `multipart/mixed`; a form with a file is sent as `multipart/form-data`",
        ),
        (
            Some("multipart/form-data"),
            "the content type has no `boundary`; it must be `multipart/form-data; boundary=…`",
        ),
        (
            Some("multipart/form-data; boundary"),
            "the boundary in the content type has the parameter `boundary` without a value",
        ),
        (Some("multipart/form-data; boundary="), "the boundary in the content type has 0 characters"),
        (Some("multipart/form-data; boundary=\"\""), "the boundary in the content type has 0 characters"),
        (Some(&long), "the boundary in the content type has 201 characters"),
        (
            Some("multipart/form-data; boundary=\"b"),
            "the boundary in the content type does not close the quote of `boundary`",
        ),
        (
            Some("multipart/form-data; boundary=\"b\"c"),
            "the boundary in the content type has text behind the closing quote of `boundary`",
        ),
        (
            Some("multipart/form-data; boundary=b; Boundary=b"),
            "the boundary in the content type is given twice",
        ),
        (
            Some("multipart/form-data; boundary=\"a\r\nb\""),
            "the boundary in the content type holds the byte 0x0D",
        ),
        (Some("multipart/form-data; boundary=ü"), "the boundary in the content type holds the byte 0xC3"),
        (Some("multipart/form-data; boundary=\"a \""), "the boundary in the content type ends in a space"),
    ] {
        let error = boundary(content_type).unwrap_err().to_string();
        assert!(error.starts_with(message), "{content_type:?}: {error}");
    }
}

#[test]
fn part_headers() {
    let long = "n".repeat(1025);
    let cases: Vec<(Vec<u8>, String)> = [
        (&b"X-Y: z"[..], "header Content-Disposition is missing; every part needs one"),
        (b"", "header Content-Disposition is missing; every part needs one"),
        (b"Content-Disposition form-data", "header line `Content-Disposition form-data` has no colon"),
        (b" name=f", "header line ` name=f` begins with a blank but continues no header"),
        (
            b"Content-Disposition: attachment; name=f",
            "header Content-Disposition is `attachment`; it must be `form-data`",
        ),
        (b"Content-Disposition: form-data; filename=a", "header Content-Disposition has no `name`"),
        (
            b"Content-Disposition: form-data; name",
            "header Content-Disposition has the parameter `name` without a value",
        ),
        (
            b"Content-Disposition: form-data; name=\"f",
            "header Content-Disposition does not close the quote of `name`",
        ),
        (
            b"Content-Disposition: form-data; name=f; filename=\"C:\\dir\\\"",
            "header Content-Disposition does not close the quote of `filename`",
        ),
        (
            b"Content-Disposition: form-data; name=f; filename=\"a\"b\"",
            "header Content-Disposition has text behind the closing quote of `filename`",
        ),
        (b"Content-Disposition: form-data; name=a; name=b", "header Content-Disposition has `name` twice"),
        (
            b"Content-Disposition: form-data; name=a; filename=a; filename=b",
            "header Content-Disposition has `filename` twice",
        ),
        (
            b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            "header Content-Disposition is there twice",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename*0=b; filename*1=c",
            "header Content-Disposition cuts the file name into pieces (`filename*0`); send it as one \
             `filename*`",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename=\"\xFC.ps1\"",
            "header Content-Disposition has a `filename` that is not UTF-8 (byte 1 of the value)",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename*=utf-8''a%FC",
            "header Content-Disposition has a `filename*` that is not UTF-8 (byte 2 of the value)",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename=b; filename*=b.ps1",
            "header Content-Disposition has a `filename*` that is not of the form `utf-8''percent-encoded`",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename*=utf-8''%4",
            "header Content-Disposition has a `filename*` that has a `%` without two hexadecimal digits",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename*=koi8-r''b",
            "header Content-Disposition has a `filename*` that is in the charset `koi8-r`; send UTF-8",
        ),
        (
            b"Content-Disposition: form-data; name=a; filename=\"=?koi8-r?B?dw==?=\"",
            "header Content-Disposition has a `filename` that is in the charset `koi8-r`; send UTF-8",
        ),
        (
            b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
            "header Content-Transfer-Encoding is `base64`; send the bytes as they are",
        ),
        (
            b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: Quoted-Printable",
            "header Content-Transfer-Encoding is `Quoted-Printable`; send the bytes as they are",
        ),
    ]
    .map(|(headers, message)| (headers.to_vec(), message.to_owned()))
    .into_iter()
    .chain(
        [("name", "name="), ("filename", "name=f; filename="), ("filename*", "name=f; filename*=utf-8''")]
            .map(|(param, before)| {
                (
                    format!("Content-Disposition: form-data; {before}{long}").into_bytes(),
                    format!(
                        "header Content-Disposition has a `{param}` of 1025 bytes; at most 1024 are allowed"
                    ),
                )
            }),
    )
    .collect();
    for (headers, message) in cases {
        let (parts, error) = match headers.as_slice() {
            b"" => outcome(FORM, b"--XyZ\r\n\r\ndata\r\n--XyZ--\r\n"),
            // The long ones need not be cut at every place.
            long if long.len() > 1000 => read(FORM, one_part(long).chunks(100)),
            headers => outcome(FORM, &one_part(headers)),
        };
        assert_eq!((parts, error), (vec![], Some(format!("part 1: {message}"))));
    }
}

#[test]
fn bodies() {
    const P: &str = "Content-Disposition: form-data; name=p\r\n\r\n";
    let not_found = |searched| {
        format!(
            "no boundary line in the first {searched} bytes of the body; the body must begin with `--` and the \
             boundary that the content type names"
        )
    };
    let bare = "a line ends in a bare line feed; boundary and header lines must end in CR LF";
    let truncated = "the body is truncated; it must end with the closing boundary";
    for (body, parts, message) in [
        (String::new(), 0, "the body is empty; it must hold at least one part".to_owned()),
        ("{\"a\": 1}".to_owned(), 0, not_found(8)),
        ("--XyZ".to_owned(), 0, not_found(5)),
        ("--XyZ-".to_owned(), 0, not_found(6)),
        ("\r\n".to_owned(), 0, not_found(2)),
        (format!("--Other\r\n{P}1\r\n--Other--\r\n"), 0, not_found(65)),
        ("--XyZ\r\n".to_owned(), 0, format!("part 1: {truncated}")),
        ("--XyZ\r\nContent-Disposition: form-data".to_owned(), 0, format!("part 1: {truncated}")),
        (format!("--XyZ\r\n{P}"), 1, format!("part 1 (`p`): {truncated}")),
        (format!("--XyZ\r\n{P}1\r\n--XyZ-"), 1, format!("part 1 (`p`): {truncated}")),
        (format!("--XyZ\r\n{P}1\r\n--XyZ\r"), 1, format!("part 1 (`p`): {truncated}")),
        (format!("--XyZ\r\n{P}1\r\n--XyZ\r\n"), 1, format!("part 2: {truncated}")),
        (format!("--XyZ\r\n{P}1\r\n--XyZ\r\n{P}2"), 2, format!("part 2 (`p`): {truncated}")),
        (format!("--XyZ\n{P}1\r\n--XyZ--"), 0, format!("part 1: {bare}")),
        (format!("--XyZ\r\n{P}1\r\n--XyZ \n{P}"), 1, format!("part 1 (`p`): {bare}")),
        (
            "--XyZ\r\nContent-Disposition: form-data; name=p\n\n1\n--XyZ--".to_owned(),
            0,
            format!("part 1: {bare}"),
        ),
        ("--XyZ\r\n\n1\r\n--XyZ--".to_owned(), 0, format!("part 1: {bare}")),
    ] {
        let (read, error) = outcome(FORM, body.as_bytes());
        assert_eq!((read.len(), error), (parts, Some(message)), "{body:?}");
    }
}

/// A stream that never ends: `first`, then `then` for ever. Counts the bytes asked for.
fn endless<'a>(
    first: &'static str,
    then: &'a Bytes,
    asked: &'a Cell<usize>,
) -> Multipart<impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin> {
    let pieces = std::iter::once(Bytes::from_static(first.as_bytes())).chain(std::iter::repeat(then.clone()));
    let pieces = pieces.inspect(|piece| asked.set(asked.get() + piece.len()));
    Multipart::new(stream::iter(pieces.map(Ok)), boundary(Some(FORM)).unwrap(), Limits::default())
}

#[test]
fn bodies_without_end() {
    let lines = Bytes::from("X-Y: 0123456789\r\n".repeat(1000));
    let parts = Bytes::from_static(b"--XyZ\r\nContent-Disposition: form-data; name=p\r\n\r\n\r\n");
    let blanks = Bytes::from(" ".repeat(1000));
    for (first, then, at_most, message) in [
        ("", &lines, 17_000, "no boundary line in the first 8192 bytes of the body"),
        ("--Other\r\n\r\n", &blanks, 9_300, "no boundary line in the first 8192 bytes of the body"),
        ("--XyZ", &blanks, 9_300, "no boundary line in the first 8192 bytes of the body"),
        ("--XyZ\r\n", &lines, 17_100, "part 1: the headers have more than 16384 bytes"),
        ("--XyZ\r\nX: ", &blanks, 17_100, "part 1: the headers have more than 16384 bytes"),
        ("", &parts, 53_000, "the body has more than 1000 parts"),
    ] {
        let asked = Cell::new(0);
        let mut body = endless(first, then, &asked);
        let error = async {
            loop {
                match body.next_part().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("an endless body has ended"),
                    Err(error) => break error.to_string(),
                }
            }
        };
        let error = error.now_or_never().unwrap();
        assert!(error.starts_with(message), "{error}");
        assert!(asked.get() <= at_most, "{message}: {} bytes were read", asked.get());
        let again = body.next_part().now_or_never().unwrap().unwrap_err();
        assert!(matches!(again, MultipartError::AlreadyFailed));
        let again = body.chunk().now_or_never().unwrap().unwrap_err();
        assert!(matches!(again, MultipartError::AlreadyFailed));
    }

    // What follows the closing boundary is no fault, and is not read for ever.
    let asked = Cell::new(0);
    let mut body = endless("--XyZ--\r\n", &blanks, &asked);
    assert_eq!(body.next_part().now_or_never().unwrap().unwrap(), None);
    assert!((8_000..=9_300).contains(&asked.get()));

    let asked = Cell::new(0);
    let mut body = endless("--XyZ\r\nContent-Disposition: form-data; name=p\r\n\r\n", &blanks, &asked);
    body.next_part().now_or_never().unwrap().unwrap();
    let error = body.text(10_000).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "part 1 (`p`): the field has more than 10000 bytes");
    assert!(asked.get() <= 11_100);
}

#[test]
fn limits_allow_what_they_say() {
    let part = |header: &str| format!("--XyZ\r\n{header}Content-Disposition: form-data; name=p\r\n\r\n\r\n");
    let plain = part("");
    // Of the block: `X: ` and three line ends, besides the disposition.
    let rest = "X: \r\n\r\n".len() + "Content-Disposition: form-data; name=p\r\n".len();
    let filler = |extra: usize| part(&format!("X: {}\r\n", "x".repeat(Limits::HEADER_BLOCK - rest + extra)));
    for (body, fits) in [
        (format!("{}--XyZ--", plain.repeat(1000)), true),
        (format!("{}--XyZ--", plain.repeat(1001)), false),
        (format!("{}\r\n{plain}--XyZ--", "x".repeat(Limits::PREAMBLE)), true),
        (format!("{}\r\n{plain}--XyZ--", "x".repeat(Limits::PREAMBLE + 1)), false),
        (format!("{}--XyZ--", filler(0)), true),
        (format!("{}--XyZ--", filler(1)), false),
    ] {
        for size in [1, 1000, body.len()] {
            let (_, error) = read(FORM, body.as_bytes().chunks(size));
            assert_eq!(error.is_none(), fits, "in pieces of {size}: {error:?}");
        }
    }
}

#[test]
fn a_broken_connection_is_told_apart() {
    let head = Bytes::from_static(b"--XyZ\r\nContent-Disposition: form-data; name=p\r\n\r\n");
    let closing = Bytes::from_static(b"\r\n--XyZ--\r\n");
    for before in [vec![], vec![head.clone()], vec![head, closing]] {
        let gone = std::iter::once(Err(std::io::Error::other("connection reset")));
        let pieces = stream::iter(before.into_iter().map(Ok).chain(gone));
        let body = Multipart::new(pieces, boundary(Some(FORM)).unwrap(), Limits::default());
        let error = read_all(body, &mut Vec::new()).now_or_never().unwrap().unwrap_err();
        assert!(matches!(error, MultipartError::Body(_)));
        assert_eq!(error.to_string(), "the body could not be read to its end");
        assert_eq!(Error::source(&error).unwrap().to_string(), "connection reset");
    }
}
