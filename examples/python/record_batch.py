"""Kafka's record batch, format v2, as far as this example needs it: a header to read, small batches to make."""

import struct
import time
from collections import namedtuple

# Big-endian: base offset, length of what follows it, leader epoch, magic, CRC32C of everything after itself,
# attributes, last offset delta, first and largest timestamp, producer id, producer epoch, first sequence, count.
HEADER = struct.Struct(">qiibIhiqqqhii")
Header = namedtuple(
    "Header",
    "base_offset batch_length leader_epoch magic crc attributes last_offset_delta "
    "base_timestamp max_timestamp producer_id producer_epoch base_sequence count",
)
CRC_FROM = 21  # the first byte that the checksum covers


def parse_header(batch):
    return Header(*HEADER.unpack_from(batch))


def _crc_table():
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        yield n


_TABLE = list(_crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(n):
    """Zigzag, then seven bits a byte, the lowest first."""
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def nullable(data):
    return varint(-1) if data is None else varint(len(data)) + data


def build(records, producer=(-1, -1), sequence=-1):
    """One uncompressed batch of (key, value) pairs, all of now."""
    now = int(time.time() * 1000)
    body = bytearray()
    for delta, (key, value) in enumerate(records):
        # Attributes, timestamp delta, offset delta, key, value, number of headers.
        record = b"\0" + varint(0) + varint(delta) + nullable(key) + nullable(value) + varint(0)
        body += varint(len(record)) + record
    count = len(records)
    tail = struct.pack(">hiqqqhii", 0, count - 1, now, now, *producer, sequence, count) + body
    # The length counts everything behind itself: leader epoch, magic, checksum, and the rest.
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, crc32c(tail)) + tail
