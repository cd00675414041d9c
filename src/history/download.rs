//! Downloads series of a Prometheus server into a recording.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::api::{selector_query, timestamp};
use super::response::Matrix;
use super::{Error, Prometheus, Range, Recording};
use crate::metric::{Labels, Selector, Timestamp};

/// Maximum number of concurrent queries.
const MAX_CONCURRENT_QUERIES: usize = 4;

impl Prometheus {
    /// The series that match a selector at some time of the range.
    ///
    /// # Errors
    /// When the server does not respond, or refuses.
    pub async fn series(&self, selectors: &[Selector], range: Range) -> Result<Vec<Labels>, Error> {
        let requests = stream::iter(selectors.to_vec()).map(|selector| async move {
            let form = [
                ("match[]", selector_query(&selector)),
                ("start", timestamp(range.start)),
                ("end", timestamp(range.end)),
            ];
            let body = self.post("/api/v1/series", &form).await?;
            self.data::<Vec<Labels>>(&body)
        });
        let found: Vec<Vec<Labels>> = requests
            .buffered(MAX_CONCURRENT_QUERIES)
            .try_collect()
            .await?;
        let unique: BTreeSet<Labels> = found.into_iter().flatten().collect();
        Ok(unique.into_iter().collect())
    }

    /// Adds the values of the selectors at every step of the range to a recording. A series that
    /// matches two selectors is added once. A range that is too large for the server is halved.
    ///
    /// # Errors
    /// When the server does not respond, or refuses.
    pub async fn read(
        &self,
        selectors: &[Selector],
        range: Range,
        recording: &mut Recording,
    ) -> Result<(), Error> {
        let mut pending = vec![range];
        let mut responses = Vec::new();
        while let Some(range) = pending.pop() {
            let bodies = stream::iter(selectors.to_vec())
                .map(|selector| async move {
                    let query = selector_query(&selector);
                    self.post_range_query(&query, range).await
                })
                .buffered(MAX_CONCURRENT_QUERIES);
            match bodies.try_collect::<Vec<Vec<u8>>>().await {
                Ok(bodies) => responses.push(bodies),
                Err(Error::Api {
                    too_large: true, ..
                }) if range.steps() > 1 => {
                    pending.extend(range.split(range.steps().div_ceil(2)).into_iter().rev());
                }
                Err(error) => return Err(error),
            }
        }
        for bodies in responses {
            let mut added = BTreeSet::new();
            for body in bodies {
                self.add(&body, &mut added, recording)?;
            }
        }
        Ok(())
    }

    /// Adds the series of a response to the recording, except those in `added`.
    fn add(
        &self,
        body: &[u8],
        added: &mut BTreeSet<usize>,
        recording: &mut Recording,
    ) -> Result<(), Error> {
        for series in self.data::<Matrix<'_>>(body)?.result {
            let column = recording.column(&series.metric);
            if !added.insert(column) {
                continue;
            }
            for (at, text) in series.values {
                recording.push(column, Timestamp::from_secs_f64(at), self.number(text)?);
            }
        }
        Ok(())
    }
}
