//! Brackets and strings of JSON.

/// Where in JSON a byte is: how deep in brackets, and whether in a string.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    /// Whether the next byte is outside of all brackets and strings.
    pub(super) const fn is_outside(&self) -> bool {
        self.depth == 0 && !self.in_string
    }

    /// Passes a byte.
    pub(super) const fn pass(&mut self, byte: u8) {
        if self.in_string {
            self.in_string = byte != b'"' || self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => (),
        }
    }
}
