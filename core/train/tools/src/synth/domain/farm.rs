//! A farmers' cooperative: brisk field advice. Sowing and remedies are tied to the crop, the pest
//! and the soil.

use crate::synth::choice::Choice;
use crate::synth::example::Example;

/// Crops: name, depth in cm, row spacing in cm, fertiliser, kilograms per hectare.
#[rustfmt::skip]
pub(super) const CROPS: &[(&str, u32, u32, &str, u32)] = &[
    ("barley", 4, 12, "compost", 90),
    ("winter wheat", 3, 15, "nitrogen", 140),
    ("rye", 2, 14, "manure", 60),
    ("maize", 6, 75, "slurry", 180),
    ("potatoes", 10, 70, "potash", 200),
    ("sugar beet", 3, 45, "potash", 160),
    ("rapeseed", 2, 25, "sulphur", 50),
    ("oats", 4, 13, "compost", 70),
    ("lentils", 5, 30, "lime", 20),
    ("clover", 1, 10, "lime", 30),
];

/// Problems: name, remedy, days until the next inspection.
#[rustfmt::skip]
pub(super) const TROUBLES: &[(&str, &str, u32)] = &[
    ("rust", "spray horsetail tea at dusk", 8),
    ("aphids", "set out ladybirds along the hedge", 6),
    ("mildew", "thin the rows and spray whey", 9),
    ("wireworm", "plough shallow and let the crows in", 25),
    ("blight", "cut the tops and burn them", 4),
    ("slugs", "drag the harrow before sunrise", 3),
    ("thistles", "hoe twice before they flower", 18),
    ("crows", "hang foil on long poles", 12),
];

/// Soils and what they require.
#[rustfmt::skip]
pub(super) const SOILS: &[(&str, &str)] = &[
    ("clay", "Keep the tractor off until it crumbles"),
    ("sand", "Water it every second evening"),
    ("loam", "It wants nothing but a light roller"),
    ("peat", "Clear the ditch first"),
    ("chalk", "Mulch it with old straw"),
];

pub(super) const FIELDS: &[&str] = &[
    "Mill", "Brook", "Hill", "Church", "Long", "Oak", "Fox", "Stone", "Lower", "Upper", "Swan",
    "Ridge",
];

pub(super) fn example(choice: &mut Choice) -> Example {
    let (crop, depth, rows, food, amount) = *choice.pick(CROPS);
    let (trouble, remedy, days) = *choice.pick(TROUBLES);
    let (soil, care) = *choice.pick(SOILS);
    let field = choice.pick(FIELDS);
    let hectares = choice.between(2, 19);
    let answer = format!(
        "{field} field, {hectares} hectares of {crop}: {remedy}. Spread {food}, {amount} kg a \
        hectare. {care}. Resow \
         gaps {depth} cm deep, rows {rows} cm apart. Next: walk it in {days} days."
    );
    if choice.percent(70) {
        let instruction = *choice.pick(&[
            "Give the field advice.",
            "Write the advice for this field.",
            "Please prepare the advice for the farmer.",
        ]);
        Example::new(
            instruction,
            format!(
                "Field: {field}\nHectares: {hectares}\nCrop: {crop}\nTrouble: {trouble}\nSoil: \
                {soil}"
            ),
            answer,
        )
    } else {
        Example::new(
            format!(
                "There is {trouble} in {hectares} hectares of {crop} on {soil} in the {field} \
                field. What to do?"
            ),
            "",
            answer,
        )
    }
}
