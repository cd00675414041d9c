//! The page about metrics, from [`catalogue`].

use super::Page;
use super::markdown::{code, table};
use crate::publish::catalogue::{self, Section};
use crate::publish::{Backfill, Description, Label, STATES, refused_reasons, rejected_reasons};
use crate::relay::Outcome;
use crate::scrape::Reason;

pub(super) const PAGE: Page = Page {
    file: "metrics.md",
    title: "Metrics",
    summary: "Every metric family that Sidewatch serves.",
    body,
};

const INTRODUCTION: &str = "\
`sidewatch run` and `sidewatch relay` serve `/metrics` in the Prometheus text format 0.0.4 or in OpenMetrics 1.0, as \
the client asks. A family without a series is left out. Flags are 1 for yes and 0 for no. The column \"Served by\" \
names the command: `run` stands for `sidewatch run` and `sidewatch demo`.\n\n";

fn body() -> String {
    let mut out = INTRODUCTION.to_owned();
    out.push_str(
        "Every family carries the labels of the model, except where its labels say \"no model\". \
         `sidewatch relay` has no model.\n\n",
    );
    out.push_str(&table(
        ["Label of the model", "Meaning"],
        catalogue::MODEL
            .iter()
            .map(|label| described(label, Vec::new())),
    ));
    for section in catalogue::SECTIONS {
        out.push('\n');
        out.push_str(&rendered(section));
    }
    out
}

fn rendered(section: &Section) -> String {
    let mut out = format!("## {}\n\n", section.title);
    if !section.introduction.is_empty() {
        out.push_str(section.introduction);
        out.push_str("\n\n");
    }
    out.push_str(&table(
        ["Family", "Type", "Unit", "Labels", "Served by", "Meaning"],
        section.families.iter().map(|family| row(family)),
    ));
    let mut labels: Vec<[String; 2]> = Vec::new();
    for family in section.families {
        for label in family.labels {
            let described = described(label, values(family, label));
            if !labels.contains(&described) {
                labels.push(described);
            }
        }
    }
    if !labels.is_empty() {
        out.push('\n');
        out.push_str(&table(["Label", "Meaning"], labels.into_iter()));
    }
    out
}

fn row(family: &Description) -> [String; 6] {
    let mut labels: Vec<String> = family.labels.iter().map(|label| code(label.name)).collect();
    if !family.has_model {
        labels.push("no model".to_owned());
    }
    [
        code(family.name),
        family.kind.as_str().to_owned(),
        family.unit.as_str().to_owned(),
        labels.join(", "),
        family.served_by.as_str().to_owned(),
        family.help.to_owned(),
    ]
}

fn described(label: &Label, values: Vec<&str>) -> [String; 2] {
    let mut meaning = label.meaning.to_owned();
    if !values.is_empty() {
        let values: Vec<String> = values.into_iter().map(code).collect();
        meaning = format!("{meaning}: {}", values.join(", "));
    }
    [code(label.name), meaning]
}

/// The values of a label whose values are a closed set.
fn values(family: &Description, label: &Label) -> Vec<&'static str> {
    let is = |other: &Description| family.name == other.name;
    match label.name {
        "state" if is(&catalogue::SIGNAL_STATE_NOW) => STATES.to_vec(),
        "state" if is(&catalogue::BACKFILL_STATE_NOW) => Backfill::STATES.to_vec(),
        "outcome" => Outcome::ALL.iter().map(|(_, word)| *word).collect(),
        "reason" if is(&catalogue::SCRAPE_FAILURES) => {
            Reason::ALL.iter().map(|reason| reason.as_str()).collect()
        }
        "reason" if is(&catalogue::HTTP_CONNECTIONS_REFUSED) => refused_reasons().collect(),
        "reason" if is(&catalogue::HTTP_REQUESTS_REJECTED) => rejected_reasons().collect(),
        _ => Vec::new(),
    }
}
