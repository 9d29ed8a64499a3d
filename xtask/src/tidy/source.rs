//! One file, and for Rust its code and its comments apart.
//!
//! The split knows strings, raw strings, characters and nested comments, so a rule about code is not misled by a word in
//! a string. Both halves keep the lines of the whole. It follows the Rust reference, "Tokens" and "Comments".

/// A file of the workspace.
#[derive(Debug)]
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text without comments and without what strings hold; empty for other languages.
    pub(super) code: String,
    /// The comments alone; empty for other languages.
    pub(super) comments: String,
}

impl Source {
    pub(super) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let (code, comments) = if path.ends_with(".rs") { split(&text) } else { Default::default() };
        Self { path, text, code, comments }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The directories above the file, outermost first, and its own name.
    pub(super) fn place(&self) -> (Vec<&str>, &str) {
        let mut parts: Vec<&str> = self.path.split('/').collect();
        let name = parts.pop().unwrap_or_default();
        (parts, name)
    }
}

/// Whether `text` holds `word` as a whole word.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        ![before, after].into_iter().flatten().any(|near| near.is_alphanumeric() || near == '_')
    })
}

#[derive(Clone, Copy)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
}

fn split(text: &str) -> (String, String) {
    let chars: Vec<char> = text.chars().collect();
    let [mut code, mut comments] = [String::new(), String::new()];
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (next, taken) = step(inside, rest, &code);
        for (index, &char) in rest[..taken].iter().enumerate() {
            let [in_code, in_comments] = match inside {
                _ if char == '\n' => [true, true],
                Inside::Code if matches!(next, Inside::LineComment | Inside::BlockComment { .. }) => [false, true],
                // More than one at once is a character literal: its quotes stay.
                Inside::Code => [index == 0 || index + 1 == taken, false],
                Inside::LineComment | Inside::BlockComment { .. } => [false, true],
                Inside::Text { .. } => [matches!(next, Inside::Code), false],
            };
            code.push(if in_code { char } else { ' ' });
            comments.push(if in_comments { char } else { ' ' });
        }
        inside = next;
        at += taken;
    }
    (code, comments)
}

/// What `rest` begins with takes us where, and how many characters of it are done with. `code` is what came before.
fn step(inside: Inside, rest: &[char], code: &str) -> (Inside, usize) {
    let two = |pair: &str| rest.len() > 1 && rest[..2].iter().copied().eq(pair.chars());
    match inside {
        Inside::Code if two("//") => (Inside::LineComment, 2),
        Inside::Code if two("/*") => (Inside::BlockComment { depth: 1 }, 2),
        Inside::Code if rest[0] == '"' => (Inside::Text { hashes: raw_hashes(code) }, 1),
        Inside::Code if rest[0] == '\'' => (Inside::Code, character(rest)),
        Inside::Code => (Inside::Code, 1),
        Inside::LineComment if rest[0] == '\n' => (Inside::Code, 1),
        Inside::BlockComment { depth } if two("/*") => (Inside::BlockComment { depth: depth + 1 }, 2),
        Inside::BlockComment { depth: 1 } if two("*/") => (Inside::Code, 2),
        Inside::BlockComment { depth } if two("*/") => (Inside::BlockComment { depth: depth - 1 }, 2),
        Inside::Text { hashes: None } if rest[0] == '\\' => (inside, rest.len().min(2)),
        Inside::Text { hashes: None } if rest[0] == '"' => (Inside::Code, 1),
        Inside::Text { hashes: Some(count) } if rest[0] == '"' => {
            let closed = rest[1..].iter().take_while(|char| **char == '#').count() >= count;
            if closed { (Inside::Code, 1 + count) } else { (inside, 1) }
        }
        Inside::LineComment | Inside::BlockComment { .. } | Inside::Text { .. } => (inside, 1),
    }
}

/// The number of `#` of the raw string that begins after `code`; none for a string with escapes.
fn raw_hashes(code: &str) -> Option<usize> {
    let before = code.trim_end_matches('#');
    let prefix = before.strip_suffix('r')?;
    let prefix = prefix.strip_suffix(['b', 'c']).unwrap_or(prefix);
    let in_word = prefix.ends_with(|char: char| char.is_alphanumeric() || char == '_');
    (!in_word).then_some(code.len() - before.len())
}

/// How long the character literal is that `rest` begins with; 1 for a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', _, tail @ ..] => tail.iter().position(|char| *char == '\'').map_or(1, |at| at + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: &str, comments: &str) {
        let source = Source::new("a.rs", text);
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((words(&source.code), words(&source.comments)), (code.into(), comments.into()), "{text}");
        assert_eq!(source.code.lines().count(), text.lines().count(), "{text}");
    }

    #[test]
    fn code_and_comments_are_told_apart() {
        check("let a = 1; // unsafe\nb", "let a = 1; b", "// unsafe");
        check("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */");
        check("f(\"// not\", x)", "f(\" \", x)", "");
        check(r#"f("\"unsafe", x)"#, "f(\" \", x)", "");
        check("f(r#\"a \" // b\"#, x)", "f(r#\" \"#, x)", "");
        check("f(br\"\\\", x)", "f(br\" \", x)", "");
        check("fn f<'a>(x: &'a str) {} // c", "fn f<'a>(x: &'a str) {}", "// c");
        check("['\"', '\\'', '\\\\', '/'] // c", "[' ', ' ', ' ', ' ']", "// c");
        check("/// doc\nfn f() {}", "fn f() {}", "/// doc");
    }

    #[test]
    fn a_word_is_a_whole_one() {
        assert!(has_word("unsafe {", "unsafe") && has_word("#[unsafe(x)]", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe") && !has_word("notunsafe", "unsafe"));
    }
}
