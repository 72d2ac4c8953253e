//! Bytes in JSON: text where they are UTF-8, else base64 with a mark.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The text of some bytes, and `base64` where it had to be that.
pub(crate) fn json_text(bytes: &[u8]) -> (String, Option<&'static str>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (STANDARD.encode(bytes), Some("base64")),
    }
}

/// The same where null is not empty.
pub(crate) fn json_optional(bytes: Option<&[u8]>) -> (Option<String>, Option<&'static str>) {
    match bytes {
        None => (None, None),
        Some(bytes) => {
            let (text, encoding) = json_text(bytes);
            (Some(text), encoding)
        }
    }
}
