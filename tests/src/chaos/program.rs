//! A publisher or aggregator: a process that is killed and started again at the same address.

use std::time::Duration;

use crate::programs::{Running, free_port};

/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Program {
    /// What reports call it.
    pub(crate) name: String,
    /// Where it listens, also after a new start.
    pub(crate) url: String,
    binary: &'static str,
    settings: Vec<(&'static str, String)>,
    running: Option<Running>,
    /// What its earlier processes said.
    said: String,
    /// Ends that nobody asked for.
    surprises: Vec<String>,
}

impl Program {
    /// Starts it with these settings and an address of its own.
    pub(crate) fn start(
        program: &'static str,
        index: usize,
        mut settings: Vec<(&'static str, String)>,
    ) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        settings.push(("BIND_ADDR", address.clone()));
        let mut this = Self {
            name: format!("{program} {index}"),
            url: format!("http://{address}"),
            binary: program,
            settings,
            running: None,
            said: String::new(),
            surprises: Vec::new(),
        };
        this.start_again();
        this
    }

    /// Starts it, if it does not run.
    pub(crate) fn start_again(&mut self) {
        if self.running.is_none() {
            let settings = self.settings.iter();
            let settings: Vec<(&str, &str)> = settings
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            self.running = Some(Running::start(self.binary, &[], &settings));
        }
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.end("KILL", None, GONE_WITHIN).await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(&mut self, within: Duration) {
        self.end("TERM", Some(0), within).await;
    }

    /// Sends a signal that does not end it.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(running) = &self.running {
            running.signal(name);
        }
    }

    async fn end(&mut self, signal: &str, expected: Option<i32>, within: Duration) {
        let Some(mut running) = self.running.take() else {
            return;
        };
        running.signal(signal);
        // The outer bound ends the wait without a panic, which would cost the report.
        let exit = tokio::time::timeout(within, running.wait_exit(within * 2)).await;
        self.said.push_str(&running.output());
        self.said.extend(["--- ", signal, "\n"]);
        match exit {
            Ok(code) if code == expected => {}
            Ok(code) => {
                let how =
                    code.map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
                let surprise = format!("{} had ended {how} when it was sent {signal}", self.name);
                self.surprises.push(surprise);
            }
            Err(_) => {
                let surprise = format!("{} did not end within {within:?} of {signal}", self.name);
                self.surprises.push(surprise);
            }
        }
    }

    /// Ends of its processes that nobody asked for.
    pub(crate) fn surprises(&self) -> &[String] {
        &self.surprises
    }

    /// All that its processes have said.
    pub(crate) fn output(&self) -> String {
        let now = self.running.as_ref().map(Running::output);
        format!("{}{}", self.said, now.unwrap_or_default())
    }
}
