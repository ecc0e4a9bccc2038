//! Operations that belong together.

/// Routes that belong together; a tag in the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Publishing.
    EventsIn,
    /// What is stored, and the counters.
    EventsOut,
    /// What could not be stored.
    DeadLetters,
    /// The server itself.
    Server,
}

impl Group {
    pub(super) const ALL: [Self; 4] = [
        Self::EventsIn,
        Self::EventsOut,
        Self::DeadLetters,
        Self::Server,
    ];

    pub(super) const fn name_and_about(self) -> (&'static str, &'static str) {
        match self {
            Self::EventsIn => ("events in", "Publishing."),
            Self::EventsOut => ("events out", "What is stored, and the counters."),
            Self::DeadLetters => (
                "dead letters",
                "What could not be stored, and what to do with it.",
            ),
            Self::Server => ("server", "Is it alive, and what can it do?"),
        }
    }

    pub(super) const fn name(self) -> &'static str {
        self.name_and_about().0
    }
}
