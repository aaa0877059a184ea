mod random;
mod refused;

use futures_util::{FutureExt, stream};

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    name: String,
    file_name: Option<String>,
    content: Vec<u8>,
}

/// What a body that arrives in these pieces holds: the parts read, and the error that ended the reading.
type Outcome = (Vec<Got>, Option<String>);

fn reader<'a>(
    content_type: &str,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Multipart<impl Stream<Item = Result<Bytes, std::io::Error>>> {
    let body: Vec<_> = pieces.map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Multipart::new(stream::iter(body), boundary(Some(content_type)).unwrap(), Limits::default())
}

fn read<'a>(content_type: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut parts = Vec::new();
    let error = read_all(reader(content_type, pieces), &mut parts).now_or_never().unwrap().err();
    (parts, error.map(|error| error.to_string()))
}

async fn read_all<S>(mut body: Multipart<S>, parts: &mut Vec<Got>) -> Result<(), MultipartError>
where
    S: Stream<Item = Result<Bytes, std::io::Error>> + Unpin,
{
    while let Some(part) = body.next_part().await? {
        parts.push(Got { name: part.name, file_name: part.file_name, content: Vec::new() });
        while let Some(chunk) = body.chunk().await? {
            assert!(!chunk.is_empty());
            if let Some(part) = parts.last_mut() {
                part.content.extend_from_slice(&chunk);
            }
        }
        assert_eq!(body.chunk().await?, None);
    }
    assert!(body.next_part().await?.is_none());
    Ok(())
}

/// Reads the body in one piece, cut in two at every place, and byte by byte, which must all come to the same.
fn outcome(content_type: &str, body: &[u8]) -> Outcome {
    let whole = read(content_type, [body].into_iter());
    for cut in 0..=body.len() {
        let (left, right) = body.split_at(cut);
        assert_eq!(read(content_type, [left, right].into_iter()), whole, "cut at byte {cut}");
    }
    assert_eq!(read(content_type, body.chunks(1)), whole, "byte by byte");
    whole
}

fn parts_of(content_type: &str, body: &[u8]) -> Vec<Got> {
    let (parts, error) = outcome(content_type, body);
    assert_eq!(error, None, "{}", body.escape_ascii());
    parts
}

const FORM: &str = "multipart/form-data; boundary=XyZ";

/// A body with one part of these header lines and the content `data`.
fn one_part(headers: impl AsRef<[u8]>) -> Vec<u8> {
    [b"--XyZ\r\n", headers.as_ref(), b"\r\n\r\ndata\r\n--XyZ--\r\n"].concat()
}

fn got(name: &str, file_name: Option<&str>, content: impl AsRef<[u8]>) -> Got {
    Got { name: name.to_owned(), file_name: file_name.map(str::to_owned), content: content.as_ref().to_vec() }
}

#[test]
fn boundaries_are_found_in_any_dress() {
    for (content_type, expected) in [
        ("multipart/form-data; boundary=XyZ", "XyZ"),
        ("Multipart/Form-DATA;BOUNDARY=XyZ", "XyZ"),
        ("multipart/form-data; boundary=\"XyZ\"", "XyZ"),
        ("multipart/form-data; charset=utf-8; boundary=XyZ; x=y", "XyZ"),
        ("multipart/form-data ;; boundary = \"a b;c\" ;", "a b;c"),
        ("multipart/form-data; boundary=+++", "+++"),
        ("multipart/form-data; boundary=--=_x'()/:?,", "--=_x'()/:?,"),
        ("multipart/form-data; boundary=\"a\\\"b\"", "a\"b"),
        (&format!("multipart/form-data; boundary={}", "b".repeat(200)), &"b".repeat(200)),
    ] {
        let found = boundary(Some(content_type)).unwrap();
        assert_eq!(found.as_bytes(), expected.as_bytes(), "{content_type}");
    }
}

