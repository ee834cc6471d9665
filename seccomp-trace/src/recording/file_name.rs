//! File names from strangers' names: a container's name never decides where we write.

use std::collections::BTreeSet;

/// The longest name, in bytes: with an ending it stays below the 255 of every file system.
const LONGEST: usize = 100;

/// The characters of an id that tell two files apart.
const ID: usize = 12;

/// A file name, without an ending, for a name from a stranger: ASCII letters, digits, `_`, `.` and
/// `-`, everything else becomes `_`; it begins with no dot and no dash, is never empty, and has at most
/// 100 bytes. Two names can give one file name: see [`FileNames`].
pub fn file_name(name: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    let mut safe: String =
        name.chars().take(LONGEST).map(|char| if is_plain(char) { char } else { '_' }).collect();
    // Neither hidden, nor `..`, nor an option to another program.
    if safe.starts_with(['.', '-']) {
        safe.replace_range(..1, "_");
    }
    if safe.is_empty() { "unnamed".to_owned() } else { safe }
}

/// Gives each container a file name of its own.
#[derive(Debug, Default)]
pub struct FileNames {
    // In lower case, since some file systems don't tell `a` from `A`.
    taken: BTreeSet<String>,
}

impl FileNames {
    /// A file name for a name and an id: that of [`file_name`], with the beginning of the id where
    /// another container has it already or it is not free, and a count where even that is taken.
    pub fn unique(&mut self, name: &str, id: &str, is_free: impl Fn(&str) -> bool) -> String {
        let plain = file_name(name);
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(ID).collect();
        let with_id = if id.is_empty() { plain.clone() } else { format!("{plain}-{id}") };
        let counted = (2_u64..).map(|count| format!("{with_id}-{count}"));
        [plain, with_id.clone()]
            .into_iter()
            .chain(counted)
            .find(|name| is_free(name) && self.taken.insert(name.to_ascii_lowercase()))
            .unwrap_or(with_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_plain_ones() {
        for (name, expected) in [
            ("web-1", "web-1"),
            ("/web", "_web"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("..", "_."),
            (".", "_"),
            ("", "unnamed"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("a\nb\0c\u{1b}[31m", "a_b_c__31m"),
            ("größe", "gr__e"),
            ("a b$(id)`id`", "a_b__id__id_"),
        ] {
            assert_eq!(file_name(name), expected, "{name:?}");
        }
    }

    #[test]
    fn two_containers_never_share_a_file() {
        let mut names = FileNames::default();
        assert_eq!(names.unique("a/b", "0123456789abcdef", |_| true), "a_b");
        assert_eq!(names.unique("a_b", "fedcba9876543210", |_| true), "a_b-fedcba987654");
        assert_eq!(names.unique("A_b", "fedcba9876543210", |_| true), "A_b-fedcba987654-2");
        assert_eq!(names.unique("a_b", "../x", |_| true), "a_b-x");
        assert_eq!(names.unique("a_b", "", |_| true), "a_b-2");
        assert_eq!(names.unique("c", "0123", |name| name != "c"), "c-0123");
    }

    proptest::proptest! {
        #[test]
        fn every_name_is_safe(name in "\\PC{0,300}|(\\.|/|-|[\\x00-\\xff]){0,300}") {
            let file = file_name(&name);
            proptest::prop_assert!(!file.is_empty() && file.len() <= LONGEST);
            proptest::prop_assert!(!file.starts_with(['.', '-']) && !file.contains(['/', '\0']));
            proptest::prop_assert!(std::path::Path::new(&file).file_name().is_some());
        }

        #[test]
        fn all_are_different(names in proptest::collection::vec("[ab/_]{0,2}", 0..12)) {
            let mut files = FileNames::default();
            let unique: BTreeSet<_> = names.iter().map(|name| files.unique(name, "id", |_| true)).collect();
            proptest::prop_assert_eq!(unique.len(), names.len());
        }
    }
}
