//! The report: figures and their goals, on the screen, in `docs/BENCHMARKS.md`, and as JSON.

use std::{
    fmt::{self, Write},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    machine::Machine,
    processes::Share,
    stats::{Pairs, Samples, Summary},
};

/// The line before the tables in `docs/BENCHMARKS.md`.
const BEGIN: &str = "<!-- benches: begin; written by cargo run --profile dist -p benches -->";
/// The line after the tables.
const END: &str = "<!-- benches: end -->";

/// Everything that was measured in one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) started: DateTime<Utc>,
    /// Whether the figures only show that the benchmarks work.
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    /// The versions of the servers.
    pub(crate) versions: Vec<String>,
    /// The settings of the servers that differ from their defaults.
    pub(crate) settings: Vec<String>,
    pub(crate) figures: Vec<Figure>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) benchmark: &'static str,
    /// What distinguishes it from other figures of the benchmark: a mix or a size, for example.
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    pub(crate) measured: Summary,
    /// The figure that it is compared with.
    pub(crate) reference: Option<Summary>,
    pub(crate) ratio: Option<Summary>,
    pub(crate) goal: Option<Goal>,
    pub(crate) met: Option<bool>,
    /// What the programs of an earlier commit did, measured in turn with these.
    pub(crate) before: Option<f64>,
    /// What this figure should be, divided by what it was before.
    pub(crate) goal_beside_before: Option<Goal>,
    /// The shares of all processors while it was measured the last time.
    pub(crate) shares: Vec<Share>,
    /// The shares while the reference was measured the last time.
    pub(crate) reference_shares: Vec<Share>,
    pub(crate) note: String,
}

/// What the ratio of a figure should be, or the figure itself if it has no ratio.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

impl Figure {
    /// A figure that is compared with nothing.
    pub(crate) fn alone(
        benchmark: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        samples: &Samples,
    ) -> Self {
        Self {
            benchmark,
            case: case.into(),
            unit,
            measured: samples.summary(),
            reference: None,
            ratio: None,
            goal: None,
            met: None,
            before: None,
            goal_beside_before: None,
            shares: Vec::new(),
            reference_shares: Vec::new(),
            note: String::new(),
        }
    }

    /// A figure that is compared with another one; the two were measured in turn.
    pub(crate) fn beside(
        benchmark: &'static str,
        case: impl Into<String>,
        unit: &'static str,
        pairs: &Pairs,
    ) -> Self {
        Self {
            benchmark,
            case: case.into(),
            unit,
            measured: pairs.measured(),
            reference: Some(pairs.reference()),
            ratio: Some(pairs.ratio()),
            goal: None,
            met: None,
            before: None,
            goal_beside_before: None,
            shares: Vec::new(),
            reference_shares: Vec::new(),
            note: String::new(),
        }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        let value = self.ratio.unwrap_or(self.measured).median;
        Self {
            goal: Some(goal),
            met: Some(goal.is_met_by(value)),
            ..self
        }
    }

    /// A goal of the ratio to what it was before.
    pub(crate) fn goal_beside_before(self, goal: Goal) -> Self {
        Self {
            goal_beside_before: Some(goal),
            ..self
        }
    }

    /// Whether the goal of the ratio to what it was before is met. `None`: there is no goal, or nothing to compare with.
    fn met_beside_before(&self) -> Option<bool> {
        let ratio = self.measured.median / self.before?;
        Some(self.goal_beside_before?.is_met_by(ratio))
    }

    pub(crate) fn shares(self, shares: Vec<Share>) -> Self {
        Self { shares, ..self }
    }

    pub(crate) fn reference_shares(self, reference_shares: Vec<Share>) -> Self {
        Self {
            reference_shares,
            ..self
        }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }
}

