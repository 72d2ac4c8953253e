//! Two texts side by side, for people: lines that went, lines that came, a little of what stands around them.

const AROUND: usize = 3;

/// The differing lines, `-` of the old text and `+` of the new one, with the number of the old line.
pub(crate) fn of(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let marked = marks(&old, &new);
    let mut shown = Vec::new();
    let mut number = 0;
    let mut hidden = false;
    for (at, (mark, line)) in marked.iter().enumerate() {
        number += usize::from(*mark != '+');
        let near = &marked[at.saturating_sub(AROUND)..(at + AROUND + 1).min(marked.len())];
        if near.iter().all(|(mark, _)| *mark == ' ') {
            hidden = true;
            continue;
        }
        if std::mem::take(&mut hidden) {
            shown.push("     …".to_owned());
        }
        shown.push(format!("{number:5} {mark} {line}"));
    }
    shown.join("\n")
}

/// Every line of both texts, with its mark: the longest common ones stay.
fn marks<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for (a, left) in old.iter().enumerate().rev() {
        for (b, right) in new.iter().enumerate().rev() {
            common[a][b] =
                if left == right { common[a + 1][b + 1] + 1 } else { common[a + 1][b].max(common[a][b + 1]) };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut marked = Vec::new();
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            marked.push((' ', old[a]));
            (a, b) = (a + 1, b + 1);
        } else if a < old.len() && (b == new.len() || common[a + 1][b] >= common[a][b + 1]) {
            marked.push(('-', old[a]));
            a += 1;
        } else {
            marked.push(('+', new[b]));
            b += 1;
        }
    }
    marked
}
