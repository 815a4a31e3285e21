//! The bounds of the scheme, each checked where a preset is made.

use super::{KEY_BOUND, MAX_MEMBERS, Preset, SHARE_MODULUS, ceil_log2};

/// Why a set of parameters is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// No preset has this name.
    #[error("no preset is called {name:?}; there are: {known}")]
    UnknownName {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// A preset that protects nothing, in a build without such presets: they exist for tests.
    #[error("preset {name:?} protects nothing and is only for tests; take one of: {known}")]
    Insecure {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// No preset has values of this width.
    #[error("no preset has {value_bits}-bit values; choose one of: {known}{hint}")]
    ValueBits {
        /// The width asked for.
        value_bits: u32,
        /// The widths there are.
        known: String,
        /// What would fit, if any width does.
        hint: String,
    },
    /// No preset with this width holds so many members.
    #[error(
        "no preset with {value_bits}-bit values holds {members} members, at most {largest} ({bound}); {hint}"
    )]
    Members {
        /// The width asked for.
        value_bits: u32,
        /// The number of members asked for.
        members: u16,
        /// What the largest preset of this width holds.
        largest: u16,
        /// The bound that breaks.
        bound: &'static str,
        /// What would fit.
        hint: String,
    },
    /// This preset does not hold so many members.
    #[error(
        "preset {preset} holds {largest} members, not {members} (the sum of so many values would carry into the next slot); {hint}"
    )]
    PresetMembers {
        /// The preset.
        preset: &'static str,
        /// The number of members asked for.
        members: u16,
        /// What it holds.
        largest: u16,
        /// What would fit.
        hint: String,
    },
    /// A federation needs three members.
    #[error("{members} members are too few: with fewer than three, every sum shows an update")]
    TooFewMembers {
        /// The number of members asked for.
        members: u16,
    },
    /// One of the bounds of the scheme does not hold for these numbers.
    #[error("bound broken: {0}")]
    Bound(&'static str),
}

/// The numbers of a preset before they are checked.
pub(super) struct Numbers {
    pub(super) name: &'static str,
    pub(super) insecure: bool,
    pub(super) value_bits: u32,
    pub(super) members: u16,
    pub(super) ring_degree: usize,
    pub(super) slots: usize,
    pub(super) modulus: u64,
    pub(super) scale_bits: u32,
    pub(super) dropped_bits: u32,
}

impl Numbers {
    /// Checks every bound; `const`, so that the table of presets does not compile with a bad row.
    pub(super) const fn check(self) -> Result<Preset, &'static str> {
        let preset = Preset {
            name: self.name,
            insecure: self.insecure,
            value_bits: self.value_bits,
            members: self.members,
            ring_degree: self.ring_degree,
            slots: self.slots,
            modulus: self.modulus,
            scale_bits: self.scale_bits,
            dropped_bits: self.dropped_bits,
        };
        match broken_bound(&preset) {
            None => Ok(preset),
            Some(bound) => Err(bound),
        }
    }
}

const fn broken_bound(p: &Preset) -> Option<&'static str> {
    let members = p.members as u64;
    if p.members < 3 || p.members > MAX_MEMBERS {
        return Some("3 <= members <= 700");
    }
    if p.value_bits < 8 || p.value_bits > 24 {
        return Some("8 <= value bits <= 24: weight and nonce travel in 8-bit limbs");
    }
    if !p.ring_degree.is_power_of_two() || p.ring_degree < 512 {
        return Some("the ring degree is a power of two, at least 512");
    }
    if !p.insecure && p.ring_degree < super::RING_DEGREE {
        return Some("a ring degree below 4096 is INSECURE");
    }
    if p.modulus >= 1 << 62 || p.modulus % (2 * p.ring_degree as u64) != 1 {
        return Some("modulus = 1 mod 2N, below 2^62");
    }
    // 2 (B_E + n (2^l - 1) / 2) < 2^s
    if p.residual_bound_x2(p.members) >= 1 << p.scale_bits {
        return Some("error and truncation of the sum stay below half the scale");
    }
    // The largest packed sum: every slot at n (2^b - 1), which has to fit its slot.
    let largest_slot = members * ((1 << p.value_bits) - 1);
    if largest_slot >= 1 << p.slot_bits() {
        return Some("the sum of a slot does not carry into the next");
    }
    let mut packed: u128 = 0;
    let mut slot = 0;
    while slot < p.slots {
        packed = (packed << p.slot_bits()) + largest_slot as u128;
        slot += 1;
    }
    if p.slots == 0 || (packed << p.scale_bits) + (1 << (p.scale_bits - 1)) >= p.modulus as u128 {
        return Some("2^s * (largest packed sum) + 2^(s-1) < modulus: decoding does not wrap");
    }
    if p.wire_bits() + ceil_log2(p.members) >= 64 {
        return Some("n * 2^(log2 q - l) < 2^64: words add without reduction");
    }
    if (KEY_BOUND * p.members as u32) > (SHARE_MODULUS - 1) / 2 {
        return Some("the summed key fits the share field with its sign");
    }
    // The last block is cut to whole rows of eight lanes; a full block has to fill whole words.
    if !(p.ring_degree / 8).is_multiple_of(64) {
        return Some("a full block fills whole words in each of eight lanes");
    }
    None
}

pub(super) fn check_members(preset: &Preset, members: u16) -> Result<(), PresetError> {
    if members < 3 {
        return Err(PresetError::TooFewMembers { members });
    }
    if members > preset.members {
        let hint = match Preset::for_federation(preset.value_bits, members) {
            Ok(fits) => format!("{} would fit", fits.name()),
            Err(error) => error.to_string(),
        };
        return Err(PresetError::PresetMembers {
            preset: preset.name,
            members,
            largest: preset.members,
            hint,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> Numbers {
        Numbers {
            name: "test",
            insecure: false,
            value_bits: 16,
            members: 16,
            ring_degree: 4096,
            slots: 2,
            modulus: 2_251_799_813_554_177,
            scale_bits: 11,
            dropped_bits: 6,
        }
    }

    #[test]
    fn each_bound_is_named() {
        assert!(numbers().check().is_ok());
        let broken = |change: fn(&mut Numbers), words: &str| {
            let mut n = numbers();
            change(&mut n);
            let bound = n.check().unwrap_err();
            assert!(bound.contains(words), "{bound}");
        };
        broken(|n| n.members = 2, "3 <= members");
        broken(|n| n.members = 701, "members <= 700");
        broken(|n| n.value_bits = 7, "value bits");
        broken(|n| n.ring_degree = 2048, "INSECURE");
        broken(|n| n.ring_degree = 5000, "power of two");
        broken(|n| n.modulus += 2, "modulus = 1");
        broken(|n| n.dropped_bits = 7, "half the scale");
        broken(|n| n.members = 17, "does not wrap");
        broken(|n| n.slots = 3, "does not wrap");
        broken(|n| n.slots = 0, "does not wrap");
        broken(|n| n.value_bits = 17, "does not wrap");
    }
}
