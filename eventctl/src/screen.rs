//! A block of lines that is drawn again and again in the same place.

use std::io;

use console::{Term, truncate_str};

/// Wide enough for every view, where a terminal does not tell.
const DEFAULT_COLUMNS: usize = 100;

/// The lines that were drawn last.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    lines: usize,
}

impl Screen {
    /// Draws on this terminal.
    #[must_use]
    pub const fn on(term: Term) -> Self {
        Self { term, lines: 0 }
    }

    /// Replaces what was drawn before. The terminal should be a buffered one: then it does not
    /// flicker.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (height, width) = self
            .term
            .size_checked()
            .map_or((lines.len() + 1, DEFAULT_COLUMNS), |(height, width)| {
                (usize::from(height), usize::from(width))
            });
        // A line that wraps or scrolls away could not be replaced.
        let shown = &lines[..lines.len().min(height.saturating_sub(1))];
        self.term.clear_last_lines(self.lines)?;
        for line in shown {
            self.term.write_line(&truncate_str(line, width, "…"))?;
        }
        self.lines = shown.len();
        self.term.flush()
    }
}
