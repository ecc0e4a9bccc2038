//! Rows of two texts, as `COPY … TO STDOUT (FORMAT binary)` sends them
//! ([binary format](https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.4)). It takes a fraction of what single
//! rows of a query take.

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags, and the length of an extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 4 + 4;
/// As many fields has the row that is the end.
const END: i16 = -1;
const COLUMNS: i16 = 2;

/// Reads rows from pieces of any length.
#[derive(Default)]
pub(super) struct Copied {
    /// What is not a whole row yet.
    left: Vec<u8>,
    is_begun: bool,
    is_ended: bool,
}

impl Copied {
    /// Reads the next piece, and gives each row that it completes.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        mut row: impl FnMut(&[u8], &[u8]),
    ) -> sqlx::Result<()> {
        self.left.extend_from_slice(piece);
        let mut rest = &self.left[..];
        if !self.is_begun {
            let Some(header) = take(&mut rest, HEADER_BYTES) else {
                return Ok(());
            };
            // No flag and no extension is in use.
            if !header.starts_with(SIGNATURE) || header[SIGNATURE.len()..] != [0; 8] {
                return Err(unexpected());
            }
            self.is_begun = true;
        }
        loop {
            let before = rest;
            match take_row(&mut rest) {
                Row::Of(topic, id) => row(topic, id),
                Row::Incomplete => {
                    rest = before;
                    break;
                }
                Row::End => self.is_ended = true,
                Row::Strange => return Err(unexpected()),
            }
        }
        let read = self.left.len() - rest.len();
        self.left.drain(..read);
        Ok(())
    }

    /// Nothing must be missing.
    pub(super) fn end(&self) -> sqlx::Result<()> {
        if self.is_ended && self.left.is_empty() {
            Ok(())
        } else {
            Err(unexpected())
        }
    }
}

enum Row<'a> {
    Of(&'a [u8], &'a [u8]),
    Incomplete,
    End,
    Strange,
}

fn take_row<'a>(rest: &mut &'a [u8]) -> Row<'a> {
    let Some(columns) = rest.split_off(..2) else {
        return Row::Incomplete;
    };
    match i16::from_be_bytes([columns[0], columns[1]]) {
        END => return Row::End,
        COLUMNS => {}
        _ => return Row::Strange,
    }
    match (take_text(rest), take_text(rest)) {
        (Some(topic), Some(id)) => Row::Of(topic, id),
        _ => Row::Incomplete,
    }
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest, 4)?;
    // A text that is missing has the length −1, and no column may be missing.
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    take(rest, usize::try_from(length).ok()?)
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    rest.split_off(..bytes)
}

fn unexpected() -> sqlx::Error {
    sqlx::Error::Protocol("COPY did not send rows of two texts".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Vec<u8> {
        let mut sent = [SIGNATURE, &[0; 8]].concat();
        for texts in [["a", "1"], ["", "längere"]] {
            sent.extend(COLUMNS.to_be_bytes());
            for text in texts {
                sent.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                sent.extend(text.bytes());
            }
        }
        sent.extend(END.to_be_bytes());
        sent
    }

    fn read(sent: &[u8], piece: usize) -> sqlx::Result<Vec<String>> {
        let (mut copied, mut rows) = (Copied::default(), Vec::new());
        for piece in sent.chunks(piece) {
            copied.take(piece, |topic, id| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                rows.push(format!("{}/{}", text(topic), text(id)));
            })?;
        }
        copied.end()?;
        Ok(rows)
    }

    #[test]
    fn rows_are_read_however_they_are_cut() {
        for piece in 1..=sent().len() {
            assert_eq!(read(&sent(), piece).unwrap(), ["a/1", "/längere"]);
        }
    }

    #[test]
    fn what_is_cut_short_or_is_something_else_is_an_error() {
        let whole = sent();
        for length in 0..whole.len() {
            assert!(read(&whole[..length], 7).is_err(), "{length}");
        }
        for (at, byte) in [(0, b'X'), (SIGNATURE.len(), 1), (HEADER_BYTES + 1, 3)] {
            let mut strange = whole.clone();
            strange[at] = byte;
            assert!(read(&strange, 64).is_err(), "{at}");
        }
    }
}
