//! The configuration of a relay.

use schemars::JsonSchema;

use super::receivers::Retraining;
use super::scalars::{Duration, Text};

/// What a relay does with the alerts that Alertmanager tells it of.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Relay {
    /// Which alerts ask for a new model; the first entry that fits counts.
    #[schemars(length(min = 1))]
    retrain: Vec<Ask>,
    /// Where an alert says what it is about.
    labels: Option<Identity>,
    /// Who is asked; at least one webhook.
    retraining: Retraining,
    /// What survives a restart.
    storage: Option<Folder>,
    /// What senders have to show.
    authorization: Option<Token>,
}

/// Alerts that ask for a new model.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Ask {
    /// The alert's labels must match all of them.
    #[schemars(length(min = 1), extend("examples" = [["retrain=\"true\"", "severity=\"page\""]]))]
    matchers: Vec<Text>,
    /// Shortest time between two requests for one series; 6h by default.
    cooldown: Option<Duration>,
    /// Whether the end of the alert means that the retraining is over; false by default.
    resolved_is_done: Option<bool>,
}

/// Labels that say what an alert is about.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Identity {
    /// The label with the model's id; model_id by default.
    model: Option<Text>,
    /// The label with its version; model_version by default.
    version: Option<Text>,
    /// Labels that tell senders apart and no models; replica and prometheus_replica by default.
    ignore: Option<Vec<Text>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Folder {
    /// The folder.
    path: Text,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Token {
    /// A file with the token, read for every request; relative to this one.
    credentials_file: Text,
}
