//! The page about lints, from the table of [`Lint`].

use super::Page;
use super::markdown::{anchor, block, code, table};
use crate::config::lint::{Example, Lint};

pub(super) const PAGE: Page = Page {
    file: "lints.md",
    title: "Lints",
    summary: "Every remark that `sidewatch check` makes on rules that are valid but probably not intended.",
    body,
};

const INTRODUCTION: &str = "\
`sidewatch check rules` and `sidewatch check config` make these remarks and exit with 3 if there is one. \
`--lint=NAME,NAME` selects lints, `--lint=none` turns all of them off, and `--lint-fatal` exits with 1 instead of 3. \
The evaluation interval in the examples is 15s.\n\n";

fn body() -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut lints = Lint::ALL.to_vec();
    lints.sort_by_key(|lint| lint.name());
    out.push_str(&table(
        ["Lint", "What it finds"],
        lints.iter().map(|lint| {
            let name = lint.name();
            [
                format!("[{}](#{})", code(name), anchor(name)),
                lint.description().finds.to_owned(),
            ]
        }),
    ));
    for lint in lints {
        out.push('\n');
        out.push_str(&section(lint));
    }
    out
}

fn section(lint: Lint) -> String {
    let about = lint.description();
    let example = match about.example {
        Example::Rules(rules) | Example::Groups(rules) => block("yaml", rules),
        Example::Configuration(settings, "") => block("yaml", settings),
        Example::Configuration(settings, rules) => format!(
            "{}\nwith this rule:\n\n{}",
            block("yaml", settings),
            block("yaml", rules)
        ),
        Example::ConfiguredGroups(settings, groups) => format!(
            "{}\nwith these rules:\n\n{}",
            block("yaml", settings),
            block("yaml", groups)
        ),
    };
    format!(
        "## {}\n\n{} {}\n\n**Remedy:** {}\n\n{example}",
        about.name, about.finds, about.why, about.remedy
    )
}
