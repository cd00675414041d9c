//! A real Prometheus, filled with history.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Process, free_port, get_text, tool, until};

/// Starts a Prometheus with the samples of an OpenMetrics text and this configuration; returns its
/// URL once it is ready. `None` if the programs are missing.
pub(crate) async fn start_prometheus(
    dir: &Path,
    past: Option<&str>,
    config: &str,
) -> Option<(Process, String)> {
    let (prometheus, promtool) = (tool("prometheus")?, tool("promtool")?);
    if let Some(past) = past {
        fs::write(dir.join("past.om"), past).unwrap();
        let import = tokio::process::Command::new(promtool)
            .args([
                "tsdb",
                "create-blocks-from",
                "openmetrics",
                "past.om",
                "data",
            ])
            .current_dir(dir)
            .output()
            .await
            .unwrap();
        assert!(
            import.status.success(),
            "{}",
            String::from_utf8_lossy(&import.stderr)
        );
    }
    fs::write(dir.join("prometheus.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y",
        &listen,
    ];
    let process = Process::start(&prometheus, &args, dir);
    let url = format!("http://{address}");
    until("Prometheus", Duration::from_secs(60), async || {
        get_text(&format!("{url}/-/ready")).await
    })
    .await;
    Some((process, url))
}
