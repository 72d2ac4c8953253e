//! Sizes: `64KiB`, `1MiB`, `10GiB`, or plain bytes.

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads a size in bytes. `KiB` and its kin are powers of 1024, `kB` and its kin of 1000.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let fail = || format!("{text:?} is not a size: write 4096, 64KiB, 1MiB or 10GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| fail())?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == &text[digits..]).ok_or_else(fail)?;
    number.checked_mul(*unit).ok_or_else(|| format!("{text:?} is too large for a size"))
}

/// Writes a size for people: three digits and a unit.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn show_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for name in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = name;
    }
    if value < 10.0 { format!("{value:.2} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_with_an_optional_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("10GiB", 10 << 30),
            ("5MB", 5_000_000),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "KiB", "-1", "1.5MiB", "1 MiB", "1mib", "1K", "99999999999TiB", "1é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (15 << 20, "15.0 MiB")] {
            assert_eq!(show_size(bytes), text);
        }
    }
}
