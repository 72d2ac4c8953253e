//! How numbers are written and read: `ascii`, `hex64…4`, `big64…8`, `little64…8`, `byte`, `bool`.

/// The form of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Decimal digits.
    Ascii,
    /// So many hex digits.
    Hex(usize),
    /// So many bytes, big-endian.
    Big(usize),
    /// So many bytes, little-endian.
    Little(usize),
    /// `true` or `false`.
    Bool,
}

/// The forms, for messages.
pub(super) const FORMS: &str = "ascii, hex64 hex32 hex16 hex8 hex4, big64 big32 big16 big8, little64 little32 little16 little8, byte, bool";

impl Form {
    /// The form a modifier names.
    pub(super) fn parse(modifier: &str) -> Option<Form> {
        Some(match modifier {
            "ascii" => Form::Ascii,
            "hex64" => Form::Hex(16),
            "hex32" => Form::Hex(8),
            "hex16" => Form::Hex(4),
            "hex8" => Form::Hex(2),
            "hex4" => Form::Hex(1),
            "big64" => Form::Big(8),
            "big32" => Form::Big(4),
            "big16" => Form::Big(2),
            "little64" => Form::Little(8),
            "little32" => Form::Little(4),
            "little16" => Form::Little(2),
            "byte" | "big8" | "little8" => Form::Big(1),
            "bool" => Form::Bool,
            _ => return None,
        })
    }

    /// Appends a number. Fixed widths keep the low digits or bytes.
    pub(super) fn write(self, number: i64, out: &mut Vec<u8>) {
        let bits = number.cast_unsigned();
        match self {
            Form::Ascii => out.extend_from_slice(number.to_string().as_bytes()),
            Form::Hex(digits) => {
                let all = format!("{bits:016x}");
                out.extend_from_slice(&all.as_bytes()[16 - digits..]);
            }
            Form::Big(bytes) => out.extend_from_slice(&bits.to_be_bytes()[8 - bytes..]),
            Form::Little(bytes) => out.extend_from_slice(&bits.to_le_bytes()[..bytes]),
            Form::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
        }
    }

    /// How many bytes of input hold a number of this form; `None` where the bytes themselves tell.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Form::Ascii | Form::Bool => None,
            Form::Hex(width) | Form::Big(width) | Form::Little(width) => Some(width),
        }
    }

    /// Reads a number from exactly its bytes.
    pub(super) fn read(self, bytes: &[u8]) -> Option<u64> {
        match self {
            Form::Ascii => std::str::from_utf8(bytes).ok()?.parse().ok(),
            Form::Hex(_) => {
                let all_digits = bytes.iter().all(u8::is_ascii_hexdigit);
                all_digits.then(|| u64::from_str_radix(std::str::from_utf8(bytes).ok()?, 16).ok()).flatten()
            }
            Form::Big(_) => Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))),
            Form::Little(_) => {
                Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
            }
            Form::Bool => match bytes {
                b"true" => Some(1),
                b"false" => Some(0),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_number_reads_back() {
        for modifier in [
            "ascii", "hex64", "hex32", "hex16", "big64", "big32", "big16", "little64", "little32", "little16",
        ] {
            let form = Form::parse(modifier).unwrap();
            let mut bytes = Vec::new();
            form.write(0x1234, &mut bytes);
            assert_eq!(form.read(&bytes), Some(0x1234), "{modifier}");
            assert!(form.width().is_none_or(|width| width == bytes.len()), "{modifier}");
        }
    }

    #[test]
    fn numbers_are_cut_to_their_width() {
        for (modifier, bytes) in [
            ("byte", &b"\x00"[..]),
            ("big16", b"\x01\x00"),
            ("little16", b"\x00\x01"),
            ("hex8", b"00"),
            ("bool", b"true"),
        ] {
            let mut out = Vec::new();
            Form::parse(modifier).unwrap().write(256, &mut out);
            assert_eq!(out, bytes, "{modifier}");
        }
        assert_eq!(Form::parse("big24"), None);
    }

    #[test]
    fn bytes_that_are_no_number_are_refused() {
        assert_eq!(Form::Hex(2).read(b"+1"), None);
        assert_eq!(Form::Ascii.read(b""), None);
        assert_eq!(Form::Ascii.read(b"99999999999999999999"), None);
        assert_eq!(Form::Bool.read(b"yes"), None);
    }
}
