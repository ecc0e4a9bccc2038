//! How far a run has come: what is done, where that is recorded, and how it is shown.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    deliver::Delivered,
    input::Position,
    report::{Refusal, Report},
    resume::Resume,
    source::is_stdin,
};
use crate::{
    cli::PublishArgs,
    error::Error,
    format::{count, counted, rate},
    output,
};

/// How often the resume file is written at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often the progress bar is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// The progress of a run.
pub(super) struct Progress {
    start: Instant,
    /// Everything before this place is accepted or refused.
    done: Position,
    saved: Instant,
    resume: Option<Resume>,
    /// The file for the refused events.
    refused: Option<(PathBuf, File)>,
    pub(super) report: Report,
}

impl Progress {
    /// The progress of a run that begins: at the start of the input, or at the place that the resume file holds.
    pub(super) fn start(args: &PublishArgs) -> Result<Self, Error> {
        let (resume, done) = match &args.resume {
            Some(path) if is_stdin(&args.input) => {
                let reason = "standard input cannot be resumed; publish a file";
                return Err(Error::file(path, &reason));
            }
            Some(path) => {
                let (resume, done) = Resume::open(path, &args.input)?;
                (Some(resume), done)
            }
            None => (None, None),
        };
        let refused = args.refused.as_ref().map(|path| {
            let mut options = OpenOptions::new();
            // A run that continues keeps the events that were refused before.
            if done.is_some() {
                options.append(true);
            } else {
                options.write(true).truncate(true);
            }
            let file = options.create(true).open(path);
            let file = file.map_err(|error| Error::file(path, &error))?;
            Ok::<_, Error>((path.clone(), file))
        });
        Ok(Self {
            start: Instant::now(),
            done: done.unwrap_or(Position::START),
            saved: Instant::now(),
            resume,
            refused: refused.transpose()?,
            report: Report::telling_duplicates(args.ingest),
        })
    }

    /// The place up to which the input is done.
    pub(super) const fn done(&self) -> Position {
        self.done
    }

    /// Adds a batch. Its refused events are written down before the input counts as done.
    pub(super) fn add(&mut self, delivered: &Delivered) -> Result<(), Error> {
        self.report.add(delivered);
        if let Some((path, file)) = &mut self.refused {
            let mut lines = Vec::new();
            for refused in &delivered.refused {
                serde_json::to_writer(&mut lines, &Refusal::with_text(refused))
                    .map_err(io::Error::from)?;
                lines.push(b'\n');
            }
            let written = file.write_all(&lines);
            written.map_err(|error| Error::file(&*path, &error))?;
        }
        self.done = delivered.next;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        self.saved = Instant::now();
        match &self.resume {
            Some(resume) => resume.save(self.done),
            None => Ok(()),
        }
    }

    /// Updates the progress bar.
    pub(super) fn show(&self, bar: &ProgressBar) {
        bar.set_position(self.done.offset);
        let refused = match self.report.refused {
            0 => String::new(),
            refused => format!(", {} refused", count(refused)),
        };
        bar.set_message(format!(
            "{}, {}{refused}",
            counted(self.report.accepted, "event"),
            rate(self.accepted_per_second()),
        ));
    }

    /// Records the progress, and tells what became of the input.
    pub(super) fn finish(&mut self, json: bool) -> Result<(), Error> {
        self.save()?;
        self.report.seconds = (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if json {
            return Ok(output::json(&self.report)?);
        }
        let refused = self.refused.as_ref().map(|(path, _)| path.as_path());
        self.report.tell_refusals(refused);
        Ok(self.report.print(self.accepted_per_second())?)
    }

    /// How to continue after a run that did not reach the end of its input.
    pub(super) fn how_to_continue(&self, input: &Path) -> String {
        let accepted = counted(self.report.accepted, "event");
        let line = count(self.done.lines);
        let how = match &self.resume {
            Some(resume) => format!(
                "the same command goes on there, because {} records the place",
                resume.path().display()
            ),
            None if is_stdin(input) => {
                "send the input again; the server counts what it has already as duplicates".to_owned()
            }
            None => "the same command sends the file again, and the server counts what it has already as duplicates; \
                     with --resume FILE it would go on where it ended"
                .to_owned(),
        };
        format!(
            "not finished: {accepted} accepted, and everything up to line {line} is done; some events after it may have \
             been accepted, too.\n{how}"
        )
    }

    /// Why there was no event to send.
    pub(super) fn why_nothing(&self) -> String {
        match &self.resume {
            Some(resume) if self.done.offset > 0 => format!(
                "nothing new: {} says that all of the input is done; remove that file to send the input again",
                resume.path().display()
            ),
            _ => "there are no events in the input".to_owned(),
        }
    }

    fn accepted_per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the rate is shown rounded")]
        let accepted = self.report.accepted as f64;
        accepted / self.start.elapsed().as_secs_f64().max(0.001)
    }
}

/// A progress bar on standard error, if that is a terminal.
pub(super) fn bar(bytes: Option<u64>, from: Position) -> ProgressBar {
    let (bar, template) = match bytes {
        Some(bytes) => (
            ProgressBar::new(bytes),
            "{bar:30.green} {percent:>3}%  {msg}  {eta_precise} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {msg}  {elapsed_precise}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(from.offset);
    bar.reset_eta();
    bar.enable_steady_tick(DRAWN_EVERY);
    bar
}
