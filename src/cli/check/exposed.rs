//! The metrics that a target exposes, from one scrape or from saved scrapes.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::error::Error;
use crate::cli::executor;
use crate::cli::snapshots::snapshots;
use crate::config::exposed::Exposed;
use crate::runtime::http::{Client, Settings};
use crate::runtime::{clock, with_sources};
use crate::scrape::{Exposition, HttpProducer, MetricProducer as _, Target};

/// Where the metrics of the rules are looked up.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct MetricsSource {
    /// URL of a /metrics: report metrics that it does not expose
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …: report metrics that none of them
    /// contains
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    snapshots: Option<PathBuf>,
}

impl MetricsSource {
    /// The exposed metrics; `None` if neither flag was given.
    pub(super) fn exposed(&self) -> Result<Option<Exposed>, Error> {
        let mut exposed = Exposed::default();
        if let Some(url) = &self.target {
            exposed
                .add(&scrape(url)?)
                .map_err(|error| Error::new(format!("{url}: {error}")))?;
            return Ok(Some(exposed));
        }
        let Some(dir) = &self.snapshots else {
            return Ok(None);
        };
        for snapshot in snapshots(dir, None)? {
            exposed
                .add(&snapshot.read()?)
                .map_err(|error| Error::new(format!("{}: {error}", snapshot.path.display())))?;
        }
        Ok(Some(exposed))
    }
}

fn scrape(url: &str) -> Result<Exposition, Error> {
    let client = Arc::new(Client::new(Settings::default()));
    let mut producer = HttpProducer::new(Target::new(url), client);
    executor::current_thread()?
        .block_on(producer.produce(clock::now()))
        .map_err(|error| Error::new(format!("{url}: {}", with_sources(&error))))
}
