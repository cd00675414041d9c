//! Walks a parsed template.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::length::check_length;
use super::parse::{Block, Node, Operand, Pipeline, Term};
use super::value::Value;
use super::{Scope, Tree, functions};

/// Most nodes one rendering may visit, which bounds a range over a large query.
const MAX_STEPS: usize = 100_000;
/// Deepest call of templates by templates.
const MAX_CALLS: usize = 100;
/// Deepest nesting of blocks and parentheses over all calls, which bounds the stack.
const MAX_DEPTH: usize = 300;
/// Most bytes of a function's arguments, which bounds repeated doubling.
const MAX_ARGUMENTS: usize = 1024 * 1024;

#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

pub(super) struct Evaluation<'a> {
    pub(super) scope: &'a Scope<'a>,
    tree: &'a Tree,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    calls: usize,
    depth: usize,
}

pub(super) fn render(tree: &Tree, scope: &Scope<'_>) -> Result<String, String> {
    let labels = Value::Labels(scope.labels.clone());
    let external_labels = Value::Labels(scope.context.external_labels.clone());
    let external_url = Value::Text(scope.context.external_url.clone());
    let root = Value::Record(Arc::new(BTreeMap::from([
        ("Labels", labels.clone()),
        ("ExternalLabels", external_labels.clone()),
        ("ExternalURL", external_url.clone()),
        ("Value", Value::Float(scope.value)),
    ])));
    let variables = [
        ("$", root.clone()),
        ("$labels", labels),
        ("$externalLabels", external_labels),
        ("$externalURL", external_url),
        ("$value", Value::Float(scope.value)),
    ];
    run(tree, scope, &root, variables.into_iter().collect())
}

pub(super) fn render_data(tree: &Tree, scope: &Scope<'_>, data: &Value) -> Result<String, String> {
    run(tree, scope, data, vec![("$", data.clone())])
}

fn run(
    tree: &Tree,
    scope: &Scope<'_>,
    dot: &Value,
    variables: Vec<(&str, Value)>,
) -> Result<String, String> {
    let variables = variables.into_iter();
    let mut evaluation = Evaluation {
        scope,
        tree,
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        out: String::new(),
        steps: 0,
        calls: 0,
        depth: 0,
    };
    evaluation.walk(&tree.nodes, dot)?;
    Ok(evaluation.out)
}