#[test]
fn part_headers_are_read_in_any_dress() {
    for (headers, name, file_name) in [
        ("Content-Disposition: form-data; name=\"file\"; filename=\"a.ps1\"", "file", Some("a.ps1")),
        ("content-disposition:form-data;name=\"file\"", "file", None),
        ("CONTENT-DISPOSITION: Form-Data; NAME=file; FILENAME=a.ps1", "file", Some("a.ps1")),
        ("Content-Disposition : form-data; name = file ; filename = a b.ps1 ;", "file", Some("a b.ps1")),
        ("Content-Disposition: form-data; filename=\"a\"; name=f", "f", Some("a")),
        ("Content-Type: image/png\r\nContent-Disposition: form-data; name=f", "f", None),
        ("Content-Type: ;;nonsense=\"\r\nX-Y: z\r\nContent-Disposition: form-data; name=f", "f", None),
        ("Content-Disposition: form-data; name=f\r\nContent-Transfer-Encoding: Binary", "f", None),
        ("Content-Transfer-Encoding: 8bit\r\nContent-Disposition: form-data; name=f", "f", None),
        ("Content-Disposition: form-data;\r\n name=f;\r\n\tfilename=\"a\r\n\tb\"", "f", Some("a b")),
        ("X-Folded: a\r\n b\r\nContent-Disposition: form-data; name=f", "f", None),
        ("Content-Disposition: form-data; name=\"\"; filename=\"\"", "", Some("")),
    ] {
        assert_eq!(parts_of(FORM, &one_part(headers)), [got(name, file_name, "data")], "{headers}");
    }
}

