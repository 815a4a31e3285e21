//! The anchors that a renderer makes of headings.

/// The anchor of a heading as GitHub makes it: lower case, spaces to dashes, punctuation gone.
pub(crate) fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

#[test]
fn anchors_are_those_of_the_renderer() {
    assert_eq!(anchor("What is `not` guaranteed?"), "what-is-not-guaranteed");
    assert_eq!(anchor("The set U"), "the-set-u");
}
