//! How keys, values and topics are written and read: as they are, `hex`, `base64`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// The coding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Raw,
    /// Two digits a byte.
    Hex,
    /// Base64, padded.
    Base64,
    /// Base64 without padding.
    Base64Raw,
}

/// The codings, for messages.
pub(super) const CODINGS: &str = "hex, base64, base64raw";

impl Coding {
    /// The coding a modifier names.
    pub(super) fn parse(modifier: Option<&str>) -> Option<Coding> {
        Some(match modifier {
            None => Coding::Raw,
            Some("hex") => Coding::Hex,
            Some("base64") => Coding::Base64,
            Some("base64raw") => Coding::Base64Raw,
            Some(_) => return None,
        })
    }

    /// Appends bytes in this coding.
    pub(super) fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Coding::Raw => out.extend_from_slice(bytes),
            Coding::Hex => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                for byte in bytes {
                    out.push(DIGITS[usize::from(byte >> 4)]);
                    out.push(DIGITS[usize::from(byte & 15)]);
                }
            }
            Coding::Base64 => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Coding::Base64Raw => out.extend_from_slice(STANDARD_NO_PAD.encode(bytes).as_bytes()),
        }
    }

    /// Decodes bytes; `None` when they are not of this coding.
    pub(super) fn read(self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Coding::Raw => Some(bytes),
            Coding::Hex => {
                if !bytes.len().is_multiple_of(2) {
                    return None;
                }
                bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
            }
            Coding::Base64 => STANDARD.decode(bytes).ok(),
            Coding::Base64Raw => STANDARD_NO_PAD.decode(bytes).ok(),
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_text_reads_back() {
        for coding in [Coding::Raw, Coding::Hex, Coding::Base64, Coding::Base64Raw] {
            for bytes in [&b""[..], b"a", b"\x00\xff\x10", b"hello"] {
                let mut out = Vec::new();
                coding.write(bytes, &mut out);
                assert_eq!(coding.read(out).as_deref(), Some(bytes), "{coding:?}");
            }
        }
    }

    #[test]
    fn bytes_of_another_coding_are_refused() {
        assert_eq!(Coding::Hex.read(b"abc".to_vec()), None);
        assert_eq!(Coding::Hex.read(b"zz".to_vec()), None);
        assert_eq!(Coding::Base64.read(b"YQ".to_vec()), None);
        assert_eq!(Coding::parse(Some("json")), None);
    }
}
