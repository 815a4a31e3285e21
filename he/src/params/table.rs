//! The presets. The rows come from `he/scripts/presets.py`, which searches the smallest number of
//! wire bits per value that keeps every bound; the bounds are checked again at compile time.

use super::bounds::{Numbers, PresetError};
use super::{MAX_MEMBERS, Preset, RING_DEGREE};

/// One row that does not compile when a bound is broken.
macro_rules! preset {
    ($name:literal, $insecure:literal, $degree:expr, $b:literal, $n:literal, $slots:literal,
     $modulus:literal, $scale:literal, $dropped:literal) => {{
        const CHECKED: Preset = match (Numbers {
            name: $name,
            insecure: $insecure,
            value_bits: $b,
            members: $n,
            ring_degree: $degree,
            slots: $slots,
            modulus: $modulus,
            scale_bits: $scale,
            dropped_bits: $dropped,
        })
        .check()
        {
            Ok(preset) => preset,
            #[allow(clippy::panic, reason = "a panic in a constant is a compile error")]
            Err(bound) => panic!("{}", bound),
        };
        CHECKED
    }};
}

/// All presets that may be used, by value bits and then by members, smallest first.
static SECURE: [Preset; 24] = [
    preset!("rlwe-sum/b8/n16", false, RING_DEGREE, 8, 16, 4, 576460752303415297, 11, 6),
    preset!("rlwe-sum/b8/n32", false, RING_DEGREE, 8, 32, 3, 1125899906826241, 11, 5),
    preset!("rlwe-sum/b8/n64", false, RING_DEGREE, 8, 64, 3, 18014398509309953, 12, 5),
    preset!("rlwe-sum/b8/n128", false, RING_DEGREE, 8, 128, 3, 144115188075814913, 12, 4),
    preset!("rlwe-sum/b8/n256", false, RING_DEGREE, 8, 256, 2, 17592186028033, 12, 3),
    preset!("rlwe-sum/b8/n512", false, RING_DEGREE, 8, 512, 2, 140737488273409, 13, 3),
    preset!("rlwe-sum/b12/n16", false, RING_DEGREE, 12, 16, 3, 576460752303415297, 11, 6),
    preset!("rlwe-sum/b12/n32", false, RING_DEGREE, 12, 32, 3, 4611686018427322369, 11, 5),
    preset!("rlwe-sum/b12/n64", false, RING_DEGREE, 12, 64, 2, 281474976694273, 12, 5),
    preset!("rlwe-sum/b12/n128", false, RING_DEGREE, 12, 128, 2, 1125899906826241, 12, 4),
    preset!("rlwe-sum/b12/n256", false, RING_DEGREE, 12, 256, 2, 4503599627149313, 12, 3),
    preset!("rlwe-sum/b12/n512", false, RING_DEGREE, 12, 512, 2, 36028797018652673, 13, 3),
    preset!("rlwe-sum/b16/n16", false, RING_DEGREE, 16, 16, 2, 2251799813554177, 11, 6),
    preset!("rlwe-sum/b16/n32", false, RING_DEGREE, 16, 32, 2, 9007199254429697, 11, 5),
    preset!("rlwe-sum/b16/n64", false, RING_DEGREE, 16, 64, 2, 72057594037641217, 12, 5),
    preset!("rlwe-sum/b16/n128", false, RING_DEGREE, 16, 128, 2, 288230376151130113, 12, 4),
    preset!("rlwe-sum/b16/n256", false, RING_DEGREE, 16, 256, 1, 68719403009, 12, 3),
    preset!("rlwe-sum/b16/n512", false, RING_DEGREE, 16, 512, 1, 274877816833, 13, 3),
    preset!("rlwe-sum/b20/n16", false, RING_DEGREE, 20, 16, 2, 576460752303415297, 11, 6),
    preset!("rlwe-sum/b20/n32", false, RING_DEGREE, 20, 32, 2, 2305843009213554689, 11, 5),
    preset!("rlwe-sum/b20/n64", false, RING_DEGREE, 20, 64, 1, 274877816833, 12, 5),
    preset!("rlwe-sum/b20/n128", false, RING_DEGREE, 20, 128, 1, 549755731969, 12, 4),
    preset!("rlwe-sum/b20/n256", false, RING_DEGREE, 20, 256, 1, 1099511480321, 12, 3),
    preset!("rlwe-sum/b20/n512", false, RING_DEGREE, 20, 512, 1, 4398046486529, 13, 3),
];

/// Small ring degree, no security, for tests that need many rounds.
#[cfg(any(test, feature = "insecure-presets"))]
static INSECURE: &[Preset] = &[
    preset!("INSECURE-rlwe-sum/b8/n16", true, 512, 8, 16, 4, 576460752303415297, 11, 6),
    preset!("INSECURE-rlwe-sum/b16/n16", true, 512, 16, 16, 2, 2251799813554177, 11, 6),
    preset!("INSECURE-rlwe-sum/b16/n128", true, 512, 16, 128, 2, 288230376151130113, 12, 4),
    preset!("INSECURE-rlwe-sum/b20/n128", true, 512, 20, 128, 1, 549755731969, 12, 4),
];

/// Production builds have none.
#[cfg(not(any(test, feature = "insecure-presets")))]
static INSECURE: &[Preset] = &[];

/// Prefix of the names of presets that protect nothing.
const INSECURE_PREFIX: &str = "INSECURE-";

