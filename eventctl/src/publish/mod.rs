//! `eventctl publish`: a file or a pipe of events, to the end, whatever happens on the way.

pub mod batches;
pub mod deliver;
pub mod ids;
pub mod input;
pub mod resume;

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use console::style;
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::{
    batches::{Refused, batches},
    deliver::{Delivered, deliver},
    input::{Position, Reader},
    resume::Resume,
};
use crate::{cli::PublishArgs, client::Client, error::Error, exit::Outcome, output};

/// How often the resume file is written at most.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How many refusals are shown; the file has them all.
const MAX_SHOWN: usize = 20;
/// What a gzip file begins with ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1)).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How often the bar is drawn.
const BAR_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Default, Serialize)]
struct Report {
    accepted: u64,
    refused: u64,
    retried: u64,
    lost_answers: u64,
    seconds: f64,
    /// The first of the refused.
    refusals: Vec<Refusal>,
}

impl Report {
    /// Nothing of the input was settled.
    const fn is_empty(&self) -> bool {
        self.accepted + self.refused == 0
    }
}

#[derive(Debug, Serialize)]
struct Refusal {
    line: u64,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Refusal {
    fn with_text(refused: &Refused) -> Self {
        let text = String::from_utf8_lossy(&refused.item.text).into_owned();
        Self {
            text: Some(text),
            ..Self::without_text(refused)
        }
    }

    fn without_text(refused: &Refused) -> Self {
        Self {
            line: refused.item.line,
            reason: refused.reason.clone(),
            text: None,
        }
    }
}

/// Sends all of the input and tells what became of it.
///
/// # Errors
/// If a file cannot be used, or the server is away or refuses the client. What was accepted is told
/// before.
pub async fn run(client: &Client, args: &PublishArgs, json: bool) -> Result<Outcome, Error> {
    let mut run = Run::start(args)?;
    let (source, bytes) = open(&args.input, run.settled)?;
    let bar = bar(bytes, run.settled);
    let (retried, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    let size = usize::from(args.batch);
    let reader = Reader::new(source, run.settled);
    let delivering = batches(reader, run.settled, size, args.id_from_content)
        .take_until(client.stop().cancelled())
        .map(|batch| async {
            let batch = batch.map_err(|error| Error::file(&args.input, &error))?;
            deliver(client, batch, args.gzip, |failure| {
                retried.fetch_add(1, Relaxed);
                lost.fetch_add(u64::from(failure.unsure), Relaxed);
            })
            .await
        })
        // In the input's order, so that what is settled is always its beginning.
        .buffered(args.connections.into());
    let mut delivering = std::pin::pin!(delivering);
    let mut ended = Ok(());
    while let Some(delivered) = delivering.next().await {
        ended = delivered.and_then(|delivered| run.settle(&delivered));
        if ended.is_err() {
            break;
        }
        run.show(&bar);
    }
    bar.finish_and_clear();
    run.report.retried = retried.load(Relaxed);
    run.report.lost_answers = lost.load(Relaxed);
    let interrupted =
        matches!(ended, Ok(()) | Err(Error::Interrupted)) && client.stop().is_cancelled();
    let ended = match ended {
        // An input that cannot be read from the start leaves nothing else to tell.
        Err(error @ Error::File { .. }) if run.report.is_empty() => return Err(error),
        other => other,
    };
    run.end(args, json)?;
    if interrupted || ended.is_err() {
        output::tell(run.how_to_go_on(args));
    } else if run.report.is_empty() {
        output::tell(run.why_nothing());
    }
    if interrupted {
        return Ok(Outcome::Interrupted);
    }
    ended.map(|()| Outcome::well_if(run.report.refused == 0))
}

/// What is settled so far, and where it is written down.
struct Run {
    start: Instant,
    settled: Position,
    saved: Instant,
    resume: Option<Resume>,
    refused: Option<(PathBuf, File)>,
    report: Report,
}

impl Run {
    fn start(args: &PublishArgs) -> Result<Self, Error> {
        let (resume, settled) = match &args.resume {
            Some(path) if is_stdin(&args.input) => {
                let reason = "a pipe cannot be resumed; give the name of a file to publish";
                return Err(Error::file(path, &reason));
            }
            Some(path) => {
                let (resume, settled) = Resume::open(path, &args.input)?;
                (Some(resume), settled)
            }
            None => (None, None),
        };
        let refused = args.refused.as_ref().map(|path| {
            let mut options = OpenOptions::new();
            // Whoever goes on keeps what was refused before.
            if settled.is_some() {
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
            settled: settled.unwrap_or(Position::START),
            saved: Instant::now(),
            resume,
            refused: refused.transpose()?,
            report: Report::default(),
        })
    }

    /// Enters a batch; what was refused is written down before the input counts as settled.
    fn settle(&mut self, delivered: &Delivered) -> Result<(), Error> {
        self.report.accepted += delivered.accepted;
        self.report.refused += delivered.refused.len() as u64;
        let room = MAX_SHOWN - self.report.refusals.len();
        let shown = delivered.refused.iter().take(room);
        self.report
            .refusals
            .extend(shown.map(Refusal::without_text));
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
        self.settled = delivered.next;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save()?;
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        self.saved = Instant::now();
        match &self.resume {
            Some(resume) => resume.save(self.settled),
            None => Ok(()),
        }
    }

    fn show(&self, bar: &ProgressBar) {
        bar.set_position(self.settled.offset);
        let refused = match self.report.refused {
            0 => String::new(),
            refused => format!(", {} refused", output::count(refused)),
        };
        bar.set_message(format!(
            "{}, {}{refused}",
            output::counted(self.report.accepted, "event"),
            output::rate(self.rate()),
        ));
    }

    /// What a run that did not reach the end of its input leaves behind.
    fn how_to_go_on(&self, args: &PublishArgs) -> String {
        let confirmed = output::counted(self.report.accepted, "event");
        let line = output::count(self.settled.lines);
        let how = match &args.resume {
            Some(path) => format!(
                "the same command goes on there, by {}",
                path.display()
            ),
            None if is_stdin(&args.input) => {
                "send the input again: what is stored already counts as a duplicate".to_owned()
            }
            None => "the same command sends the file again, and what is stored already counts as a duplicate; \
                     with --resume FILE it would go on where it ended"
                .to_owned(),
        };
        format!(
            "not finished: {confirmed} confirmed, all up to line {line} is settled, and some after it may have been \
             accepted without an answer.\n{how}"
        )
    }

    fn why_nothing(&self) -> String {
        match &self.resume {
            Some(resume) if self.settled.offset > 0 => format!(
                "nothing new: by {} all of the input is settled; remove that file to send it again",
                resume.path().display()
            ),
            _ => "there are no events in the input".to_owned(),
        }
    }

    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown rounded")]
        let accepted = self.report.accepted as f64;
        accepted / self.start.elapsed().as_secs_f64().max(0.001)
    }

    fn end(&mut self, args: &PublishArgs, json: bool) -> Result<(), Error> {
        self.save()?;
        self.report.seconds = (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        if json {
            return Ok(output::json(&self.report)?);
        }
        let report = &self.report;
        for refusal in &report.refusals {
            let line = style(format!("line {}:", refusal.line)).for_stderr().red();
            output::tell(format!("{line} {}", refusal.reason));
        }
        let hidden = report.refused - report.refusals.len() as u64;
        if hidden > 0 {
            output::tell(format!("and {} more", output::count(hidden)));
        }
        if let (Some(path), true) = (&args.refused, report.refused > 0) {
            output::tell(format!("the refused events are in {}", path.display()));
        } else if report.refused > 0 {
            output::tell(
                "with --refused FILE all that is refused is written there, to be mended and sent again",
            );
        }
        let row = |name: &str, value| vec![name.to_owned(), output::count(value)];
        let rows = [
            row("accepted", report.accepted),
            row("refused", report.refused),
            row("retried", report.retried),
        ];
        for line in output::table(&rows) {
            output::line(line)?;
        }
        output::line(format!(
            "{:.1} s, {}",
            report.seconds,
            output::rate(self.rate())
        ))?;
        Ok(())
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The input from this place on, decompressed, and its length if it is known.
fn open(path: &Path, from: Position) -> Result<(Box<dyn BufRead + Send>, Option<u64>), Error> {
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
            // Places are those of what comes out.
            io::copy(&mut source.by_ref().take(from.offset), &mut io::sink())?;
            Ok((source, bytes))
        })
    };
    opened.map_err(|error| Error::file(path, &error))
}

/// What comes out of a gzip file; anything else as it is.
fn decompressed<R: BufRead + Send + 'static>(
    mut source: R,
) -> io::Result<(Box<dyn BufRead + Send>, Option<u64>)> {
    Ok(if is_gzip(&mut source)? {
        (Box::new(BufReader::new(MultiGzDecoder::new(source))), None)
    } else {
        (Box::new(source), None)
    })
}

fn is_gzip(source: &mut impl BufRead) -> io::Result<bool> {
    Ok(source.fill_buf()?.starts_with(GZIP))
}

/// Drawn on standard error, and only if that is a terminal.
fn bar(bytes: Option<u64>, from: Position) -> ProgressBar {
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
    bar.enable_steady_tick(BAR_EVERY);
    bar
}
