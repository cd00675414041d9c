//! Suggestions for mistyped words.

/// Words longer than this, in bytes, get no suggestion: no typing mistake is this long.
const MAX_WORD: usize = 64;

/// The known word with the smallest Levenshtein distance to `word`, if at most `max_edits`
/// characters differ and not all of them do.
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
        .filter(|(edits, _, name)| *edits <= max_edits && *edits < name.len())
        .map(|(.., name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_mistake_gets_the_nearest_word_and_other_words_get_none() {
        let known = ["alpha", "k_sigma", "warm_up"];
        assert_eq!(nearest("k_sgima", known, 2), Some("k_sigma"));
        assert_eq!(nearest("bound", known, 2), None);
        assert_eq!(nearest("xy", ["by", "on"], 2), Some("by"));
        assert_eq!(nearest("xyz", ["by", "on"], 2), None);
        assert_eq!(nearest(&"alpha".repeat(13), known, 100), None);
    }

    #[test]
    fn of_equally_near_words_the_one_that_continues_the_typed_word_wins() {
        assert_eq!(nearest("rat", ["bat", "rate"], 1), Some("rate"));
    }
}