impl Report {
    /// Tells what an earlier commit has measured: the lines that its benchmarks have printed.
    pub(crate) fn compare(&mut self, printed: &str) {
        for line in printed.lines() {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, benchmark, case, measured, ..] = columns[..] else {
                continue;
            };
            let value = measured
                .split(' ')
                .next()
                .and_then(|word| word.parse().ok());
            let figure = self.figures.iter_mut().find(|figure| {
                figure.benchmark == benchmark && figure.case == case && figure.before.is_none()
            });
            if let (Some(figure), Some(value)) = (figure, value) {
                figure.before = Some(value);
            }
        }
    }

    /// Adds a figure and shows it. A quick figure gets no verdict, because one short sample meets or misses a goal by chance.
    pub(crate) fn add(&mut self, mut figure: Figure) {
        if self.quick {
            figure.met = None;
        }
        println!("{}", row(&figure));
        self.figures.push(figure);
    }

    /// Says what is left out, so that nobody overlooks it.
    pub(crate) fn skip(&mut self, what: String) {
        println!("SKIPPED: {what}");
        self.skipped.push(what);
    }

    /// The tables, for people.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        self.write(&mut text)
            .expect("writing to a string does not fail");
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let Machine {
            processors,
            model,
            memory_gib,
            kernel,
            file_system,
            compiler,
            commit,
        } = &self.machine;
        let date = self.started.format("%Y-%m-%d");
        if self.quick {
            writeln!(
                text,
                "**These are quick figures. They are made of too few events for a verdict.**\n"
            )?;
        }
        writeln!(
            text,
            "Measured on {date} at commit `{commit}`: {processors} processors ({model}), {memory_gib} GiB of memory, \
             {kernel}, data on {file_system}; {}; {compiler}.\n\nSettings of the servers: `{}`.\n",
            self.versions.join(", "),
            self.settings.join("`, `")
        )?;
        writeln!(text, "{HEAD}")?;
        for figure in &self.figures {
            writeln!(text, "{}", row(figure))?;
        }
        writeln!(
            text,
            "\nShares of all processors during each measurement:\n"
        )?;
        writeln!(
            text,
            "| benchmark | case | shares | shares of the reference |\n| --- | --- | --- | --- |"
        )?;
        for figure in self
            .figures
            .iter()
            .filter(|figure| !figure.shares.is_empty())
        {
            writeln!(
                text,
                "| {} | {} | {} | {} |",
                figure.benchmark,
                figure.case,
                shares(&figure.shares),
                shares(&figure.reference_shares)
            )?;
        }
        for what in &self.skipped {
            writeln!(text, "\nLeft out: {what}.")?;
        }
        Ok(())
    }

    /// Writes the tables between their marks in `docs/BENCHMARKS.md`, and writes `docs/benchmarks/DATE-COMMIT.json`. Returns both
    /// paths.
    pub(crate) fn save(&self, docs: &Path) -> Result<[PathBuf; 2]> {
        let page = docs.join("BENCHMARKS.md");
        let text = fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        let text = between_marks(&text, &self.markdown())
            .with_context(|| format!("{} has no lines {BEGIN} and {END}", page.display()))?;
        fs::write(&page, text)?;
        let folder = docs.join("benchmarks");
        fs::create_dir_all(&folder)?;
        let quick = if self.quick { "-quick" } else { "" };
        let name = format!(
            "{}-{}{quick}.json",
            self.started.format("%Y-%m-%d"),
            self.machine.commit
        );
        let json = folder.join(name);
        fs::write(&json, serde_json::to_string_pretty(self)? + "\n")?;
        Ok([page, json])
    }
}

/// The first lines of the table.
pub(crate) const HEAD: &str = "| benchmark | case | measured | reference | ratio (smallest–largest) | goal | met | before | \
     measured ÷ before | note |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

