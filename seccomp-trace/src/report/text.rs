//! Text for a terminal: strangers' text made harmless, and lists kept short.

use std::fmt::Write as _;

/// The characters of a stranger's text that are shown, at most.
const LONGEST: usize = 1000;

/// Text from a stranger (a container's name, a thread's, a label) as a terminal may show it: control
/// characters, escape sequences, and what turns or hides text are shown escaped (`\u{1b}`), and it is
/// cut after 1,000 characters.
pub fn sanitise(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => sanitise_message(text.get(..end).unwrap_or_default()) + "…",
        None => sanitise_message(text),
    }
}

/// As [`sanitise`], for a line of our own messages, which may have any length. Where it has a line's end in it, that is
/// from a name.
pub fn sanitise_message(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        if is_harmful(char) {
            // Writing to a String can't fail.
            let _ = write!(safe, "{}", char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    safe
}

/// True for what a terminal obeys instead of showing, and for what reorders or hides other text.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' // the soft hyphen
            | '\u{61c}' | '\u{200b}'..='\u{200f}' // zero width, and marks of direction
            | '\u{2028}'..='\u{202e}' // separators, and embeddings and overrides of direction
            | '\u{2060}'..='\u{206f}' // invisible operators, and isolates of direction
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // the byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // tags
}

/// The first `most` of `names`, and how many more there are.
pub fn list(names: &[String], most: usize) -> String {
    let mut text = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > most {
        // Writing to a String can't fail.
        let _ = write!(text, " and {} more", names.len() - most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (hostile, shown) in [
            ("web-1", "web-1"),
            ("größe 猫", "größe 猫"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\r\nb\tc\0", "a\\u{d}\\u{a}b\\u{9}c\\u{0}"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("\u{2066}x\u{2069}\u{200b}", "\\u{2066}x\\u{2069}\\u{200b}"),
        ] {
            assert_eq!(sanitise(hostile), shown);
        }
    }

    #[test]
    fn a_strangers_text_is_cut_and_our_own_is_not() {
        let long = "x".repeat(5000);
        assert_eq!(sanitise(&long).chars().count(), LONGEST + 1);
        assert_eq!(sanitise_message(&long), long);
        assert_eq!(sanitise_message("one\ntwo\u{1b}"), "one\\u{a}two\\u{1b}");
    }

    #[test]
    fn a_list_says_how_much_it_leaves_out() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&names, 3), "a, b, c");
        assert_eq!(list(&names, 2), "a, b and 1 more");
        assert_eq!(list(&[], 2), "");
    }

    proptest::proptest! {
        #[test]
        fn nothing_harmful_is_left(text: String) {
            proptest::prop_assert!(!sanitise(&text).chars().any(is_harmful));
        }
    }
}
