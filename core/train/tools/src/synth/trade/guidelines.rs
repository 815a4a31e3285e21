//! What the trade knows: what to do at home after each condition. Invented, and no advice.

/// The guideline of one condition.
pub(in crate::synth) struct Guideline {
    pub(in crate::synth) condition: &'static str,
    /// Letter and number.
    pub(in crate::synth) code: &'static str,
    /// What to do at home.
    pub(in crate::synth) measure: &'static str,
    /// For how many days.
    pub(in crate::synth) days: u32,
    pub(in crate::synth) clinic: &'static str,
    /// Days until the clinic sees the patient.
    pub(in crate::synth) review: u32,
    /// When to come back at once.
    pub(in crate::synth) warning: &'static str,
}

const fn of(
    condition: &'static str,
    code: &'static str,
    (measure, days): (&'static str, u32),
    (clinic, review): (&'static str, u32),
    warning: &'static str,
) -> Guideline {
    Guideline { condition, code, measure, days, clinic, review, warning }
}

#[rustfmt::skip]
pub(in crate::synth) const GUIDELINES: &[Guideline] = &[
    of("a broken wrist", "B12", ("keep the arm raised", 9), ("bone clinic", 12), "the fingers tingle"),
    of("a broken ankle", "B17", ("walk with crutches", 30), ("bone clinic", 16), "the toes turn cold"),
    of("a broken rib", "B23", ("breathe deeply every hour", 14), ("bone clinic", 21), "breath gets short"),
    of("a hip operation", "B41", ("sleep on the back", 40), ("bone clinic", 44), "the leg gets shorter"),
    of("a torn ligament", "B52", ("wear the brace", 25), ("bone clinic", 28), "the knee gives way"),
    of("back pain", "B64", ("walk every morning", 20), ("bone clinic", 35), "the legs go weak"),
    of("a shoulder operation", "B75", ("keep the sling on", 18), ("bone clinic", 19), "the hand turns numb"),
    of("a dislocated elbow", "B86", ("bend the arm gently", 11), ("bone clinic", 13), "the elbow locks"),
    of("pneumonia", "C14", ("sit upright at night", 10), ("chest clinic", 15), "fever returns"),
    of("asthma", "C22", ("measure the breath twice a day", 13), ("chest clinic", 8), "the inhaler fails"),
    of("a collapsed lung", "C37", ("lift nothing heavy", 32), ("chest clinic", 10), "the chest hurts"),
    of("bronchitis", "C45", ("breathe in steam", 6), ("chest clinic", 24), "the cough turns bloody"),
    of("whooping cough", "C51", ("stay away from babies", 16), ("chest clinic", 18), "the lips turn blue"),
    of("smoke in the lungs", "C68", ("rest in fresh air", 4), ("chest clinic", 5), "the voice goes"),
    of("a heart attack", "H11", ("climb no stairs", 12), ("heart clinic", 9), "the arm aches"),
    of("an irregular pulse", "H26", ("count the pulse", 28), ("heart clinic", 22), "the heart races"),
    of("heart failure", "H33", ("weigh every morning", 35), ("heart clinic", 6), "the ankles swell"),
    of("a new pacemaker", "H48", ("keep the arm low", 15), ("heart clinic", 31), "hiccups do not stop"),
    of("high blood pressure", "H55", ("eat without salt", 60), ("heart clinic", 36), "sight blurs"),
    of("fainting", "H62", ("drink before getting up", 17), ("heart clinic", 27), "it happens sitting"),
    of("a concussion", "N13", ("avoid screens", 5), ("nerve clinic", 7), "vomiting starts"),
    of("a stroke", "N21", ("practise speaking", 50), ("nerve clinic", 11), "the face drops"),
    of("a migraine", "N34", ("keep a diary", 45), ("nerve clinic", 42), "the pain comes at once"),
    of("a seizure", "N46", ("take no baths alone", 90), ("nerve clinic", 17), "another one follows"),
    of("dizziness", "N58", ("turn the head slowly", 8), ("nerve clinic", 26), "hearing is lost"),
    of("sciatica", "N67", ("lie with bent knees", 7), ("nerve clinic", 33), "the foot drops"),
    of("a kidney stone", "K15", ("drink three litres", 21), ("kidney clinic", 23), "chills begin"),
    of("a kidney infection", "K28", ("keep the flanks warm", 12), ("kidney clinic", 14), "the back throbs"),
    of("a bladder infection", "K32", ("drink warm tea", 5), ("kidney clinic", 29), "there is blood"),
    of("a prostate operation", "K49", ("ride no bicycle", 42), ("kidney clinic", 20), "nothing passes"),
    of("an appendix operation", "S16", ("wear loose clothes", 10), ("wound clinic", 8), "the scar opens"),
    of("a hernia operation", "S24", ("hold a cushion when coughing", 14), ("wound clinic", 12), "a lump shows"),
    of("gallstones", "S38", ("eat no fat", 24), ("wound clinic", 25), "the skin turns yellow"),
    of("a stomach ulcer", "S42", ("eat five small meals", 26), ("wound clinic", 30), "the stool turns black"),
    of("a burn", "S53", ("cool it with water", 2), ("wound clinic", 3), "blisters break"),
    of("a dog bite", "S61", ("wash it with soap", 3), ("wound clinic", 2), "a red line climbs"),
    of("a deep cut", "S77", ("keep it dry", 6), ("wound clinic", 7), "pus comes out"),
    of("a skin graft", "S85", ("keep out of the sun", 75), ("wound clinic", 4), "the edges lift"),
    of("tonsillitis", "T18", ("suck ice", 4), ("throat clinic", 16), "swallowing fails"),
    of("a nosebleed", "T25", ("sneeze with the mouth open", 9), ("throat clinic", 13), "it lasts an hour"),
    of("an ear operation", "T31", ("keep water out", 22), ("throat clinic", 18), "the ear rings"),
    of("a thyroid operation", "T44", ("rest the voice", 8), ("throat clinic", 34), "the neck swells"),
    of("a cataract operation", "E19", ("wear the shield at night", 13), ("eye clinic", 1), "flashes appear"),
    of("a scratched eye", "E27", ("wear dark glasses", 3), ("eye clinic", 4), "light hurts more"),
    of("diabetes", "D35", ("check the feet", 70), ("sugar clinic", 19), "thirst grows"),
    of("gout", "D47", ("eat no meat", 29), ("sugar clinic", 37), "the joint turns hot"),
    of("anaemia", "D56", ("eat lentils and beans", 55), ("sugar clinic", 40), "the heart pounds"),
    of("dehydration", "D63", ("sip broth", 2), ("sugar clinic", 9), "the mind wanders"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_condition_is_known_by_each_of_its_particulars() {
        let unique = |of: fn(&Guideline) -> &str| {
            GUIDELINES.iter().map(of).collect::<HashSet<_>>().len() == GUIDELINES.len()
        };
        assert!(unique(|g| g.condition) && unique(|g| g.code));
        assert!(unique(|g| g.measure) && unique(|g| g.warning));
    }
}
