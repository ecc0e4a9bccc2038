//! Opens the input: a file or standard input, compressed with gzip or not.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use super::input::Position;
use crate::error::Error;

/// The first bytes of a gzip file ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1)).
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Text to read, and its length in bytes if that is known.
type Source = (Box<dyn BufRead + Send>, Option<u64>);

/// Whether this name stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The input from this place on, decompressed.
pub(super) fn open(path: &Path, from: Position) -> Result<Source, Error> {
    let opened = if is_stdin(path) {
        decompressed(BufReader::new(io::stdin()))
    } else {
        File::open(path).and_then(|file| {
            let bytes = file.metadata()?.len();
            let mut file = BufReader::new(file);
            if !is_gzip(&mut file)? {
                file.seek(SeekFrom::Start(from.offset))?;
                return Ok((Box::new(file) as _, Some(bytes)));
            }
            let (mut source, bytes) = decompressed(file)?;
            // A position counts decompressed bytes.
            io::copy(&mut source.by_ref().take(from.offset), &mut io::sink())?;
            Ok((source, bytes))
        })
    };
    opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let reason = "there is no such file; check the path, or give - for standard input";
            Error::file(path, &reason)
        }
        io::ErrorKind::IsADirectory => {
            Error::file(path, &"this is a folder; give one of its files")
        }
        _ => Error::file(path, &error),
    })
}

/// The decompressed text of a gzip file; other text as it is.
fn decompressed<R: BufRead + Send + 'static>(mut source: R) -> io::Result<Source> {
    Ok(if is_gzip(&mut source)? {
        (Box::new(BufReader::new(MultiGzDecoder::new(source))), None)
    } else {
        (Box::new(source), None)
    })
}

fn is_gzip(source: &mut impl BufRead) -> io::Result<bool> {
    Ok(source.fill_buf()?.starts_with(GZIP))
}
