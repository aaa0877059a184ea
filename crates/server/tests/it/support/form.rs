//! Multipart bodies by hand, byte for byte as one client or another writes them.

/// A body under way. Its boundary is [`Form::BOUNDARY`].
#[derive(Clone, Default)]
pub struct Form(Vec<u8>);

impl Form {
    pub const BOUNDARY: &str = "b0undary";
    pub const CONTENT_TYPE: &str = "multipart/form-data; boundary=b0undary";

    pub fn new() -> Form {
        Form::default()
    }

    /// A part with these header lines, which a CR LF each separates.
    pub fn part(mut self, headers: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Form {
        self.0.extend_from_slice(format!("--{}\r\n", Form::BOUNDARY).as_bytes());
        self.0.extend_from_slice(headers.as_ref());
        self.0.extend_from_slice(b"\r\n\r\n");
        self.0.extend_from_slice(content.as_ref());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// A text field without a content type, as curl sends it.
    pub fn field(self, name: &str, value: impl AsRef<[u8]>) -> Form {
        self.part(format!("Content-Disposition: form-data; name=\"{name}\""), value)
    }

    /// The file, under this name as it stands between the quotes.
    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Form {
        let mut head = b"Content-Disposition: form-data; name=\"file\"; filename=\"".to_vec();
        head.extend_from_slice(name.as_ref());
        head.extend_from_slice(b"\"\r\nContent-Type: application/octet-stream");
        self.part(head, content)
    }

    /// The body with its closing boundary.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{}--\r\n", Form::BOUNDARY).as_bytes());
        self.0
    }

    /// The body without its last bytes and without an end.
    pub fn cut(mut self, bytes: usize) -> Vec<u8> {
        self.0.truncate(self.0.len() - bytes);
        self.0
    }
}
