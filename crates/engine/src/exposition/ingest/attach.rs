//! Merges the labels of a series with those of its target.

use std::borrow::Cow;
use std::collections::HashSet;

use super::strings::Strings;
use crate::metric::{Labels, exported_name};

/// A label as exposed.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The labels of a series of this target.
///
/// Where both have a label, the target's wins and the exposed one gets the prefix `exported_`,
/// repeated until the name is free, shortest names first. With `honor` the exposed label wins, even
/// an empty one.
pub(super) fn attach<'a>(
    name: &str,
    mut pairs: Vec<Pair<'a>>,
    target: &'a Labels,
    honor: bool,
    strings: &mut Strings,
) -> Labels {
    if honor {
        let missing: Vec<Pair<'a>> = target
            .iter()
            .filter(|(label, _)| pairs.iter().all(|(exposed, _)| exposed != label))
            .map(|(label, value)| (Cow::Borrowed(label), Cow::Borrowed(value)))
            .collect();
        pairs.extend(missing);
        return named(name, &pairs, strings);
    }
    let (mut conflicting, mut all): (Vec<Pair<'a>>, Vec<Pair<'a>>) = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .partition(|(label, _)| target.get(label).is_some());
    all.extend(
        target
            .iter()
            .map(|(label, value)| (Cow::Borrowed(label), Cow::Borrowed(value))),
    );
    conflicting.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut taken: HashSet<Cow<'_, str>> = if conflicting.is_empty() {
        HashSet::new()
    } else {
        all.iter().map(|(label, _)| label.clone()).collect()
    };
    for (label, value) in conflicting {
        let free = exported_name(&label, |name| taken.contains(name));
        taken.insert(Cow::Owned(free.clone()));
        all.push((Cow::Owned(free), value));
    }
    named(name, &all, strings)
}

fn named(name: &str, pairs: &[Pair<'_>], strings: &mut Strings) -> Labels {
    pairs
        .iter()
        .map(|(label, value)| (&**label, &**value))
        .chain([(Labels::NAME, name)])
        .map(|(label, value)| (strings.share(label), strings.share(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Strings, attach};
    use crate::metric::Labels;
    use std::borrow::Cow;

    fn joined(exposed: &[(&'static str, &'static str)], honor: bool) -> String {
        let target = Labels::new([("instance", "i"), ("job", "j")]);
        let pairs = exposed
            .iter()
            .map(|&(k, v)| (Cow::Borrowed(k), Cow::Borrowed(v)))
            .collect();
        attach("m", pairs, &target, honor, &mut Strings::new(1)).to_string()
    }

    #[test]
    fn an_exposed_label_that_the_target_has_is_renamed() {
        assert_eq!(
            joined(&[("job", "x"), ("a", "1")], false),
            r#"m{a="1", exported_job="x", instance="i", job="j"}"#
        );
    }

    #[test]
    fn the_prefix_repeats_until_the_name_is_free() {
        assert_eq!(
            joined(&[("job", "x"), ("exported_job", "y")], false),
            r#"m{exported_exported_job="x", exported_job="y", instance="i", job="j"}"#
        );
    }

    #[test]
    fn an_empty_exposed_label_is_no_conflict() {
        assert_eq!(joined(&[("job", "")], false), r#"m{instance="i", job="j"}"#);
    }

    #[test]
    fn with_honor_labels_the_exposed_labels_win() {
        assert_eq!(joined(&[("job", "x")], true), r#"m{instance="i", job="x"}"#);
        assert_eq!(joined(&[("job", "")], true), r#"m{instance="i"}"#);
    }
}
