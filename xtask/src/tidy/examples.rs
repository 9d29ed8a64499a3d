//! The rule that every public item of the contract shows how it is used.
//!
//! Its documentation has a section `# Examples`, or a line `Example:` that says where one is. The border's own module is
//! not for readers of the documentation; modules and re-exports have their own.

use super::Finding;
use super::source::Source;

const HOME: &str = "executor-api/src/";
const NOT_FOR_READERS: &str = "executor-api/src/abi/";
const ITEMS: [&str; 11] =
    ["async", "const", "enum", "extern", "fn", "static", "struct", "trait", "type", "union", "unsafe"];

/// Every public item of executor-api has an example or says where one is.
pub(super) fn public_items(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(HOME) || source.path.starts_with(NOT_FOR_READERS) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut doc = String::new();
    let mut in_attribute = false;
    for (at, (line, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
        let (line, code) = (line.trim(), code.trim());
        if in_attribute || code.starts_with("#[") {
            in_attribute = !code.ends_with(']');
        } else if line.starts_with("///") {
            doc.push_str(line);
            doc.push('\n');
        } else {
            let shown = doc.contains("/// # Examples") || doc.contains("Example:");
            // What has no documentation at all is for the compiler's lint to find, or has its leave.
            if is_public_item(code) && !doc.is_empty() && !shown {
                found.push(Finding::at(
                    at,
                    "add a section # Examples to its documentation, or a line Example: where one is",
                ));
            }
            doc.clear();
        }
    }
    found
}

fn is_public_item(code: &str) -> bool {
    let first = code.strip_prefix("pub ").and_then(|rest| rest.split_whitespace().next());
    first.is_some_and(|word| ITEMS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        public_items(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_item_without_an_example_is_found() {
        let text = "//! Doc.\n/// One.\npub struct A {\n    /// A field.\n    pub b: u8,\n}\n\n/// Two.\n#[must_use]\npub fn c() {}\n\
                    pub fn e() {}\npub(crate) fn d() {}\npub use x::Y;\npub mod z;\n";
        assert_eq!(lines("executor-api/src/a.rs", text), [3, 10]);
        assert!(lines("executor-api/src/abi/a.rs", text).is_empty());
        assert!(lines("executor-loader/src/a.rs", text).is_empty());
    }

    #[test]
    fn an_example_elsewhere_counts_and_attributes_do_not_part_it_from_its_item() {
        let text = "/// One.\n///\n/// Example: [units](self).\n#[expect(\n    unused,\n    reason = \"x\"\n)]\npub struct A;\n\
                    /// # Examples\n///\n/// ```\n/// pub fn x() {}\n/// ```\npub const fn b() {}\n";
        assert!(lines("executor-api/src/a.rs", text).is_empty());
    }
}