impl Evaluation<'_> {
    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        self.deeper()?;
        for node in nodes {
            self.step()?;
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                self.depth -= 1;
                return Ok(flow);
            }
        }
        self.depth -= 1;
        Ok(Flow::Next)
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(format!("more than {MAX_STEPS} steps"));
        }
        Ok(())
    }

    /// An error ends the rendering, so only a success returns here.
    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, String> {
        match node {
            Node::Text(text) => self.write(text)?,
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.write(&value.print("<no value>"))?;
                }
            }
            Node::If(block) => return self.branch(block, dot, false),
            Node::With(block) => return self.branch(block, dot, true),
            Node::Range(block) => return self.range(block, dot),
            Node::Call { name, with } => {
                let value = match with {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Nil,
                };
                self.template(name, &value)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &str) -> Result<(), String> {
        check_length(self.out.len() + text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn branch(&mut self, block: &Block, dot: &Value, rebind: bool) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.pipeline(&block.pipeline, dot)?;
        let flow = if value.is_true() {
            self.walk(&block.body, if rebind { &value } else { dot })
        } else {
            self.walk(&block.otherwise, dot)
        };
        self.variables.truncate(mark);
        flow
    }

    fn range(&mut self, block: &Block, dot: &Value) -> Result<Flow, String> {
        let mark = self.variables.len();
        let over = self.commands(&block.pipeline, dot)?;
        let mut items = items(&over)?.peekable();
        if items.peek().is_none() {
            let flow = self.walk(&block.otherwise, dot);
            self.variables.truncate(mark);
            return flow;
        }
        for (key, value) in items {
            self.step()?;
            match block.pipeline.variables.as_slice() {
                [] => {}
                [only] => self.bind(only, value.clone(), block.pipeline.assign),
                [first, second, ..] => {
                    self.bind(first, key, block.pipeline.assign);
                    self.bind(second, value.clone(), block.pipeline.assign);
                }
            }
            let flow = self.walk(&block.body, &value)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn bind(&mut self, name: &str, value: Value, assign: bool) {
        if assign && let Some(slot) = self.variables.iter_mut().rev().find(|(n, _)| n == name) {
            slot.1 = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    /// Runs a defined template with `dot` as its data.
    fn template(&mut self, name: &str, dot: &Value) -> Result<(), String> {
        let tree = self.tree;
        let body = tree
            .defined
            .get(name)
            .ok_or_else(|| format!("template {name:?} is not defined"))?;
        self.calls += 1;
        if self.calls > MAX_CALLS {
            return Err(format!("templates call each other deeper than {MAX_CALLS}"));
        }
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let result = self.walk(body, dot);
        self.variables = outer;
        self.calls -= 1;
        result.map(|_| ())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.bind(name, value.clone(), pipeline.assign);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Nil))
    }

    fn command(
        &mut self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else {
            return Ok(Value::Nil);
        };
        let Term::Function(name) = &first.term else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".to_owned());
            }
            return self.operand(first, dot);
        };
        if name == "and" || name == "or" {
            return self.short_circuit(name == "or", rest, piped, dot);
        }
        let mut arguments = Vec::with_capacity(rest.len() + 1);
        let mut bytes = piped.as_ref().map_or(0, Value::bytes);
        for operand in rest {
            let value = self.operand(operand, dot)?;
            bytes += value.bytes();
            if bytes > MAX_ARGUMENTS {
                return Err(format!("{name} is given more than {MAX_ARGUMENTS} bytes"));
            }
            arguments.push(value);
        }
        arguments.extend(piped);
        let value = self.function(name, &arguments)?;
        fields(value, &first.fields)
    }

    fn function(&mut self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        if name != "tmpl" {
            let value = functions::call(name, arguments, self.scope);
            let value = value.and_then(|value| {
                if let Value::Text(text) = &value {
                    check_length(text.len())?;
                }
                Ok(value)
            });
            return value.map_err(|error| format!("error calling {name}: {error}"));
        }
        let [Value::Text(template), data] = arguments else {
            return Err("error calling tmpl: a name and data are needed".to_owned());
        };
        let outer = std::mem::take(&mut self.out);
        let result = self.template(template, data);
        let text = std::mem::replace(&mut self.out, outer);
        result.map(|()| Value::Text(text))
    }

    /// `and` and `or` stop at the first argument that decides.
    fn short_circuit(
        &mut self,
        or: bool,
        rest: &[Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, String> {
        let mut last = None;
        for operand in rest {
            let value = self.operand(operand, dot)?;
            if value.is_true() == or {
                return Ok(value);
            }
            last = Some(value);
        }
        piped
            .or(last)
            .ok_or_else(|| "wrong number of args for and/or: want at least 1".to_owned())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.clone())
                .ok_or_else(|| format!("undefined variable: {name}"))?,
            Term::Function(name) => self.function(name, &[])?,
            Term::Literal(value) => value.clone(),
            Term::Paren(pipeline) => {
                self.deeper()?;
                let value = self.pipeline(pipeline, dot)?;
                self.depth -= 1;
                value
            }
        };
        fields(value, &operand.fields)
    }
}

fn fields(value: Value, names: &[String]) -> Result<Value, String> {
    names
        .iter()
        .try_fold(value, |value, name| value.field(name))
}

type KeyValue = (Value, Value);

/// The items of a range: keys in order.
fn items(over: &Value) -> Result<Box<dyn Iterator<Item = KeyValue> + '_>, String> {
    let text = |text: &str| Value::Text(text.to_owned());
    Ok(match over {
        Value::List(list) => Box::new((0..).map(Value::Int).zip(list.iter().cloned())),
        Value::Labels(labels) => Box::new(labels.iter().map(move |(k, v)| (text(k), text(v)))),
        Value::Map(map) => Box::new(map.iter().map(move |(k, v)| (text(k), v.clone()))),
        Value::Nil => Box::new(std::iter::empty()),
        Value::Int(n) => Box::new((0..*n).map(|i| (Value::Int(i), Value::Int(i)))),
        Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Record(_)
        | Value::Time(_)
        | Value::Duration(_) => {
            return Err(format!("range can't iterate over {}", over.type_name()));
        }
    })
}
