use super::{anchored, unanchored};

fn matches(pattern: &str, text: &str) -> bool {
    let regex = anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    regex.is_match(text)
}

fn refused(pattern: &str) -> String {
    match anchored(pattern) {
        Ok(_) => panic!("{pattern} is accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_pattern_matches_the_whole_text() {
    assert!(matches("a.*", "abc") && matches("a|b", "b") && matches("", ""));
    assert!(!matches("b", "abc") && !matches("a|b", "ab"));
}

#[test]
fn a_dot_matches_a_newline_in_a_matcher_and_not_in_a_template() {
    assert!(matches("a.b", "a\nb") && !matches("(?-s)a.b", "a\nb"));
    let search = unanchored("a.b").unwrap();
    assert!(search.is_match("xaxbx") && !search.is_match("a\nb"));
}

#[test]
fn perl_classes_are_ascii() {
    assert!(!matches(r"\d", "٣") && !matches(r"\w+", "é") && !matches(r"\s", "\u{b}"));
    assert!(matches(r"[\d.]+", "1.5") && matches(r"[^\D]+", "15") && matches(r"\W", "é"));
}

#[test]
fn a_brace_without_numbers_stands_for_itself() {
    for (pattern, text) in [
        ("/v1/models/{name}", "/v1/models/{name}"),
        ("/v1/models/{.*}", "/v1/models/{a}"),
        ("a{,3}", "a{,3}"),
        ("0{", "0{"),
        ("%{x}", "%{x}"),
        ("a{01}", "a{01}"),
        ("{", "{"),
        ("a{2}", "aa"),
        ("a{1,}", "aaa"),
    ] {
        assert!(matches(pattern, text), "{pattern}");
    }
}

#[test]
fn a_class_holds_what_is_written_in_it() {
    for (pattern, inside, outside) in [
        (r"[\w-.]", "a-.", "/"),
        ("[a&&b]", "a&b", "c"),
        ("[+--]", "+,-", "a"),
        ("[a~~b]", "a~b", "c"),
        ("[[]", "[", "]"),
        ("[[a]", "[a", "]"),
        ("[]a]", "]a", "["),
        ("[^]a]", "[b", "]a"),
        ("[-a]", "-a", "b"),
        ("[a-]", "-a", "b"),
        ("[[:alpha:]_]", "aZ_", "1é"),
        ("[[:^alpha:]]", "1é", "aZ"),
        (r"[\pL\d]", "aé1", "_"),
        (r"[^\x{D800}-\x{DFFF}a]", "b", "a"),
        (r"[\101-\x43]", "ABC", "D"),
        (r"(?i)[^a-c]", "d", "aBC"),
        (r"(?i)[\PL]", "1", "aB"),
    ] {
        for c in inside.chars() {
            assert!(matches(pattern, &c.to_string()), "{pattern} {c}");
        }
        for c in outside.chars() {
            assert!(!matches(pattern, &c.to_string()), "{pattern} {c}");
        }
    }
}

#[test]
fn escapes_and_flags_mean_what_they_mean_in_go() {
    for (pattern, text) in [
        (r"\Qa.b*\E+", "a.b**"),
        (r"\Qa.b", "a.b"),
        (r"\pN\p{Lu}\p{^Lu}\PL", "1Aa1"),
        (r"\p{Greek}", "α"),
        (r"\060\x31\x{32}\_\/", "012_/"),
        ("(?i)straße", "STRASSE"),
        ("(?i)k", "\u{212a}"),
        ("a(?i)b|c", "C"),
        ("(?i:a)b", "Ab"),
        ("((?i)a)b", "Ab"),
        ("(?)a(?i)*", "aaa"),
        ("(?ii)a", "A"),
        ("(?m)a$\n^b", "a\nb"),
        ("(?<x>a)(?P<y>b)", "ab"),
        ("^*a$+", "a"),
        (r"a\b.b\Bc", "a bc"),
        ("()|a||", ""),
    ] {
        let folds_to_two = text == "STRASSE";
        assert_eq!(matches(pattern, text), !folds_to_two, "{pattern}");
    }
}

#[test]
fn ungreedy_groups_take_little() {
    let captured = |pattern: &str| {
        let found = anchored(pattern).unwrap();
        found.captures("aaa").unwrap()[1].to_owned()
    };
    assert_eq!(captured("(a*)a*"), "aaa");
    assert_eq!(captured("(?U)(a*)a*"), "");
    assert_eq!(captured("(?U)(a*?)a*"), "aaa");
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    for (pattern, message) in [
        ("x**", "invalid nested repetition operator: `**`"),
        ("0{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("x*??", "invalid nested repetition operator: `*??`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a|+?", "missing argument to repetition operator: `+?`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("(", "missing closing )"),
        ("a)(b", "unexpected )"),
        ("[a", "missing closing ]"),
        ("[", "missing closing ]"),
        ("[a--b]", "invalid character class range: `a--`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:no:]]", "invalid character class range: `[:no:]`"),
        (r"\p{a=b}", r"invalid character class range: `\p{a=b}`"),
        (r"[\b]", r"invalid escape sequence: `\b`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\é", r"invalid escape sequence: `\é`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        ("a\\", "trailing backslash at end of expression"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?P<a>x)(?P<a>y)", "duplicate capture group name: `a`"),
        ("(?P<a b>x)", "invalid named capture: `(?P<a b>`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        (r"(\pL{1000}){1}", "expression too large"),
    ] {
        assert_eq!(refused(pattern), message, "{pattern}");
    }
    assert!(refused(r"\p{Nonsense}").contains("property"));
}

#[test]
fn deep_nesting_is_refused_quickly() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")*".repeat(depth));
    assert!(anchored(&nested(80)).is_ok());
    let flags = format!("a{}", "(?)*".repeat(25_000));
    for deep in [nested(150), nested(50_000), flags] {
        assert_eq!(refused(&deep), "expression nests too deeply");
    }
}

proptest::proptest! {
    #[test]
    fn a_quoted_text_matches_itself_and_nothing_longer(text in r"[a-zé\[\](){}.*+?^$|\\ &~-]{0,30}") {
        proptest::prop_assume!(!text.contains(r"\E") && !text.ends_with('\\'));
        let regex = anchored(&format!(r"\Q{text}\E")).unwrap();
        assert!(regex.is_match(&text) && !regex.is_match(&format!("{text}a")), "{text}");
    }

    #[test]
    fn any_text_is_a_pattern_or_refused_in_words_of_its_own(text in r"[a-c0-9,é\[\](){}.*+?^$|\\ &~:<>=!PpQEiU-]{0,30}") {
        if let Err(error) = anchored(&text) {
            // The regex crate finds nothing wrong but names of Unicode that it does not know, and size.
            let said = error.to_string();
            let ours = ["missing", "invalid", "unexpected", "trailing", "duplicate", "expression"];
            let is_known = ours.iter().any(|word| said.starts_with(word)) || said.contains("property");
            assert!(is_known, "{text}: {said}");
        }
    }
}
