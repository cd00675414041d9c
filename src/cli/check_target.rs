//! What a target exposes, from a scrape now or from saved ones.

use std::path::PathBuf;
use std::sync::Arc;

use super::snapshots::snapshots;
use super::{Error, one_thread};
use crate::config::exposed::Exposed;
use crate::runtime::clock;
use crate::runtime::http::{Client, Settings};
use crate::runtime::with_sources;
use crate::scrape::{Exposition, HttpProducer, MetricProducer as _, Target};

/// Where rules will look for their metrics.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Where {
    /// URL of a /metrics: remark on metrics that it does not expose
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// Folder with the scrapes snap_0001.txt, snap_0002.txt, …: remark on metrics that are in none of them
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    snapshots: Option<PathBuf>,
}

impl Where {
    /// The metrics there; `None` when no place was named.
    pub(super) fn exposed(&self) -> Result<Option<Exposed>, Error> {
        let mut exposed = Exposed::default();
        if let Some(url) = &self.target {
            let scrape = scrape(url)?;
            let wrong = |error| Error::new(format!("{url}: {error}"));
            exposed.add(&scrape).map_err(wrong)?;
            return Ok(Some(exposed));
        }
        let Some(dir) = &self.snapshots else {
            return Ok(None);
        };
        for snapshot in snapshots(dir, None)? {
            let wrong = |error| Error::new(format!("{}: {error}", snapshot.path.display()));
            exposed.add(&snapshot.read()?).map_err(wrong)?;
        }
        Ok(Some(exposed))
    }
}

fn scrape(url: &str) -> Result<Exposition, Error> {
    let runtime = one_thread()?;
    let mut producer =
        HttpProducer::new(Target::new(url), Arc::new(Client::new(Settings::default())));
    let answer = runtime.block_on(producer.produce(clock::now()));
    answer.map_err(|error| Error::new(format!("{url}: {}", with_sources(&error))))
}
