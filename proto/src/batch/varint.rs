//! Zig-zag varints, as in Protocol Buffers: 7 bits a byte, the lowest first.

use super::Lie;

/// The most bytes a 64-bit number takes.
pub(super) const BYTES_MAX: usize = 10;

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The bytes that `value` takes.
pub(super) fn size(value: i64) -> usize {
    // 9/64 of the bits, rounded up: one byte for each 7 bits.
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    let mut bytes = [0; BYTES_MAX];
    let mut used = 0;
    for byte in &mut bytes {
        used += 1;
        if rest < 0x80 {
            *byte = rest as u8;
            break;
        }
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    out.extend_from_slice(&bytes[..used]);
}

/// Takes a 64-bit number off the front of `bytes`.
pub(super) fn take_i64(bytes: &mut &[u8]) -> Result<i64, Lie> {
    let raw = match bytes.split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *bytes = rest;
            u64::from(byte)
        }
        _ => take_long(bytes)?,
    };
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

fn take_long(bytes: &mut &[u8]) -> Result<u64, Lie> {
    let mut raw = 0u64;
    for (at, &byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        // The tenth byte has room for one bit.
        if at == BYTES_MAX - 1 && byte > 1 {
            return Err(Lie::Number);
        }
        raw |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *bytes = &bytes[at + 1..];
            return Ok(raw);
        }
    }
    Err(Lie::Ends)
}

/// Takes a 32-bit number off the front of `bytes`.
pub(super) fn take_i32(bytes: &mut &[u8]) -> Result<i32, Lie> {
    i32::try_from(take_i64(bytes)?).map_err(|_| Lie::Number)
}
