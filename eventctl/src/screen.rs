//! A block of lines that is drawn again and again in the same place of a terminal.

use std::io;

use console::{Term, truncate_str};

/// The width of a terminal that does not tell its width; every view fits into it.
const DEFAULT_COLUMNS: usize = 100;

/// The block that was drawn last.
#[derive(Debug)]
pub(crate) struct Screen {
    term: Term,
    /// How many lines it has.
    lines: usize,
}

impl Screen {
    /// Draws on this terminal, which should be buffered: then the block does not flicker.
    pub(crate) const fn on(term: Term) -> Self {
        Self { term, lines: 0 }
    }

    /// Replaces the block.
    pub(crate) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
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
