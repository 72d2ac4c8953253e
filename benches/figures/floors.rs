//! What the machine does without a broker: the floors that the figures are held against.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

use crate::clock;
use crate::series::Series;

/// Bytes of a ping and of its answer.
const PING_BYTES: usize = 64;

const PINGS_WARM: usize = 1_000;

const PINGS: usize = 10_000;

/// Bytes that the loop of large writes writes.
const LOOP_BYTES: u64 = 512 * 1024 * 1024;

const LARGE_BYTES: u64 = 1024 * 1024;

const SMALL_BYTES: u64 = 1024;

const SMALL_WRITES: u64 = 2_000;

/// A TCP ping-pong over loopback between two threads that block: the p50, in µs.
pub(crate) fn ping_pong() -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let echo = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; PING_BYTES];
        for _ in 0..PINGS_WARM + PINGS {
            stream.read_exact(&mut bytes)?;
            stream.write_all(&bytes)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut bytes = [7; PING_BYTES];
    let mut times = Series::default();
    for ping in 0..PINGS_WARM + PINGS {
        let began = clock::now();
        stream.write_all(&bytes)?;
        stream.read_exact(&mut bytes)?;
        if ping >= PINGS_WARM {
            times.add(micros(began));
        }
    }
    echo.join().map_err(|_| io::Error::other("the echo panicked"))??;
    Ok(times.median())
}

/// A loop of 1 MiB `pwrite` and `fdatasync` into a file whose room is taken before: MB/s.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(crate) fn large_writes(folder: &Path) -> io::Result<f64> {
    let scratch = Scratch::new(folder, LOOP_BYTES)?;
    let bytes = noise(LARGE_BYTES);
    let began = clock::now();
    for at in (0..LOOP_BYTES).step_by(bytes.len()) {
        scratch.file.write_all_at(&bytes, at)?;
        scratch.file.sync_data()?;
    }
    Ok(LOOP_BYTES as f64 / micros(began))
}

/// 1 KiB `pwrite` and `fdatasync`, one behind the other in a file whose room is taken before: the p50, in µs.
pub(crate) fn small_writes(folder: &Path) -> io::Result<f64> {
    let scratch = Scratch::new(folder, SMALL_WRITES * SMALL_BYTES)?;
    let bytes = noise(SMALL_BYTES);
    let mut times = Series::default();
    for write in 0..SMALL_WRITES {
        let began = clock::now();
        scratch.file.write_all_at(&bytes, write * SMALL_BYTES)?;
        scratch.file.sync_data()?;
        times.add(micros(began));
    }
    Ok(times.median())
}

/// Microseconds since a moment.
pub(crate) fn micros(began: std::time::Instant) -> f64 {
    clock::now().saturating_duration_since(began).as_secs_f64() * 1e6
}

/// A file with room, as the broker takes it: `fallocate`, never written. It has no name, so it goes with its handle.
struct Scratch {
    file: File,
}

impl Scratch {
    fn new(folder: &Path, bytes: u64) -> io::Result<Scratch> {
        let file = tempfile::tempfile_in(folder)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        file.sync_all()?;
        Ok(Scratch { file })
    }
}

/// Bytes that do not compress.
fn noise(bytes: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(next).collect()
}
