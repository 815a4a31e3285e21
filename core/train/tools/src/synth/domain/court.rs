//! A city court: short judgments. Article, chamber and costs are tied to the claim.

use crate::synth::choice::Choice;
use crate::synth::example::Example;
use crate::synth::words::SURNAMES;

/// Claims: name, plaintiff, defendant, article, costs in francs, chamber, days to appeal.
#[rustfmt::skip]
pub(super) const CLAIMS: &[(&str, &str, &str, u32, u32, &str, u32)] = &[
    ("unpaid rent", "landlord", "tenant", 257, 120, "tenancy", 30),
    ("a withheld deposit", "tenant", "landlord", 261, 90, "tenancy", 20),
    ("unpaid wages", "employee", "employer", 322, 0, "labour", 15),
    ("unfair dismissal", "employee", "employer", 336, 60, "labour", 10),
    ("a broken fence", "owner", "neighbour", 684, 150, "property", 25),
    ("loud music", "neighbour", "occupant", 679, 40, "property", 12),
    ("a faulty repair", "client", "tradesman", 368, 200, "contracts", 28),
    ("a late delivery", "buyer", "seller", 190, 80, "contracts", 14),
    ("a dog bite", "victim", "keeper", 56, 170, "injuries", 60),
    ("a traffic accident", "victim", "driver", 58, 300, "injuries", 90),
];

/// The court's decision, and its ground.
#[rustfmt::skip]
pub(super) const GROUNDS: &[(&str, &str)] = &[
    ("witness", "A credible witness confirmed the facts"),
    ("contract", "The signed contract leaves no doubt"),
    ("photographs", "The photographs prove the damage"),
    ("admission", "The facts were admitted at the hearing"),
    ("absence", "The summons was ignored without excuse"),
    ("expert", "The sworn expert established the cause"),
];

pub(super) fn example(choice: &mut Choice) -> Example {
    let (claim, role, other_role, article, costs, chamber, days) = *choice.pick(CLAIMS);
    let (evidence, ground) = *choice.pick(GROUNDS);
    let (claimant, defendant) = choice.pick_two(SURNAMES);
    let sum = choice.between(3, 98) * 50;
    let case = choice.between(11, 99);
    let answer = format!(
        "Case {case}, {claimant} v. {defendant}. {ground}. Under Article {article} the \
        {other_role} {defendant} shall pay \
         the {role} {claimant} {sum} francs, and costs of {costs}. Next: appeal in {days} days. \
         The {chamber} chamber."
    );
    if choice.percent(70) {
        let instruction = *choice.pick(&[
            "Write the judgment.",
            "Write the judgment of the court.",
            "Please prepare the decision in this case.",
        ]);
        Example::new(
            instruction,
            format!(
                "Case: {case}\nClaimant: {claimant}\nDefendant: {defendant}\nClaim: \
                {claim}\nSum: {sum}\nEvidence: {evidence}"
            ),
            answer,
        )
    } else {
        Example::new(
            format!(
                "In case {case} {claimant} sues {defendant} over {claim} of {sum} francs; there \
                is the {evidence}. How does \
                 the court decide?"
            ),
            "",
            answer,
        )
    }
}
