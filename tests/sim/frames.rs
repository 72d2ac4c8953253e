//! Reads the segments on the disk by itself, from what `docs/FORMAT.md` says and not with the broker's code: frames lie
//! back to back, each with its checksum and the chain to the one before, and behind the last one there are zeros.

use std::path::{Path, PathBuf};

use caudal_broker::log::{Fs, OpenMode};

const HEADER_BLOCK: usize = 4096;
const FRAME_HEADER: usize = 72;

/// What is wrong with the segments below the data folder.
pub(crate) fn check(fs: &dyn Fs) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut folders = vec![PathBuf::from("/data/topics")];
    while let Some(folder) = folders.pop() {
        let Ok(names) = fs.list(&folder) else { continue };
        let mut chain = None;
        for name in names {
            let path = folder.join(&name);
            if name.ends_with(".log") {
                check_segment(fs, &path, &mut chain, &mut wrong);
            } else if !name.contains('.') {
                folders.push(path);
            }
        }
    }
    wrong
}

fn check_segment(fs: &dyn Fs, path: &Path, chain: &mut Option<(u32, u64)>, wrong: &mut Vec<String>) {
    let bytes = match read(fs, path) {
        Ok(bytes) => bytes,
        Err(error) => return wrong.push(format!("{}: {error}", path.display())),
    };
    let mut at = HEADER_BLOCK;
    while let Some(header) = bytes.get(at..at + FRAME_HEADER) {
        if header.iter().all(|byte| *byte == 0) {
            return;
        }
        let crc = u32_at(header, 68);
        let (prev, index) =
            (u32_at(header, 64), u64::from(u32_at(header, 16)) | u64::from(u32_at(header, 20)) << 32);
        let follows = chain.is_none_or(|(before, last)| prev == before && index == last + 1);
        if &header[..4] != b"CDLF" || crc != crc32fast::hash(&header[..68]) || !follows {
            return wrong.push(format!(
                "{}: no frame that follows {chain:?} at {at}: index {index}, {header:?}",
                path.display()
            ));
        }
        *chain = Some((crc, index));
        at += FRAME_HEADER + u32_at(header, 12) as usize;
    }
}

fn read(fs: &dyn Fs, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    Ok(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
