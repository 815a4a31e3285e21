//! The progress of rounds in a daemon's log.

use serde_json::Value;

/// A line of the log about a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The round that the line is about.
    pub round: u64,
    /// The phase that begins, or `ended` when the round has its record.
    pub word: String,
}

/// Phases in the order of a round, as logs name them, and the end.
pub(crate) const ORDER: [&str; 12] = [
    "recovering",
    "waiting-for-quorum",
    "sync",
    "commit",
    "transfer",
    "aggregate",
    "certify",
    "decrypt",
    "combine",
    "apply",
    "record",
    "ended",
];

impl Step {
    /// The step that a JSON line of the log reports, if it reports one.
    pub fn of_line(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let round = value["round"].as_str()?.parse().ok()?;
        match value["message"].as_str()? {
            "phase" => Some(Self { round, word: value["phase"].as_str()?.to_owned() }),
            "record" => Some(Self { round, word: "ended".to_owned() }),
            _ => None,
        }
    }

    /// Whether it comes after the beginning of `phase` in `round`.
    pub fn is_after(&self, round: u64, phase: &str) -> bool {
        let place = |word: &str| ORDER.iter().position(|other| *other == word);
        self.round > round || (self.round == round && place(&self.word) > place(phase))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_log_become_steps() {
        let line = r#"{"level":"INFO","message":"phase","round":"4","phase":"commit","view":0}"#;
        let step = Step::of_line(line).unwrap();
        assert_eq!(step, Step { round: 4, word: "commit".to_owned() });
        assert!(step.is_after(3, "record") && step.is_after(4, "waiting-for-quorum"));
        assert!(!step.is_after(4, "commit") && !step.is_after(4, "record"));
        assert_eq!(Step::of_line(r#"{"message":"listening"}"#), None);
    }
}
