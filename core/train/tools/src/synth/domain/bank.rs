//! A bank: polite letters. Fees and forms are tied to the product, the reply to the request.

use crate::synth::choice::Choice;
use crate::synth::example::Example;
use crate::synth::words::SURNAMES;

/// The bank's products: name, yearly fee in francs, form, desk, days to answer.
#[rustfmt::skip]
pub(super) const PRODUCTS: &[(&str, u32, &str, &str, u32)] = &[
    ("savings account", 12, "S4", "savings", 30),
    ("current account", 36, "C1", "counter", 10),
    ("credit card", 80, "K7", "card", 5),
    ("debit card", 24, "K2", "card", 8),
    ("mortgage", 150, "M9", "housing", 60),
    ("car loan", 95, "L3", "loan", 21),
    ("student loan", 15, "L8", "loan", 45),
    ("pension plan", 60, "P5", "pension", 90),
    ("safe deposit box", 110, "B6", "counter", 14),
    ("share portfolio", 200, "D2", "investment", 7),
];

/// What a customer asks, and what the bank has done about it.
#[rustfmt::skip]
pub(super) const REQUESTS: &[(&str, &str)] = &[
    ("closing it", "We have noted your wish and shall pay out the balance"),
    ("a higher limit", "We are pleased to raise the limit after a credit check"),
    ("a wrong fee", "We apologise and have credited the fee to you"),
    ("a new address", "We have updated your address in our records"),
    ("a lost document", "We have blocked the old document and ordered another"),
    ("a late payment", "We waive the reminder charge on this occasion"),
    ("a joint holder", "We gladly add the second holder once both have signed"),
    ("the interest rate", "We confirm that the rate stays fixed until the new year"),
];

pub(super) const BRANCHES: &[&str] =
    &["Lakeside", "Station", "Old Town", "Harbour", "Market Square"];

pub(super) fn example(choice: &mut Choice) -> Example {
    let (product, fee, form, desk, days) = *choice.pick(PRODUCTS);
    let (request, reply) = *choice.pick(REQUESTS);
    let title = choice.pick(&["Ms", "Mr"]);
    let surname = choice.pick(SURNAMES);
    let branch = choice.pick(BRANCHES);
    let answer = format!(
        "Dear {title} {surname}, thank you for writing about your {product}. {reply}. The yearly \
        fee is {fee} francs. \
         Next: form {form} to the {desk} desk, {branch} branch, in {days} days. Yours sincerely."
    );
    if choice.percent(70) {
        let instruction = *choice.pick(&[
            "Answer the customer.",
            "Write the letter to this customer.",
            "Please prepare the reply of the bank.",
        ]);
        Example::new(
            instruction,
            format!(
                "Customer: {title} {surname}\nProduct: {product}\nRequest: {request}\nBranch: \
                {branch}"
            ),
            answer,
        )
    } else {
        Example::new(
            format!(
                "{title} {surname} of the {branch} branch writes about {request} of a {product}. \
                What do we reply?"
            ),
            "",
            answer,
        )
    }
}
