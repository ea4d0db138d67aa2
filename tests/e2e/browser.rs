//! Debian's Chromium, headless, driven over a line protocol by `tests/e2e/browser/driver.cjs`.
//!
//! It needs `node`, `/usr/bin/chromium` and `tests/e2e/browser/node_modules`, which scripts/setup-tests.sh
//! makes; without them a test fails.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A browser on a machine that does other things too; the driver gives up before.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page; ends when dropped.
pub(crate) struct Browser {
    node: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// How a page is opened.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) width: u32,
    pub(crate) dark: bool,
    pub(crate) script: bool,
    /// Whether the page's time passes only with [`Browser::pass`].
    pub(crate) still: bool,
}

impl View {
    pub(crate) const DEFAULT: Self = Self {
        width: 1280,
        dark: false,
        script: true,
        still: false,
    };
    pub(crate) const STILL: Self = Self {
        still: true,
        ..Self::DEFAULT
    };
    pub(crate) const WITHOUT_SCRIPTS: Self = Self {
        script: false,
        ..Self::DEFAULT
    };
}

impl Browser {
    /// A browser that shows the exporter's status page.
    pub(crate) async fn at(address: SocketAddr, view: View) -> Self {
        let mut browser = Self::start().await;
        browser.open(address, "/", view).await;
        browser
    }

    pub(crate) async fn start() -> Self {
        let driver = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/browser/driver.cjs");
        let mut node = Command::new("node")
            .arg(driver)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be started: {error}"));
        let input = node.stdin.take().unwrap();
        let output = BufReader::new(node.stdout.take().unwrap()).lines();
        let mut browser = Self {
            node,
            input,
            output,
        };
        browser.answer("Chromium starts").await;
        browser
    }

    /// Opens a page of the exporter's with nothing left of the last one.
    pub(crate) async fn open(&mut self, address: SocketAddr, path: &str, view: View) {
        let status = self
            .ask(json!({
                "do": "open",
                "url": format!("http://{address}{path}"),
                "width": view.width,
                "scheme": if view.dark { "dark" } else { "light" },
                "script": view.script,
                "still": view.still,
            }))
            .await;
        assert_eq!(status, 200);
    }

    /// The page's own time goes on, and what was due meanwhile happens once; only with [`View::still`].
    pub(crate) async fn pass(&mut self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        self.ask(json!({ "do": "pass", "ms": ms })).await;
    }

    /// Waits until such an element with such a text can be seen.
    pub(crate) async fn wait(&mut self, selector: &str, text: &str) {
        self.ask(json!({ "do": "wait", "selector": selector, "text": text }))
            .await;
    }

    pub(crate) async fn press(&mut self, key: &str) {
        self.ask(json!({ "do": "press", "key": key })).await;
    }

    pub(crate) async fn resize(&mut self, width: u32) {
        self.ask(json!({ "do": "resize", "width": width, "height": 800 }))
            .await;
    }

    pub(crate) async fn count(&mut self, selector: &str) -> u64 {
        let count = self.ask(json!({ "do": "count", "selector": selector }));
        count.await.as_u64().unwrap()
    }

    /// The visible text of each such element.
    pub(crate) async fn texts(&mut self, selector: &str) -> Vec<String> {
        let texts = self.ask(json!({ "do": "texts", "selector": selector }));
        serde_json::from_value(texts.await).unwrap()
    }

    /// Runs a function of no arguments in the page.
    pub(crate) async fn evaluate(&mut self, function: &str) -> Value {
        self.ask(json!({ "do": "evaluate", "source": function }))
            .await
    }

    /// Fails at whatever axe-core finds.
    pub(crate) async fn accessible(&mut self, what: &str) {
        let found = self.ask(json!({ "do": "axe" })).await;
        assert_eq!(found["bad"], json!([]), "{what}");
        // A page that holds nothing breaks no rule either.
        assert!(found["passed"].as_u64() > Some(15), "{what}: {found}");
    }

    /// Fails at errors in the console, violations of the policy, and requests to anyone else.
    pub(crate) async fn sound(&mut self, what: &str) {
        let problems = self.ask(json!({ "do": "problems" })).await;
        assert_eq!(problems, json!([]), "{what}");
    }

    /// Every request since the page was opened.
    pub(crate) async fn requests(&mut self) -> Vec<String> {
        serde_json::from_value(self.ask(json!({ "do": "requests" })).await).unwrap()
    }

    /// Ends it, Chromium and its profile too.
    pub(crate) async fn stop(self) {
        let Self {
            mut node, input, ..
        } = self;
        drop(input);
        let ended = tokio::time::timeout(PATIENCE, node.wait()).await;
        assert!(ended.expect("the browser ends").unwrap().success());
    }

    async fn ask(&mut self, command: Value) -> Value {
        let line = format!("{command}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.answer(&line).await
    }

    async fn answer(&mut self, what: &str) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line())
            .await
            .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
        let line = line.unwrap().unwrap_or_else(|| {
            panic!(
                "the browser ended, see above; scripts/setup-tests.sh brings what it needs: {what}"
            )
        });
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        if let Some(error) = answer.get("error") {
            panic!("{what}{}", error.as_str().unwrap());
        }
        answer["value"].take()
    }
}
