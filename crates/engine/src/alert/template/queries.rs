//! Finds the PromQL in a template's `query` calls.

use super::parse::{Node, Operand, Pipeline, Term};
use super::value::Value;

/// The literal arguments of `query`, and the formats of those that `printf` builds.
pub(super) fn of(nodes: &[Node]) -> Vec<String> {
    let mut found = Vec::new();
    walk(nodes, &mut found);
    found
}

fn walk(nodes: &[Node], found: &mut Vec<String>) {
    for node in nodes {
        match node {
            Node::Action(pipeline) => search(pipeline, found),
            Node::If(block) | Node::With(block) | Node::Range(block) => {
                search(&block.pipeline, found);
                walk(&block.body, found);
                walk(&block.otherwise, found);
            }
            Node::Call { with, .. } => {
                if let Some(pipeline) = with {
                    search(pipeline, found);
                }
            }
            Node::Text(_) | Node::Break | Node::Continue => {}
        }
    }
}

fn search(pipeline: &Pipeline, found: &mut Vec<String>) {
    let mut before: Option<String> = None;
    for command in &pipeline.commands {
        for operand in command {
            if let Term::Paren(inner) = &operand.term {
                search(inner, found);
            }
        }
        if calls(command, "query") {
            let argument = command.get(1).and_then(literal);
            found.extend(argument.or(before.take()));
        }
        before = if calls(command, "printf") {
            command.get(1).and_then(literal)
        } else {
            command.first().and_then(literal)
        };
    }
}

fn calls(command: &[Operand], name: &str) -> bool {
    let function = command.first().map(|operand| &operand.term);
    matches!(function, Some(Term::Function(found)) if found == name)
}

fn literal(operand: &Operand) -> Option<String> {
    match &operand.term {
        Term::Literal(Value::Text(text)) => Some(text.clone()),
        Term::Paren(inner) => match inner.commands.as_slice() {
            [command] if calls(command, "printf") => command.get(1).and_then(literal),
            [command] => command.first().and_then(literal),
            _ => None,
        },
        Term::Literal(_) | Term::Dot | Term::Variable(_) | Term::Function(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Template;

    #[test]
    fn queries_are_found_anywhere_in_a_template() {
        let text = r#"{{ with query "up" }}{{ . | first | value }}{{ end }}
            {{ if true }}{{ "sum(x)" | query | first | value }}{{ end }}
            {{ range printf "y{job='%s'}" $labels.job | query }}{{ end }}
            {{ query (printf "z{a=%q}" .Labels.a) }}{{ $labels.query }}"#;
        assert_eq!(
            Template::parse(text).unwrap().queries(),
            ["up", "sum(x)", "y{job='%s'}", "z{a=%q}"]
        );
    }
}
