//! The known word that a mistyped one is nearest to.

/// The candidate most like `word`; `None` only when there are no candidates. Of equals the first wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(LONGEST).collect();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let likeness = strsim::normalized_damerau_levenshtein(&word, candidate);
        if best.is_none_or(|(so_far, _)| likeness > so_far) {
            best = Some((likeness, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Characters of a word that are looked at: comparing costs the product of both lengths.
const LONGEST: usize = 100;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_the_word() {
        let words = ["retention.ms", "retention.bytes", "segment.ms"];
        assert_eq!(nearest("retention.byte", words), Some("retention.bytes"));
        assert_eq!(nearest("retentionms", words), Some("retention.ms"));
        assert_eq!(nearest("sgement.ms", words), Some("segment.ms"));
    }

    #[test]
    fn a_word_like_none_still_gets_an_answer_and_no_candidate_none() {
        assert_eq!(nearest("zzz", ["a", "b"]), Some("a"));
        assert_eq!(nearest("zzz", []), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), ["a"]), Some("a"));
    }
}
