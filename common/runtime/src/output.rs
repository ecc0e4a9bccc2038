//! What commands print on standard output.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Prints a line. A reader that has read enough and gone, as `head` does, is not an error: the rest is not printed, and
/// the command ends as it would have ended.
///
/// # Errors
/// If standard output cannot be written, such as on a full disk.
pub fn print(text: impl Display) -> io::Result<()> {
    print_to(&mut io::stdout().lock(), &text)
}

fn print_to(out: &mut impl Write, text: &dyn Display) -> io::Result<()> {
    // In one piece, as if standard output were not written line by line.
    let text = format!("{text}\n");
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let detail = format!("standard output cannot be written: {error}");
            Err(io::Error::new(error.kind(), detail))
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_read_enough_is_not_an_error_and_a_full_disk_is() {
        let print = |kind| print_to(&mut Broken(kind), &"text");
        assert!(print(io::ErrorKind::BrokenPipe).is_ok());
        let error = print(io::ErrorKind::StorageFull).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("standard output cannot be written"),
            "{error}"
        );
    }
}
