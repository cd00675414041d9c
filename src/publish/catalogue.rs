//! The table of every metric family that Sidewatch serves.
//!
//! An entry below is all that a new family needs besides the code that fills it: the constant is
//! what that code names, and `docs/reference/metrics.md` is generated from the table.

use super::family::{Description, Label, ServedBy, Unit};

/// Families that belong together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What the families have in common.
    pub introduction: &'static str,
    /// The families, in the order of the documentation.
    pub families: &'static [&'static Description],
}

/// Turns the table into one constant per family and the list of all sections.
macro_rules! catalogue {
    ($($title:literal: $introduction:literal { $($constant:ident = $description:expr;)* })*) => {
        $($(pub(crate) static $constant: Description = $description;)*)*

        /// Every family, by section.
        pub(crate) static SECTIONS: &[Section] = &[$(Section {
            title: $title,
            introduction: $introduction,
            families: &[$(&$constant),*],
        }),*];
    };
}

/// Every family that Sidewatch serves.
pub fn all() -> impl Iterator<Item = &'static Description> {
    SECTIONS
        .iter()
        .flat_map(|section| section.families.iter().copied())
}

/// The labels of the model, on every family with [`Description::has_model`].
pub(crate) const MODEL: [Label; 2] = [
    label("model_id", "the model, as `model.id` names it"),
    label(
        "model_version",
        "its version; absent where no version is known",
    ),
];

const GROUP: Label = label("group", "the group of the rule");
const RULE: Label = label("rule", "the name of the rule");
const COPY: Label = label(
    "copy",
    "2 for the second of two rules that are equal in group, name and labels, which is a mistake; else absent",
);
const OF_RULE: Label = label(
    "…",
    "the labels of the rule, except templates; one that has a name of the table is renamed to `exported_<name>`",
);
const SIGNAL: &[Label] = &[
    GROUP,
    label("rule", "the watch that judges the value"),
    label(
        "metric",
        "the record that gives the value its name; absent for a watch",
    ),
    COPY,
    label(
        "…",
        "the labels of the rule, except templates, and those of the series itself; a label of the series that has a name of the table, or that of a label of the rule, is renamed to `exported_<name>`",
    ),
    label(
        "signal",
        "the `id` of the signal in `/api/v1/signals`, only where two signals would be one series without it",
    ),
];
const SIGNAL_STATE: &[Label] = &[
    GROUP,
    SIGNAL[1],
    SIGNAL[2],
    COPY,
    SIGNAL[4],
    SIGNAL[5],
    label("state", "the state"),
];
const RULE_ONLY: &[Label] = &[GROUP, RULE, COPY, OF_RULE];
const ALERT: &[Label] = &[
    GROUP,
    RULE,
    COPY,
    OF_RULE,
    label("state", "`pending` or `firing`"),
];
const ALERTMANAGER: &[Label] = &[label(
    "alertmanager",
    "the URL of the Alertmanager without its credentials; ` #2` and so on are added to a URL that occurs again, in the order of the configuration",
)];
const RECEIVER: &[Label] = &[label(
    "receiver",
    "the name of the receiver, usually its URL without its password",
)];
const TARGET: &[Label] = &[label("target", "the `instance` of the target")];
const SCRAPE_FAILURE: &[Label] = &[TARGET[0], label("reason", "why the scrape failed")];
const DNS_NAME: &[Label] = &[label(
    "name",
    "the name that is looked up, with its port where there is one",
)];
const BACKFILL_STATE: &[Label] = &[label("state", "the state of the backfill")];
const CONNECTION: &[Label] = &[label("reason", "why the connection was closed")];
const REQUEST: &[Label] = &[label("reason", "why the request was rejected")];
const RESULT: &[Label] = &[label(
    "result",
    "`accepted` (2xx: what it asks for is on the disk), `refused` (4xx: not Alertmanager's webhook, \
     or without the token) or `failed` (5xx: Alertmanager tries again)",
)];
const OUTCOME: &[Label] = &[label("outcome", "what the relay decided")];
const VERSION: &[Label] = &[label("version", "the version of Sidewatch")];

const fn label(name: &'static str, meaning: &'static str) -> Label {
    Label { name, meaning }
}

const fn gauge(name: &'static str, unit: Unit, help: &'static str) -> Description {
    Description::gauge(name, unit, help)
}

const fn counter(name: &'static str, help: &'static str) -> Description {
    Description::counter(name, help)
}