/// All presets that may be used, smallest first within each width.
#[cfg(test)]
pub(crate) fn presets() -> &'static [Preset] {
    &SECURE
}

pub(super) fn by_name(name: &str) -> Result<&'static Preset, PresetError> {
    SECURE.iter().chain(INSECURE).find(|p| p.name == name).ok_or_else(|| {
        let known = SECURE.iter().map(|p| p.name).collect::<Vec<_>>().join(", ");
        let short = name.chars().take(64).collect();
        match name.starts_with(INSECURE_PREFIX) {
            true => PresetError::Insecure { name: short, known },
            false => PresetError::UnknownName { name: short, known },
        }
    })
}

pub(super) fn choose(value_bits: u32, members: u16) -> Result<&'static Preset, PresetError> {
    if members < 3 {
        return Err(PresetError::TooFewMembers { members });
    }
    let fits = SECURE.iter().find(|p| p.value_bits == value_bits && p.members >= members);
    if let Some(preset) = fits {
        return Ok(preset);
    }
    let mut widths: Vec<u32> = SECURE.iter().map(|p| p.value_bits).collect();
    widths.dedup();
    let list = |w: &[u32]| w.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let largest = SECURE.iter().filter(|p| p.value_bits == value_bits).map(|p| p.members).max();
    let Some(largest) = largest else {
        let wider = SECURE.iter().find(|p| p.value_bits > value_bits && p.members >= members);
        let hint = wider.map(|p| format!("; {p} would fit")).unwrap_or_default();
        return Err(PresetError::ValueBits { value_bits, known: list(&widths), hint });
    };
    let bound = if members > MAX_MEMBERS {
        "the sum of more than 700 keys does not fit the share field"
    } else {
        "the sum of more values does not fit the widest slot of the table"
    };
    let hint = format!("split the federation, or run it with at most {largest} members");
    Err(PresetError::Members { value_bits, members, largest, bound, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miller-Rabin with the first twelve primes as bases: deterministic below 3.3e24.
    fn is_prime(n: u64) -> bool {
        let mul = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
        let pow = |mut base: u64, mut e: u64| {
            let mut r = 1;
            while e > 0 {
                if e & 1 == 1 {
                    r = mul(r, base);
                }
                base = mul(base, base);
                e >>= 1;
            }
            r
        };
        let twos = (n - 1).trailing_zeros();
        [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37].iter().all(|&base| {
            let mut x = pow(base, (n - 1) >> twos);
            if x == 1 || x == n - 1 {
                return true;
            }
            (1..twos).any(|_| {
                x = mul(x, x);
                x == n - 1
            })
        })
    }

    #[test]
    fn every_modulus_is_prime() {
        for preset in SECURE.iter().chain(INSECURE) {
            assert!(is_prime(preset.modulus()), "{preset}");
        }
    }

    /// The targets by (bits, members), with the header and the extra slots of a million values.
    #[test]
    fn a_value_takes_no_more_bytes_than_promised() {
        for (b, n, most) in [(16, 16, 2.82), (16, 128, 3.375), (20, 128, 4.375), (8, 16, 1.66)] {
            let preset = Preset::for_federation(b, n).unwrap();
            let bytes = f64::from(preset.wire_bits()) / (8.0 * preset.slots as f64);
            assert!(bytes <= most, "{preset}");
            let all = crate::ciphertext_len(preset, 1 << 20).unwrap() as f64;
            assert!(all / f64::from(1 << 20) <= most * 1.0001, "{preset}");
            assert_eq!(2 * preset.ring_degree(), 8192, "bytes of a key share");
        }
    }

    #[test]
    fn a_preset_that_does_not_fit_says_what_broke_and_what_would() {
        let preset = Preset::for_federation(16, 16).unwrap();
        let error = preset.check_members(17).unwrap_err().to_string();
        assert!(error.contains("carry into the next slot"), "{error}");
        assert!(error.contains("rlwe-sum/b16/n32 would fit"), "{error}");
        let error = Preset::for_federation(16, 600).unwrap_err().to_string();
        assert!(error.contains("at most 512") && error.contains("widest slot"), "{error}");
        let error = Preset::for_federation(16, 701).unwrap_err().to_string();
        assert!(error.contains("share field"), "{error}");
        let error = Preset::for_federation(15, 100).unwrap_err().to_string();
        assert!(error.contains("8, 12, 16, 20; rlwe-sum/b16/n128 would fit"), "{error}");
        let error = Preset::for_federation(21, 100).unwrap_err().to_string();
        assert!(error.ends_with("8, 12, 16, 20"), "{error}");
        let error = Preset::for_federation(16, 2).unwrap_err().to_string();
        assert!(error.contains("too few"), "{error}");
    }

    #[test]
    fn insecure_presets_come_by_name_only() {
        assert!(presets().iter().all(|p| !p.is_insecure() && !p.name().contains("INSECURE")));
        let small = Preset::by_name("INSECURE-rlwe-sum/b16/n16").unwrap();
        assert!(small.is_insecure());
        assert!(Preset::by_name("rlwe-sum/b16/n17").is_err());
        // The error that a build without INSECURE presets gives for all of them.
        let error = Preset::by_name("INSECURE-rlwe-sum/b16/n17").unwrap_err().to_string();
        assert!(
            error.contains("protects nothing") && error.contains("rlwe-sum/b16/n16"),
            "{error}"
        );
    }
}