fn row(figure: &Figure) -> String {
    let Figure {
        benchmark,
        case,
        unit,
        measured,
        reference,
        ratio,
        goal,
        met,
        before,
        goal_beside_before,
        note,
        ..
    } = figure;
    let spread = |summary: &Summary| {
        let Summary {
            median,
            min,
            max,
            samples,
        } = *summary;
        if samples == 1 {
            number(median)
        } else {
            format!("{} ({}–{})", number(median), number(min), number(max))
        }
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let verdict = |met: bool| if met { "yes" } else { "**no**" };
    let beside_before = before.map(|before| {
        let ratio = number(measured.median / before);
        match (goal_beside_before, figure.met_beside_before()) {
            (Some(goal), Some(met)) => format!("{ratio} ({goal}: {})", verdict(met)),
            _ => ratio,
        }
    });
    format!(
        "| {benchmark} | {case} | {} {unit} | {} | {} | {} | {} | {} | {} | {note} |",
        spread(measured),
        or_none(
            reference
                .as_ref()
                .map(|summary| format!("{} {unit}", spread(summary)))
        ),
        or_none(ratio.as_ref().map(spread)),
        or_none(goal.map(|goal| goal.to_string())),
        or_none(met.map(|met| verdict(met).to_owned())),
        or_none(before.map(|before| format!("{} {unit}", number(before)))),
        or_none(beside_before),
    )
}

/// A number with the digits that mean something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        at_least if at_least >= 100.0 => 0,
        at_least if at_least >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn shares(shares: &[Share]) -> String {
    let shares = shares
        .iter()
        .map(|share| format!("{} {:.0} %", share.name, 100.0 * share.share));
    shares.collect::<Vec<_>>().join(", ")
}

/// The page with this text between its marks. The rest of the page stays.
fn between_marks(page: &str, new: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{new}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(f64, f64)]) -> Pairs {
        let mut all = Pairs::default();
        for &(measured, reference) in pairs {
            all.push(measured, reference);
        }
        all
    }

    #[test]
    fn the_text_around_the_marks_stays() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n");
        let new = between_marks(&page, "new").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\n\nnew\n{END}\n\nafter\n"));
        assert_eq!(between_marks(&new, "new").unwrap(), new);
    }

    #[test]
    fn a_page_without_marks_is_not_overwritten() {
        for page in ["", BEGIN, &format!("{END} {BEGIN}")] {
            assert_eq!(between_marks(page, "new"), None);
        }
    }

    #[test]
    fn the_page_in_the_repository_has_its_marks() {
        let page = crate::machine::workspace().join("docs/BENCHMARKS.md");
        let page = fs::read_to_string(page).unwrap();
        assert!(between_marks(&page, "new").is_some());
    }

    #[test]
    fn the_ratio_decides_whether_a_goal_is_met() {
        let figure = Figure::beside("drain", "x", "events/s", &pairs(&[(50.0, 100.0)]));
        assert_eq!(figure.clone().goal(Goal::AtLeast(0.6)).met, Some(false));
        assert_eq!(figure.goal(Goal::AtLeast(0.5)).met, Some(true));
    }

    #[test]
    fn without_a_ratio_the_figure_decides() {
        let samples = [41.0].into_iter().collect();
        let figure = Figure::alone("memory", "x", "MiB", &samples);
        assert_eq!(figure.goal(Goal::AtMost(40.0)).met, Some(false));
    }

    #[test]
    fn what_an_earlier_commit_printed_is_shown_beside() {
        let mut report = Report {
            started: DateTime::UNIX_EPOCH,
            quick: false,
            machine: Machine::default(),
            versions: Vec::new(),
            settings: Vec::new(),
            figures: Vec::new(),
            skipped: Vec::new(),
        };
        let samples = [50.0].into_iter().collect();
        let figure = Figure::alone("accept", "1 a request", "requests/s", &samples);
        report.add(figure.goal_beside_before(Goal::AtLeast(1.3)));
        report.compare("text\n| accept | 10 a request | 7 |\n| accept | 1 a request | 40.0 (39–41) requests/s | – |");
        let row = row(&report.figures[0]);
        assert!(
            row.ends_with("| 40.0 requests/s | 1.25 (≥ 1.3: **no**) |  |"),
            "{row}"
        );
    }

    #[test]
    fn a_row_shows_the_median_the_spread_and_the_verdict() {
        let pairs = pairs(&[(50.0, 100.0), (60.0, 100.0), (80.0, 100.0)]);
        let figure = Figure::beside("drain", "30 %", "events/s", &pairs).goal(Goal::AtLeast(1.0));
        assert_eq!(
            row(&figure),
            "| drain | 30 % | 60.0 (50.0–80.0) events/s | 100 (100–100) events/s | 0.60 (0.50–0.80) | ≥ 1 | **no** | – | – |  |"
        );
    }
}