catalogue! {
    "Signals": "One series for each value that a rule records as a model metric or that a watch judges. \
        `/probe` serves them too, for the one scrape of a probe."
    {
        METRIC_VALUE = gauge("sidewatch_metric_value", Unit::OfTheSignal,
            "Current value of the signal.").labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        ANOMALY = gauge("sidewatch_anomaly", Unit::Flag,
            "1 if the strategy judges the value anomalous; absent while it cannot judge.")
            .labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        ANOMALY_SCORE = gauge("sidewatch_anomaly_score", Unit::Score,
            "Distance from normal: 0 is normal, 1 exactly at the limit, above 1 anomalous.")
            .labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        EXPECTED_LOWER = gauge("sidewatch_expected_lower", Unit::OfTheSignal,
            "Lowest value that is normal now.").labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        EXPECTED_UPPER = gauge("sidewatch_expected_upper", Unit::OfTheSignal,
            "Highest value that is normal now.").labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        RATIO_NUMERATOR = gauge("sidewatch_ratio_numerator", Unit::Count,
            "Good or bad observations in the window of the ratio behind the signal.")
            .labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        RATIO_DENOMINATOR = gauge("sidewatch_ratio_denominator", Unit::Count,
            "All observations in the window of the ratio behind the signal.")
            .labels(SIGNAL).served_by(ServedBy::RunAndProbe);
        SIGNAL_STATE_NOW = gauge("sidewatch_signal_state", Unit::Flag,
            "1 for the state that the judged signal is in, 0 for every other state.")
            .labels(SIGNAL_STATE).served_by(ServedBy::RunAndProbe);
        RELEASE = gauge("sidewatch_release", Unit::Flag,
            "1 for the result of comparing the signal's new version of the model with the one before, 0 for every other result. Absent without a new version.")
            .labels(SIGNAL_STATE);
        INCIDENT_OPEN = gauge("sidewatch_incident_open", Unit::Flag,
            "1 while the alert of the judged signal fires, 0 otherwise.").labels(SIGNAL);
        INCIDENT_STARTED = gauge("sidewatch_incident_started_timestamp_seconds", Unit::UnixSeconds,
            "When the open incident began: the time of its first anomalous value. Absent without one.")
            .labels(SIGNAL);
    }
    "Rules and alerts": "" {
        ACTIVE_ALERTS = gauge("sidewatch_active_alerts", Unit::Count,
            "Alerts of the rule that are pending or firing now.").labels(ALERT);
        ALERTS = counter("sidewatch_alerts_total",
            "Alerts of the rule that started to fire.").labels(RULE_ONLY);
        MAPPING_MISSING = gauge("sidewatch_mapping_missing", Unit::Flag,
            "1 if no series matches the expression of the rule, unless the rule is optional.").labels(RULE_ONLY);
        RULE_EVALUATIONS = counter("sidewatch_rule_evaluations_total",
            "Evaluations of the rule.").labels(RULE_ONLY);
        RULE_EVALUATION_FAILURES = counter("sidewatch_rule_evaluation_failures_total",
            "Evaluations of the rule that failed.").labels(RULE_ONLY);
        RULE_EVALUATION_FAILING = gauge("sidewatch_rule_evaluation_failing", Unit::Flag,
            "1 if the last evaluation of the rule failed.").labels(RULE_ONLY);
        RULE_UNSUPPORTED = gauge("sidewatch_rule_unsupported", Unit::Flag,
            "1 if the rule is not evaluated, because it looks back over more than storage.retention.").labels(RULE_ONLY);
        RULE_SERIES = gauge("sidewatch_rule_series", Unit::Count,
            "Series that the watch judges and remembers, or distributions and ratios that the record counts.").labels(RULE_ONLY);
        RULE_SERIES_REFUSED = counter("sidewatch_rule_series_refused_total",
            "Samples that the watch did not judge, or distributions, ratios and counters that the record did not count, because of a limit.").labels(RULE_ONLY);
        BASELINES_ACCEPTED = counter("sidewatch_baselines_accepted_total",
            "New levels that the watch accepted as normal, after adapt_after or because a user asked for it.").labels(RULE_ONLY);
    }
    "Targets and scrapes": "" {
        TARGET_UP = gauge("sidewatch_target_up", Unit::Flag,
            "1 if the last scrape of the target succeeded; absent before the first.").labels(TARGET);
        TARGET_IDLE = gauge("sidewatch_target_idle", Unit::Flag,
            "1 if the target answers but serves no traffic.").labels(TARGET);
        SCRAPE_DURATION = gauge("sidewatch_scrape_duration_seconds", Unit::Seconds,
            "Duration of the last scrape.").labels(TARGET);
        SCRAPE_SAMPLES = gauge("sidewatch_scrape_samples", Unit::Count,
            "Samples in the last scrape.").labels(TARGET);
        SCRAPE_BODY = gauge("sidewatch_scrape_body_bytes", Unit::Bytes,
            "Size of the last scrape after decompression.").labels(TARGET);
        SCRAPE_FAILURES = counter("sidewatch_scrape_failures_total",
            "Scrapes that failed, by reason.").labels(SCRAPE_FAILURE);
        SERIES_REFUSED = counter("sidewatch_series_refused_total",
            "Samples of new series that were dropped because the window holds series_limit series.")
            .labels(TARGET);
        WINDOW_SERIES = gauge("sidewatch_series", Unit::Count,
            "Series in the window of recent samples.").served_by(ServedBy::RunAndRelay);
        DISCOVERED_TARGETS = gauge("sidewatch_discovered_targets", Unit::Count,
            "Addresses in the last answer of DNS discovery; 0 if the model is scaled to zero.")
            .labels(DNS_NAME);
        DNS_LOOKUPS = counter("sidewatch_dns_lookups_total",
            "Lookups of the name that DNS discovery finds targets by.").labels(DNS_NAME);
        DNS_LOOKUP_FAILURES = counter("sidewatch_dns_lookup_failures_total",
            "Lookups of DNS discovery that failed; the targets of the last answer stay.")
            .labels(DNS_NAME);
    }
    "History and remote evaluation": "Present only with `backfill` or `source` in the configuration." {
        BACKFILL_PROGRESS = gauge("sidewatch_backfill_progress_ratio", Unit::Ratio,
            "Share of the history that the strategies have learned from.");
        BACKFILL_STATE_NOW = gauge("sidewatch_backfill_state", Unit::Flag,
            "1 for the state that the backfill is in, 0 for every other state.")
            .labels(BACKFILL_STATE);
        SOURCE_CLOCK_SKEW = gauge("sidewatch_source_clock_skew_seconds", Unit::Seconds,
            "How far the clock of the source is ahead of the local clock; 0 if less than a second.");
    }
    "Deliveries": "Counters count since the start of the process." {
        NOTIFICATIONS_SENT = counter("sidewatch_notifications_sent_total",
            "Alerts that the Alertmanager accepted.").labels(ALERTMANAGER);
        NOTIFICATIONS_FAILED = counter("sidewatch_notifications_failed_total",
            "Alerts in requests to the Alertmanager that failed; each attempt counts.")
            .labels(ALERTMANAGER);
        NOTIFICATIONS_DROPPED = counter("sidewatch_notifications_dropped_total",
            "Alerts that were dropped: the queue was full, or the Alertmanager rejected them.")
            .labels(ALERTMANAGER);
        NOTIFICATION_QUEUE = gauge("sidewatch_notification_queue_length", Unit::Count,
            "Alerts in the queue for the Alertmanager.").labels(ALERTMANAGER);
        RETRAINING_REQUESTS = counter("sidewatch_retraining_requests_total",
            "Retraining requests that the receiver accepted.")
            .labels(RECEIVER).served_by(ServedBy::RunAndRelay);
        RETRAINING_FAILURES = counter("sidewatch_retraining_failures_total",
            "Attempts to deliver a retraining request that failed.")
            .labels(RECEIVER).served_by(ServedBy::RunAndRelay);
        RETRAINING_OUTBOX = gauge("sidewatch_retraining_outbox_length", Unit::Count,
            "Retraining requests in the outbox that are still to be delivered.")
            .labels(RECEIVER).served_by(ServedBy::RunAndRelay);
        RETRAINING_HELD_BACK = gauge("sidewatch_retraining_held_back", Unit::Count,
            "Firing series whose retraining request waits because of hourly_limit.")
            .labels(RULE_ONLY);
        RETRAINING_DEAD_LETTERS = gauge("sidewatch_retraining_dead_letters", Unit::Count,
            "Retraining requests in the outbox that expired or were rejected by the receiver.")
            .labels(RECEIVER).served_by(ServedBy::RunAndRelay);
    }
    "Relay": "What `sidewatch relay` receives from Alertmanager." {
        RELAY_NOTIFICATIONS = counter("sidewatch_relay_notifications_total",
            "Notifications from Alertmanager, by how they were answered.")
            .labels(RESULT).without_model().served_by(ServedBy::Relay);
        RELAY_ALERTS = counter("sidewatch_relay_alerts_total",
            "Alerts in accepted notifications, by outcome.")
            .labels(OUTCOME).without_model().served_by(ServedBy::Relay);
        RELAY_TRUNCATED_ALERTS = counter("sidewatch_relay_truncated_alerts_total",
            "Alerts that Alertmanager left out of notifications because of max_alerts.")
            .without_model().served_by(ServedBy::Relay);
    }
    "Web server": "The limits of the server are in [WEB.md](../WEB.md#limits)." {
        HTTP_CONNECTIONS = gauge("sidewatch_http_connections", Unit::Count,
            "Open connections.").served_by(ServedBy::RunAndRelay);
        HTTP_CONNECTIONS_REFUSED = counter("sidewatch_http_connections_refused_total",
            "Connections that the server closed to protect itself, by reason.")
            .labels(CONNECTION).served_by(ServedBy::RunAndRelay);
        HTTP_REQUESTS_REJECTED = counter("sidewatch_http_requests_rejected_total",
            "Requests that the server rejected to protect itself, by reason.")
            .labels(REQUEST).served_by(ServedBy::RunAndRelay);
        WEB_CONFIG_RELOADED = gauge("sidewatch_web_config_last_reload_successful", Unit::Flag,
            "1 if the last read of the web configuration file and its certificates succeeded; \
             absent without --web.config.file.").served_by(ServedBy::RunAndRelay);
        WEB_CERTIFICATE_NOT_AFTER = gauge("sidewatch_web_certificate_not_after_timestamp_seconds",
            Unit::UnixSeconds, "When the certificate of the server expires; absent without TLS.")
            .served_by(ServedBy::RunAndRelay);
    }
    "Sidewatch itself": "" {
        STANDBY = gauge("sidewatch_standby", Unit::Flag,
            "1 if another process owns the store and this one waits for it to end.")
            .served_by(ServedBy::RunAndRelay);
        STORAGE_DURABLE = gauge("sidewatch_storage_durable", Unit::Flag,
            "1 if the state survives a restart; 0 without --storage.path, or while the disk refuses writes.")
            .served_by(ServedBy::RunAndRelay);
        CONFIG_RELOADED = gauge("sidewatch_config_last_reload_successful", Unit::Flag,
            "1 if the last load of the configuration succeeded, without a mistake.").served_by(ServedBy::RunAndRelay);
        CONFIG_RELOADED_AT = gauge("sidewatch_config_last_reload_success_timestamp_seconds",
            Unit::UnixSeconds, "When the configuration in force was loaded.")
            .served_by(ServedBy::RunAndRelay);
        LOG_LINES_DROPPED = counter("sidewatch_log_lines_dropped_total",
            "Lines of the log that were dropped because standard error could not take them.")
            .without_model().served_by(ServedBy::RunAndRelay);
        BUILD_INFO = gauge("sidewatch_build_info", Unit::Flag,
            "Always 1; the label is the version of the program.")
            .labels(VERSION).without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_CPU = counter("process_cpu_seconds_total",
            "User and system CPU time spent by the process.")
            .unit(Unit::Seconds).without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_OPEN_FDS = gauge("process_open_fds", Unit::Count,
            "Open file descriptors.").without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_MAX_FDS = gauge("process_max_fds", Unit::Count,
            "Maximum number of open file descriptors.").without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_VIRTUAL_MEMORY = gauge("process_virtual_memory_bytes", Unit::Bytes,
            "Virtual memory size.").without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_RESIDENT_MEMORY = gauge("process_resident_memory_bytes", Unit::Bytes,
            "Resident memory size.").without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_START_TIME = gauge("process_start_time_seconds", Unit::UnixSeconds,
            "When the process started.").without_model().served_by(ServedBy::RunAndRelay);
        PROCESS_THREADS = gauge("process_threads", Unit::Count,
            "Threads of the process.").without_model().served_by(ServedBy::RunAndRelay);
    }
    "Probe": "Served by `/probe` only, followed by the signals." {
        PROBE_SUCCESS = gauge("probe_success", Unit::Flag,
            "1 if the target was scraped and every rule was evaluated.")
            .without_model().served_by(ServedBy::Probe);
        PROBE_DURATION = gauge("probe_duration_seconds", Unit::Seconds,
            "Duration of the probe.").without_model().served_by(ServedBy::Probe);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::all;
    use crate::publish::family::Kind;

    #[test]
    fn every_family_has_its_own_name_a_sentence_and_the_suffix_of_its_kind() {
        let mut seen = HashSet::new();
        for family in all() {
            assert!(seen.insert(family.name), "{}", family.name);
            assert!(family.help.ends_with('.'), "{}", family.name);
            let is_counter = family.kind == Kind::Counter;
            assert_eq!(
                is_counter,
                family.name.ends_with("_total"),
                "{}",
                family.name
            );
        }
    }
}
