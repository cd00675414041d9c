//! A real Chromium, driven over the WebDriver protocol.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Process, free_port, tool, until};

/// WebDriver's name for "this is an element".
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Timeout of a browser command on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with a profile of its own; it ends with the test.
pub(crate) struct Browser {
    session: String,
    http: reqwest::Client,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium if it is installed; else prints why the test skips.
    pub(crate) async fn start() -> Option<Self> {
        let (driver, _) = (tool("chromedriver")?, tool("chromium")?);
        let profile = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Process::start(&driver, &[&format!("--port={port}")], profile.path());
        let root = format!("http://127.0.0.1:{port}");
        until("chromedriver", PATIENCE, async || {
            super::get_text(&format!("{root}/status")).await
        })
        .await;
        let data = format!("--user-data-dir={}", profile.path().join("data").display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &data,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let mut browser = Self {
            session: format!("{root}/session"),
            http: reqwest::Client::new(),
            _driver: process,
            _profile: profile,
        };
        let session = browser.post("", &wanted).await;
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{id}", browser.session);
        Some(browser)
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{command}", self.session));
        let answer = request
            .header("content-type", "application/json")
            .body(body.to_string())
            .timeout(PATIENCE * 2)
            .send()
            .await
            .unwrap();
        let text = answer.text().await.unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{command} {body}: {value}");
        value
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// Runs a function body in JavaScript and returns its result.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.post("/execute/sync", &body).await
    }

    /// Waits until a script returns a truthy value, and returns it.
    pub(crate) async fn wait(&self, what: &str, script: &str) -> Value {
        until(what, PATIENCE, async || {
            let value = self.ask(script).await;
            let empty = value.is_null() || value == false || value == "" || value == 0;
            if empty { Err(value) } else { Ok(value) }
        })
        .await
    }

    pub(crate) async fn click(&self, css: &str) {
        let found = self
            .post("/element", &json!({"using": "css selector", "value": css}))
            .await;
        let id = found[ELEMENT].as_str().unwrap();
        self.post(&format!("/element/{id}/click"), &json!({})).await;
    }

    /// Presses and releases keys, one after the other.
    pub(crate) async fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", &actions).await;
    }

    /// A command of the Chrome DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({"cmd": command, "params": params});
        self.post("/goog/cdp/execute", &body).await
    }

    /// The viewport of a screen this wide.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Saves a screenshot.
    pub(crate) async fn screenshot(&self, file: &Path) {
        let shot = self.devtools("Page.captureScreenshot", json!({})).await;
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// Console messages of level warning and above since the last call, violations of the policy
    /// among them.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"})).await;
        let entries = log.as_array().unwrap().iter();
        entries
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Every URL that was requested since the last call.
    pub(crate) async fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "performance"})).await;
        let entries = log.as_array().unwrap().iter();
        entries
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let event = &event["message"];
                if event["method"] != "Network.requestWillBeSent" {
                    return None;
                }
                Some(event["params"]["request"]["url"].as_str()?.to_owned())
            })
            .collect()
    }
}

impl Drop for Browser {
    /// chromedriver leaves its browser alone when it is killed; closing the session ends it.
    fn drop(&mut self) {
        let Some(address) = self.session.strip_prefix("http://") else {
            return;
        };
        let Some((host, path)) = address.split_once('/') else {
            return;
        };
        if let Ok(mut stream) = std::net::TcpStream::connect(host) {
            use std::io::{Read as _, Write as _};
            let request = format!(
                "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).ok();
            stream.set_read_timeout(Some(PATIENCE)).ok();
            stream.read_to_end(&mut Vec::new()).ok();
        }
    }
}
