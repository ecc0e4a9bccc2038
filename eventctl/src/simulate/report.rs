//! What a run tells at its end.

use console::style;
use serde::Serialize;

use super::check::Check;
use crate::{
    format::{count, counted, number},
    table::{Left, Right, table},
};

/// What was sent, and whether the servers counted it right.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) run: String,
    pub(super) seed: u64,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) retried: u64,
    pub(super) lost_answers: u64,
    pub(super) seconds: f64,
    pub(super) exact: bool,
    pub(super) checks: Vec<Check>,
    pub(super) notes: Vec<String>,
}

impl Report {
    /// The report as people see it.
    pub(super) fn lines(&self) -> Vec<String> {
        let head = ["", "expected", "found", ""].map(str::to_owned);
        let rows = self.checks.iter().map(|check| {
            let mark = if check.is_right() {
                style("ok").green()
            } else {
                style("wrong").red().bold()
            };
            [
                check.what.clone(),
                check.expected(),
                number(check.found),
                mark.to_string(),
            ]
        });
        let rows = [head].into_iter().chain(rows);
        let mut lines = vec![String::new()];
        lines.extend(table([Left, Right, Right, Left], rows));
        lines.push(String::new());
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.push(self.verdict());
        lines
    }

    fn verdict(&self) -> String {
        let run = format!(
            "{} acknowledged in {:.1} s, {} retried",
            counted(self.acknowledged, "event"),
            self.seconds,
            count(self.retried),
        );
        if self.exact {
            let lost = match self.lost_answers {
                0 => String::new(),
                lost => format!(
                    "; {} lost, so some expected numbers are ranges",
                    counted(lost, "answer")
                ),
            };
            return format!("{} {run}{lost}", style("exact:").green().bold());
        }
        let wrong = self.checks.iter().filter(|check| !check.is_right());
        format!(
            "{} {} of {} counters are not as expected ({run}).\nEvents that another client publishes meanwhile count, \
             too: if `received` is too high, run this again while no one else publishes.",
            style("not exact:").red().bold(),
            wrong.count(),
            self.checks.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: &str, expected: std::ops::RangeInclusive<i64>, found: i64) -> Check {
        Check {
            what: what.to_owned(),
            at_least: *expected.start(),
            at_most: *expected.end(),
            found,
        }
    }

    fn shown(checks: Vec<Check>, lost_answers: u64, notes: &[&str]) -> String {
        console::set_colors_enabled(false);
        let report = Report {
            run: "0123abcd".to_owned(),
            seed: 7,
            sent: 1000,
            acknowledged: 1000,
            retried: 2,
            lost_answers,
            seconds: 1.25,
            exact: checks.iter().all(Check::is_right),
            checks,
            notes: notes.iter().map(|&note| note.to_owned()).collect(),
        };
        report.lines().join("\n")
    }

    #[test]
    fn a_run_that_is_exact_says_so() {
        let checks = vec![
            check("received", 1000..=1100, 1000),
            check("dead letters", 0..=0, 0),
            check("shop/orders", 88..=88, 88),
        ];
        insta::assert_snapshot!(shown(checks, 1, &[]));
    }

    #[test]
    fn a_run_that_is_not_exact_names_the_counters_that_are_wrong() {
        let checks = vec![
            check("received", 1000..=1000, 1001),
            check("unique", 700..=700, 700),
        ];
        let notes = ["the queue was not empty in time: the counters are not final (see --settle)"];
        insta::assert_snapshot!(shown(checks, 0, &notes));
    }
}
