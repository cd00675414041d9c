//! Suggestions for mistyped words.

/// Words longer than this, in bytes, get no suggestion: no typing mistake is this long.
const MAX_WORD: usize = 64;

/// The known word with the smallest Levenshtein distance to `word`, if at most `max_edits`
/// characters differ.
///
/// Of equally near words one that starts with `word` wins, then the first in alphabetical order.
#[must_use]
pub fn nearest<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    max_edits: usize,
) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    known
        .into_iter()
        .map(|name| {
            (
                strsim::levenshtein(word, name),
                !name.starts_with(word),
                name,
            )
        })
        .min()
        .filter(|(edits, ..)| *edits <= max_edits)
        .map(|(.., name)| name)
}

/// What to append to an error about an unknown word: `; did you mean alpha?`, or else all known
/// words.
#[must_use]
pub fn suggestion(word: &str, known: &[&str]) -> String {
    let max_edits = 1 + word.chars().count() / 4;
    match nearest(word, known.iter().copied(), max_edits) {
        Some(name) => format!("; did you mean {name}?"),
        None => format!("; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{nearest, suggestion};

    #[test]
    fn a_typing_mistake_gets_the_nearest_word_and_other_words_get_the_list() {
        let known = ["alpha", "k_sigma", "warm_up"];
        assert_eq!(suggestion("k_sgima", &known), "; did you mean k_sigma?");
        assert_eq!(
            suggestion("bound", &known),
            "; known are alpha, k_sigma, warm_up"
        );
        assert_eq!(nearest(&"alpha".repeat(13), known, 100), None);
    }

    #[test]
    fn of_equally_near_words_the_one_that_continues_the_typed_word_wins() {
        assert_eq!(nearest("rat", ["bat", "rate"], 1), Some("rate"));
    }
}
