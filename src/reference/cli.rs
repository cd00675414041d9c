//! The page about the command line, from clap's description of it.

use clap::{Arg, ArgAction, Command};

use super::Page;
use super::markdown::{anchor, block, code, table};

pub(super) const PAGE: Page = Page {
    file: "cli.md",
    title: "Command line",
    summary: "Every command of `sidewatch`, with its arguments and options.",
    body,
};

fn body() -> String {
    let mut root = crate::cli::command();
    root.build();
    let mut commands = Vec::new();
    collect(&root, &mut commands);
    let mut out = format!(
        "{} `sidewatch COMMAND --help` says the same in a terminal. The options of every command are:\n\n",
        sentence(root.get_about().map(ToString::to_string))
    );
    let globals = options(&root).filter(|arg| arg.is_global_set());
    out.push_str(&table(OPTION_HEAD, globals.map(option)));
    out.push('\n');
    out.push_str(&table(
        ["Command", "What it does"],
        commands.iter().map(|command| {
            let name = full_name(command);
            let about = command.get_about().map(ToString::to_string);
            [
                format!("[{}](#{})", code(&name), anchor(&name)),
                sentence(about),
            ]
        }),
    ));
    for command in commands {
        out.push('\n');
        out.push_str(&section(command, &root));
    }
    out
}

/// The commands that can be run, depth first and sorted by name.
fn collect<'a>(command: &'a Command, found: &mut Vec<&'a Command>) {
    let mut children: Vec<&Command> = command
        .get_subcommands()
        .filter(|child| child.get_name() != "help" && !child.is_hide_set())
        .collect();
    children.sort_by_key(|child| child.get_name());
    for child in children {
        if !child.has_subcommands() {
            found.push(child);
        }
        collect(child, found);
    }
}

const OPTION_HEAD: [&str; 3] = ["Option", "Default", "Meaning"];

/// The section of a command. The options of `root` belong to every command and are left out.
fn section(command: &Command, root: &Command) -> String {
    let is_shared = |arg: &Arg| {
        root.get_arguments()
            .any(|shared| shared.get_id() == arg.get_id())
    };
    let name = full_name(command);
    let about = command.get_about().map(ToString::to_string);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let mut out = format!(
        "## {name}\n\n{}\n\n{}",
        sentence(about),
        block("text", usage)
    );
    let arguments: Vec<&Arg> = command.get_positionals().collect();
    if !arguments.is_empty() {
        out.push('\n');
        let rows = arguments
            .iter()
            .map(|arg| [code(&value_names(arg)), meaning(arg)]);
        out.push_str(&table(["Argument", "Meaning"], rows));
    }
    let mut own: Vec<&Arg> = options(command).filter(|arg| !is_shared(arg)).collect();
    own.sort_by_key(|arg| arg.get_long());
    if !own.is_empty() {
        out.push('\n');
        out.push_str(&table(OPTION_HEAD, own.into_iter().map(option)));
    }
    out
}

fn full_name(command: &Command) -> String {
    command
        .get_bin_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

/// The options of a command that are its own to explain.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_opts()
        .chain(
            command
                .get_arguments()
                .filter(|arg| !arg.is_positional() && !arg.get_action().takes_values()),
        )
        .filter(|arg| {
            !arg.is_hide_set()
                && !matches!(
                    arg.get_action(),
                    ArgAction::Help
                        | ArgAction::HelpShort
                        | ArgAction::HelpLong
                        | ArgAction::Version
                )
        })
}

fn option(arg: &Arg) -> [String; 3] {
    let name = arg
        .get_long()
        .map_or_else(String::new, |long| format!("--{long}"));
    let name = if arg.get_action().takes_values() {
        format!("{name}={}", value_names(arg))
    } else {
        name
    };
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| code(&value.to_string_lossy()))
        .collect();
    [code(&name), defaults.join(", "), meaning(arg)]
}

fn value_names(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<&str> = names.iter().map(clap::builder::Str::as_str).collect();
    names.join(" ")
}

/// The help of an argument, with the values it accepts.
fn meaning(arg: &Arg) -> String {
    let mut text = sentence(arg.get_help().map(ToString::to_string));
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| match value.get_help() {
            Some(help) => format!(
                "{} ({})",
                code(value.get_name()),
                sentence_fragment(&help.to_string())
            ),
            None => code(value.get_name()),
        })
        .collect();
    if !values.is_empty() {
        text.push_str(&format!(" One of {}.", values.join(", ")));
    }
    if arg.is_required_set() && !arg.is_positional() {
        text.push_str(" Required.");
    }
    text
}

/// Help texts have no full stop; a sentence in a document has one.
fn sentence(help: Option<String>) -> String {
    let help = help.unwrap_or_default();
    let help = help.trim_end_matches('.');
    format!("{help}.")
}

fn sentence_fragment(help: &str) -> &str {
    help.trim_end_matches('.')
}
