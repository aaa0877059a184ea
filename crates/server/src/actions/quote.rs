//! Bytes as the inside of a JSON string, piece by piece: the same text however they are cut.

use bytes::Bytes;

/// Turns bytes into the inside of a JSON string: what is not UTF-8 becomes U+FFFD.
#[derive(Default)]
pub struct Quoter {
    /// The beginning of a character whose rest is in the next piece.
    begun: Vec<u8>,
}

impl Quoter {
    /// The next piece, or the end.
    pub fn quote(&mut self, piece: Option<Bytes>) -> Bytes {
        let mut bytes = std::mem::take(&mut self.begun);
        match piece {
            None => {}
            Some(piece) => {
                bytes.extend_from_slice(&piece);
                self.begun = bytes.split_off(incomplete(&bytes));
            }
        }
        let quoted = serde_json::Value::from(String::from_utf8_lossy(&bytes)).to_string();
        let inside = 1..quoted.len() - 1;
        Bytes::from(quoted).slice(inside)
    }
}

/// Where a character begins that the end of the bytes cuts in two; their length when there is none.
pub fn incomplete(bytes: &[u8]) -> usize {
    let mut valid = 0;
    while valid < bytes.len() {
        match std::str::from_utf8(&bytes[valid..]) {
            Ok(_) => return bytes.len(),
            Err(e) => match e.error_len() {
                None => return valid + e.valid_up_to(),
                Some(length) => valid += e.valid_up_to() + length,
            },
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Quoter;

    #[test]
    fn text_is_the_same_however_it_is_cut() {
        let bytes =
            [b"a\"\n".as_slice(), "é𝄞".as_bytes(), b"\xff\xc3(", "ü".as_bytes(), b"\xf0\x9d"].concat();
        let whole = serde_json::Value::from(String::from_utf8_lossy(&bytes)).to_string();
        for size in 1..=bytes.len() {
            let mut quoter = Quoter::default();
            let mut text = String::from("\"");
            for piece in bytes.chunks(size) {
                let quoted = quoter.quote(Some(Bytes::copy_from_slice(piece)));
                text.push_str(std::str::from_utf8(&quoted).unwrap());
            }
            text.push_str(std::str::from_utf8(&quoter.quote(None)).unwrap());
            text.push('"');
            assert_eq!(text, whole, "{size}");
        }
    }
}
