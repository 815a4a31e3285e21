//! Names that can be mistaken for each other: the same letters in another case, in a compatible
//! form, or letters of another alphabet that look alike (Unicode TR 39).

use fedshield_protocol::manifest::Member;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

/// Whether two names are the same or look the same.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    looks(one).iter().zip(looks(other)).any(|(one, other)| *one == other)
}

/// Skeletons of a name as written and in lower case: `I` can be mistaken for `l` and for `i`.
fn looks(name: &str) -> [String; 2] {
    let plain: String = name.nfkc().collect();
    // To capitals and back, because only in capitals `ß` becomes `ss`.
    let small = |text: &str| text.to_uppercase().to_lowercase().nfkc().collect::<String>();
    let as_written: String = skeleton(&plain).collect();
    let in_small: String = skeleton(&small(&plain)).collect();
    [small(&as_written), small(&in_small)]
}

/// The first two members whose names look alike.
pub(super) fn first_lookalikes(members: &[Member]) -> Option<(String, String)> {
    let looks: Vec<[String; 2]> = members.iter().map(|member| looks(&member.name)).collect();
    for (place, (member, own)) in members.iter().zip(&looks).enumerate() {
        let mut before = members.iter().zip(&looks).take(place);
        let alike = |other: &[String; 2]| own.iter().zip(other).any(|(own, other)| own == other);
        if let Some((other, _)) = before.find(|(_, other)| alike(other)) {
            return Some((other.name.clone(), member.name.clone()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_count_as_one() {
        for (one, other) in [
            ("bank", "bank"),
            ("Bank", "bAnk"),
            ("bank", "b\u{430}nk"),
            ("bank", "\u{ff42}\u{ff41}\u{ff4e}\u{ff4b}"),
            ("Zürich", "Zu\u{308}rich"),
            ("Ida", "lda"),
            ("IDA", "ida"),
            ("clinic-1", "clinic-l"),
            ("ΑΒΓ", "αβγ"),
            ("Straße", "STRASSE"),
            ("\u{212a}linik", "klinik"),
        ] {
            assert!(look_alike(one, other), "{one} {other}");
            assert!(look_alike(other, one), "{other} {one}");
        }
        for (one, other) in [("bank", "bank-2"), ("m0", "m1"), ("farm", "form"), ("北", "南")] {
            assert!(!look_alike(one, other), "{one} {other}");
        }
    }
}