#[test]
fn file_names_are_read_in_any_dress() {
    let params: &[(&[u8], &str)] = &[
        (br#"filename="a;b=c.ps1""#, "a;b=c.ps1"),
        (br#"filename="say \"hi\".ps1""#, "say \"hi\".ps1"),
        (br#"filename="a\\b""#, r"a\b"),
        (br#"filename="C:\x\a.ps1""#, r"C:\x\a.ps1"),
        (br#"filename="\\host\share\a.ps1""#, r"\host\share\a.ps1"),
        (br"filename=C:\x\a.ps1", r"C:\x\a.ps1"),
        (br#"filename="../a""#, "../a"),
        (br#"filename="say %22hi%22.ps1""#, "say \"hi\".ps1"),
        (br#"filename="a%20b%2F%0D.ps1""#, "a%20b%2F%0D.ps1"),
        ("filename=\"ü日本.ps1\"".as_bytes(), "ü日本.ps1"),
        ("filename=ü.ps1".as_bytes(), "ü.ps1"),
        (b"filename=a.ps1; filename*=utf-8''%C3%BC%20x.ps1", "ü x.ps1"),
        (b"filename*=UTF-8'en'b%22.ps1; filename=a.ps1", "b\".ps1"),
        (b"filename*=\"utf-8''%e2%82%ac.ps1\"", "€.ps1"),
        (b"filename*=ISO-8859-1''%FC.ps1", "ü.ps1"),
        (b"filename*=utf-8''it's%2522.ps1", "it's%22.ps1"),
        (b"filename=\"\xFC.ps1\"; filename*=utf-8''%C3%BC.ps1", "ü.ps1"),
        (b"filename=\"=?utf-8?B?w7wucHMx?=\"", "ü.ps1"),
        (b"filename=\"=?UTF-8?b?w7wucHMxIQ?=\"", "ü.ps1!"),
        (b"filename=\"=?utf-8?Q?=C3=BC_x.ps1?=\"", "ü x.ps1"),
        (b"filename=\"=?utf-8*de?q?=c3=bc.ps1?=\"", "ü.ps1"),
        (b"filename=\"=?iso-8859-1?Q?=FC.ps1?=\"", "ü.ps1"),
        (b"filename=\"=?utf-8?Q?a=C3?= =?utf-8?Q?=BC.ps1?=\"", "aü.ps1"),
        (b"filename=\"=?utf-8?B?dw==?=\"; filename*=utf-8''b", "b"),
        (b"filename=\"=?utf-8?X?dw==?=\"", "=?utf-8?X?dw==?="),
        (b"filename=\"=?utf-8?B?!?=\"", "=?utf-8?B?!?="),
        (b"filename=\"a =?utf-8?B?dw==?=\"", "a =?utf-8?B?dw==?="),
    ];
    for (param, expected) in params {
        let headers = [b"Content-Disposition: form-data; name=file; ", *param].concat();
        let expected = [got("file", Some(expected), "data")];
        assert_eq!(parts_of(FORM, &one_part(headers)), expected, "{}", param.escape_ascii());
    }
}

#[test]
fn bodies_are_read_in_any_dress() {
    const P: &str = "Content-Disposition: form-data; name=p\r\n";
    let two = [got("p", None, "1"), got("p", None, "2")];
    let p = |content: &str| vec![got("p", None, content)];
    for (body, expected) in [
        (format!("--XyZ\r\n{P}\r\n1\r\n--XyZ\r\n{P}\r\n2\r\n--XyZ--\r\n"), two.to_vec()),
        (format!("preamble\r\n--Xy\r\n\r\n--XyZ\r\n{P}\r\n1\r\n--XyZ--\r\nepilogue\r\n--XyZ\r\n"), p("1")),
        (format!("\r\n--XyZ\r\n{P}\r\n1\r\n--XyZ--"), p("1")),
        (format!("--XyZ\r\n{P}\r\n1\r\n--XyZ--\n"), p("1")),
        (format!("--XyZ\r\n{P}\r\n1\r\n--XyZ-- \t"), p("1")),
        (format!("--XyZ \t \r\n{P}\r\n1\r\n--XyZ\t\r\n{P}\r\n2\r\n--XyZ--  \r\n"), two.to_vec()),
        (format!("--XyZ\r\n{P}\r\n\r\n--XyZ--\r\n"), p("")),
        (format!("--XyZ\r\n{P}\r\n--XyZ\r\n{P}\r\n--XyZ--\r\n"), [p(""), p("")].concat()),
        (format!("--XyZ\r\n{P}\r\n\r\n\r\n--XyZ--\r\n"), p("\r\n")),
        (format!("--XyZ\r\n{P}\r\n\n\r\r\n\r\n--XyZ--\r\n"), p("\n\r\r\n")),
        ("--XyZ--\r\n".to_owned(), vec![]),
        ("--XyZ--".to_owned(), vec![]),
    ] {
        assert_eq!(parts_of(FORM, body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn what_looks_like_a_boundary_is_content() {
    for content in [
        "--XyZ",
        "\n--XyZ\n",
        "\r--XyZ\r",
        "x--XyZ\r\n",
        "\r\n--XyZW\r\n",
        "\r\n--xyz\r\n",
        "\r\n-XyZ",
        "\r\n--XyZ -\r\n",
        "\r\n--XyZ-\r\n",
        "\r\n--XyZ--W",
        "\r\n--XyZ-- \tW",
        "\r\n--XyZ\rW",
        "\r\n--XyZ \r\r\n--Xy",
        "\r\n--XyZ\r\r\n--XyZ\r\r",
        "\r\r\r\n\r\n-\r\n--\r\n--X\r\n--Xy\r",
        &format!("\r\n--XyZ{}", " ".repeat(300)),
    ] {
        // What stands right at the start of the content would be a line of its own.
        let content = format!("a{content}");
        let body = format!(
            "--XyZ\r\nContent-Disposition: form-data; name=p\r\n\r\n{content}\r\n--XyZ\r\n\
             Content-Disposition: form-data; name=q\r\n\r\n2\r\n--XyZ--\r\n"
        );
        assert_eq!(
            parts_of(FORM, body.as_bytes()),
            [got("p", None, &content), got("q", None, "2")],
            "{content:?}"
        );
    }
}

#[test]
fn short_and_hyphenated_boundaries_work() {
    for bound in ["-", "--", "a", "+++", "----WebKitFormBoundary7MA4YWxkTrZu0gW", "a b"] {
        let body = format!(
            "--{bound}\r\nContent-Disposition: form-data; name=p\r\n\r\n-\r\n-\r\n--{bound}\r\n\
             Content-Disposition: form-data; name=q\r\n\r\n\r\n--{bound}--\r\n"
        );
        let parts = parts_of(&format!("multipart/form-data; boundary=\"{bound}\""), body.as_bytes());
        assert_eq!(parts, [got("p", None, "-\r\n-"), got("q", None, "")], "{bound}");
    }
}

fn text(headers: &str, content: &[u8], max: usize) -> Result<String, String> {
    let head = format!("--XyZ\r\nContent-Disposition: form-data; name=note\r\n{headers}\r\n");
    let tail = b"\r\n--XyZ\r\nContent-Disposition: form-data; name=next\r\n\r\n\r\n--XyZ--";
    let body = [head.as_bytes(), content, tail].concat();
    let mut body = reader(FORM, body.chunks(3));
    async move {
        body.next_part().await.unwrap();
        let text = body.text(max).await.map_err(|error| error.to_string());
        // Whatever came of it, the next part can be read.
        assert_eq!(body.next_part().await.unwrap().unwrap().name, "next");
        text
    }
    .now_or_never()
    .unwrap()
}

#[test]
fn fields_are_read_as_text() {
    let latin1 = "Content-Type: text/plain; charset=ISO-8859-1\r\n";
    let utf8 = "content-type: text/plain; charset=\"utf-8\"\r\n";
    assert_eq!(text("", "über".as_bytes(), 5).unwrap(), "über");
    assert_eq!(text(utf8, "\u{FEFF}über\r\n".as_bytes(), 100).unwrap(), "über\r\n");
    assert_eq!(text(latin1, b"\xFCber", 4).unwrap(), "über");
    assert_eq!(text("Content-Type: text/plain\r\n", b"", 0).unwrap(), "");
    assert_eq!(text("", b"12345", 4).unwrap_err(), "part 1 (`note`): the field has more than 4 bytes");
    assert_eq!(text("", b"12\xFC", 9).unwrap_err(), "part 1 (`note`): the field is not UTF-8 text (byte 3)");
    assert_eq!(
        text("Content-Type: text/plain; charset=UTF-16\r\n", b"1\x002\0", 9).unwrap_err(),
        "part 1 (`note`): the field is in the charset `utf-16`; send UTF-8"
    );
}

#[test]
fn content_is_handed_on_without_copying() {
    let content = vec![b'x'; 100_000];
    let body = Bytes::from(
        [
            b"--XyZ\r\nContent-Disposition: form-data; name=p\r\n\r\n",
            &content[..],
            b"\r\n--XyZ\r\nContent-Disposition: form-data; name=q\r\n\r\n1\r\n--XyZ--",
        ]
        .concat(),
    );
    let place = body.as_ptr_range();
    let pieces = stream::iter([Ok::<_, std::io::Error>(body.clone())]);
    let mut parts = Multipart::new(pieces, boundary(Some(FORM)).unwrap(), Limits::default());
    parts.next_part().now_or_never().unwrap().unwrap();
    let chunk = parts.chunk().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(chunk.len(), content.len());
    assert!(place.contains(&chunk.as_ptr()));
}

#[test]
fn parts_that_nobody_reads_are_skipped() {
    let mut body = one_part("Content-Disposition: form-data; name=a");
    body.truncate(body.len() - "--\r\n".len());
    body.extend_from_slice(&one_part("Content-Disposition: form-data; name=b")["--XyZ".len()..]);
    let mut parts = reader(FORM, body.chunks(7));
    let mut next = || parts.next_part().now_or_never().unwrap().unwrap().map(|part| (part.number, part.name));
    assert_eq!(next(), Some((1, "a".to_owned())));
    assert_eq!(next(), Some((2, "b".to_owned())));
    assert_eq!(next(), None);
    assert_eq!(next(), None);
}
