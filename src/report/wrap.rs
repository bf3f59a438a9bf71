//! Texts in lines of a table.

/// Breaks a text between words, so that no line has more characters; a longer word stands on lines of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| parts(word, width)) {
        let n_word = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + n_word <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns a word in parts of at most so many characters.
fn parts(word: &str, width: usize) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = word;
    while let Some((at, _)) = rest.char_indices().nth(width.max(1)) {
        let (part, after) = rest.split_at(at);
        all.push(part);
        rest = after;
    }
    all.push(rest);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 9), [""]);
        assert_eq!(wrapped("https://a.long.name one", 9), ["https://a", ".long.nam", "e one"]);
    }
}
