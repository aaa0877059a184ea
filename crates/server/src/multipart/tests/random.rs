use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Cuts `body` into pieces of these lengths, over and over.
fn pieces<'a>(body: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = body;
    let mut out = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).min(rest.len()));
        out.push(piece);
        rest = after;
    }
    out
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![4 => 1usize..12, 1 => 1usize..400], 1..8)
}

/// Bytes full of line ends, hyphens and boundaries.
fn content(bound: String) -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        proptest::sample::select(vec!["\r", "\n", "\r\n", "-", "--", " ", "\r\n--", "x"])
            .prop_map(|text| text.as_bytes().to_vec()),
        Just(format!("\r\n--{bound}").into_bytes()),
        Just(bound.clone().into_bytes()),
        vec(any::<u8>(), 0..20),
    ];
    vec(fragment, 0..20).prop_map(move |fragments| without_boundary_lines(&fragments.concat(), &bound))
}

/// Puts an `x` behind everything in `content` that could end it.
fn without_boundary_lines(content: &[u8], bound: &str) -> Vec<u8> {
    let delimiter = format!("\r\n--{bound}");
    let mut line = b"\r\n".to_vec();
    let mut rest = content.iter().peekable();
    loop {
        if line.ends_with(delimiter.as_bytes()) && rest.peek() != Some(&&b'x') {
            line.push(b'x');
        }
        match rest.next() {
            Some(byte) => line.push(*byte),
            None => return line.split_off(2),
        }
    }
}

fn form() -> impl Strategy<Value = (String, Vec<Got>)> {
    "[0-9A-Za-z'()+_,./:=?-]{1,20}".prop_flat_map(|bound| {
        let file_name = proptest::option::of(r#"[ -~üß日"\\;%]{0,12}"#);
        let part = ("[ -~ü]{0,8}", file_name, content(bound.clone()))
            .prop_map(|(name, file_name, content)| Got { name, file_name, content });
        (Just(bound), vec(part, 0..5))
    })
}

fn encode(bound: &str, parts: &[Got]) -> Vec<u8> {
    let quoted = |text: &str| text.replace('\\', r"\\").replace('"', "%22");
    let mut body = Vec::new();
    for part in parts {
        let name = quoted(&part.name);
        body.extend(format!("--{bound}\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes());
        if let Some(file_name) = &part.file_name {
            let encoded: String = file_name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            body.extend(format!("; filename=\"x\"; filename*=utf-8''{encoded}").as_bytes());
        }
        body.extend([b"\r\n\r\n", &part.content[..], b"\r\n"].concat());
    }
    body.extend(format!("--{bound}--\r\n").as_bytes());
    body
}

proptest! {
    #[test]
    fn what_was_encoded_is_read((bound, parts) in form(), lengths in lengths()) {
        let expected: Vec<Got> = parts
            .iter()
            .map(|part| Got { name: part.name.replace("%22", "\""), ..part.clone() })
            .collect();
        let body = encode(&bound, &parts);
        let content_type = format!("multipart/form-data; boundary=\"{bound}\"");
        let (read, error) = read(&content_type, pieces(&body, &lengths).into_iter());
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn cuts_change_nothing(
        fragments in vec(
            proptest::sample::select(vec![
                "--b", "\r\n--b", "\r\n", "\r", "\n", "--", "-", " ", "x", ":", ";", "=", "\"", "\\", "\0",
                "Content-Disposition: form-data; name=a", "\r\n\r\n", "--b\r\n",
                "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"g\"\r\n\r\n", "\r\n--b--",
                "; filename*=utf-8''%C3", "=?utf-8?Q?", "Content-Type: text/plain; charset=", "\u{fc}",
            ]),
            0..30,
        ),
        lengths in lengths(),
    ) {
        let body = fragments.concat();
        let whole = read("multipart/form-data; boundary=b", [body.as_bytes()].into_iter());
        let cut = read("multipart/form-data; boundary=b", pieces(body.as_bytes(), &lengths).into_iter());
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        content_type in r#"(multipart/form-data; ?)?[ -~ü]{0,20}(boundary=)?[ -~"]{0,10}"#,
        head in vec(any::<u8>(), 0..200),
        body in vec(any::<u8>(), 0..200),
    ) {
        if let Ok(boundary) = boundary(Some(&content_type)) {
            let delimiter = [b"--", boundary.as_bytes(), b"\r\n"].concat();
            let pieces = [&delimiter[..], &head, b"\r\n\r\n", &body];
            let _ = read(&content_type, pieces.into_iter());
        }
        let disposition = [b"--b\r\nContent-Disposition: form-data; name=a;", &head[..], b"\r\n\r\n"].concat();
        let _ = read("multipart/form-data; boundary=b", [&disposition[..], &body].into_iter());
    }
}
