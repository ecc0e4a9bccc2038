//! A real browser: Chromium, driven by `ChromeDriver` ([WebDriver](https://www.w3.org/TR/webdriver2/)).

use std::{env, fs, process::Command, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, key::Key};
use serde_json::{Value, json};

use crate::{
    SOON, eventually,
    programs::{Running, free_port},
};

/// The browser draws no window, keeps nothing, and asks nobody on the Internet. It may run as root. It ends with its driver,
/// because the pipe between them is closed then.
const SWITCHES: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
];
/// Notes, from the beginning of each page, what its policy forbids.
const NOTE_VIOLATIONS: &str = "
    window.violations = [];
    addEventListener('securitypolicyviolation', (event) =>
        violations.push(`${event.violatedDirective} ${event.blockedURI}`));";
const AXE: &str = "
    const done = arguments[arguments.length - 1];
    axe.run().then((found) => done(found.violations.map((broken) =>
        `${broken.id}: ${broken.nodes.map((node) => node.target.join(' ')).join(', ')}`)));";
/// How long a script in the page may take.
const SCRIPT_WITHIN: Duration = Duration::from_secs(20);

/// A browser with one page. It ends when this is dropped.
pub struct Browser {
    client: Client,
    _driver: Running,
}

impl Browser {
    /// Opens a page in a window of this width.
    ///
    /// # Panics
    /// If there is no browser. `scripts/test` installs it.
    pub async fn open(url: &str, width: u32) -> Self {
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Running::command("chromedriver", command);
        let window = format!("--window-size={width},1000");
        let switches: Vec<&str> = SWITCHES.into_iter().chain([&*window]).collect();
        let Value::Object(wanted) = json!({
            "goog:chromeOptions": {"args": switches, "prefs": {"intl.accept_languages": "en"}},
            "timeouts": {"script": u64::try_from(SCRIPT_WITHIN.as_millis()).expect("it is short")},
        }) else {
            unreachable!("it is an object")
        };
        let address = format!("http://127.0.0.1:{port}");
        let client = eventually("the browser starts", SOON, async || {
            let mut builder =
                ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
            builder.capabilities(wanted.clone());
            builder.connect(&address).await.ok()
        })
        .await;
        // A window is never narrower than 500 pixels; a page can be.
        let metrics =
            json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
        for (cmd, params) in [
            ("Emulation.setDeviceMetricsOverride", metrics),
            (
                "Page.addScriptToEvaluateOnNewDocument",
                json!({"source": NOTE_VIOLATIONS}),
            ),
        ] {
            let command = Cdp(json!({"cmd": cmd, "params": params}));
            client
                .issue_cmd(command)
                .await
                .expect("the browser takes it");
        }
        client.goto(url).await.expect("the page is there");
        Self {
            client,
            _driver: driver,
        }
    }

    /// The visible text of an element; empty if there is no such element.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until an element shows a text that contains this one.
    ///
    /// # Panics
    /// If it does not in time.
    pub async fn sees(&self, css: &str, text: &str) {
        let what = format!("{css} shows {text:?}");
        eventually(&what, SOON, async || self.text(css).await.contains(text)).await;
    }

    /// Whether there is such an element, and it is shown.
    pub async fn shows(&self, css: &str) -> bool {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Waits until an element is shown, or is not.
    ///
    /// # Panics
    /// If that is not so in time.
    pub async fn waits_for(&self, css: &str, shown: bool) {
        let what = format!("{css} is shown: {shown}");
        eventually(&what, SOON, async || self.shows(css).await == shown).await;
    }

    /// How many such elements there are.
    pub async fn count(&self, css: &str) -> usize {
        let found = self.client.find_all(Locator::Css(css)).await;
        found.map_or(0, |found| found.len())
    }

    /// Clicks on an element once it is there.
    ///
    /// # Panics
    /// If it is not there in time.
    pub async fn click(&self, css: &str) {
        let what = format!("{css} can be clicked");
        eventually(&what, SOON, async || match self.find(css).await {
            Some(element) => element.click().await.ok(),
            None => None,
        })
        .await;
    }

    /// Types a text into an element.
    ///
    /// # Panics
    /// If it is not there in time.
    pub async fn types(&self, css: &str, text: &str) {
        let what = format!("{css} takes a text");
        eventually(&what, SOON, async || match self.find(css).await {
            Some(element) => element.send_keys(text).await.ok(),
            None => None,
        })
        .await;
    }

    /// Presses keys, wherever the focus is.
    ///
    /// # Panics
    /// If the browser is gone.
    pub async fn press(&self, keys: &str) {
        let focused = self
            .client
            .active_element()
            .await
            .expect("an element has the focus");
        focused.send_keys(keys).await.expect("it takes keys");
    }

    /// Presses Escape.
    pub async fn escape(&self) {
        self.press(&char::from(Key::Escape).to_string()).await;
    }

    /// What a script returns.
    ///
    /// # Panics
    /// If it throws.
    pub async fn run(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .expect("the script runs")
    }

    /// Where the browser is.
    ///
    /// # Panics
    /// If the browser is gone.
    pub async fn address(&self) -> String {
        self.client
            .current_url()
            .await
            .expect("an address")
            .to_string()
    }

    /// Loads the page again.
    ///
    /// # Panics
    /// If the browser is gone.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("it loads");
    }

    /// What the policy of the page has forbidden since it was loaded.
    ///
    /// # Panics
    /// If the browser is gone.
    pub async fn policy_reports(&self) -> Value {
        self.run("return window.violations").await
    }

    /// What is hard to use for people with disabilities, as far as [axe-core](https://github.com/dequelabs/axe-core) finds
    /// it. `None`: there is no axe-core here, as `scripts/test` has said.
    ///
    /// # Panics
    /// If the browser is gone.
    pub async fn hindrances(&self) -> Option<Value> {
        let axe = fs::read_to_string(env::var_os("AXE_CORE")?).expect("AXE_CORE is a file");
        self.run(&axe).await;
        let found = self.client.execute_async(AXE, Vec::new()).await;
        Some(found.expect("what is found"))
    }

    async fn find(&self, css: &str) -> Option<Element> {
        self.client.find(Locator::Css(css)).await.ok()
    }
}

/// A command of the browser's own protocol.
#[derive(Debug)]
struct Cdp(Value);

impl fantoccini::wd::WebDriverCompatibleCommand for Cdp {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}
