//! Manifests: TOML for people, canonical bytes, and a table of what is refused and what the error says.

mod fixture;

use fedshield_fixtures::real;
use fedshield_protocol::manifest::{FoundingError, Manifest, SignedManifest, ValidManifest};
use fixture::{manifest, signed_manifest};

#[test]
fn toml_and_canonical_bytes_keep_everything() {
    let manifest = manifest(5);
    let text = toml::to_string(&manifest).unwrap();
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), manifest);
    let signed = signed_manifest(4);
    let bytes = signed.encode().unwrap();
    assert_eq!(SignedManifest::decode(&bytes).unwrap(), signed);
    assert!(SignedManifest::decode(&bytes[1..]).is_err());
    assert!(toml::from_str::<Manifest>(&format!("surprise = 1\n{text}")).is_err());
}

#[test]
fn every_founder_must_sign_exactly_this() {
    let signed = signed_manifest(4);
    let valid = ValidManifest::founded(signed.clone()).unwrap();
    assert_eq!(valid.digest(), signed.manifest.digest().unwrap());
    let mut short = signed.clone();
    short.signatures.pop();
    assert!(matches!(ValidManifest::founded(short), Err(FoundingError::Signatures { .. })));
    let mut swapped = signed.clone();
    swapped.signatures.swap(1, 2);
    assert!(matches!(
        ValidManifest::founded(swapped),
        Err(FoundingError::WrongSignature { name }) if name == "member-1"
    ));
    let mut changed = signed;
    changed.manifest.rounds += 1;
    assert!(matches!(ValidManifest::founded(changed), Err(FoundingError::WrongSignature { .. })));
}

#[test]
fn what_is_wrong_is_named() {
    type Change = fn(&mut Manifest);
    let table: [(&str, Change); 20] = [
        ("name", |m| m.name.clear()),
        ("rounds", |m| m.rounds = 0),
        ("members", |m| m.members.truncate(2)),
        ("min_contributors", |m| m.min_contributors = 2),
        ("min_contributors", |m| m.min_contributors = 5),
        ("committee_size", |m| m.committee_size = 2),
        ("weight_cap", |m| m.weight_cap = 0),
        ("adapter.rank", |m| m.adapter.rank = 0),
        ("adapter.target_modules", |m| m.adapter.target_modules.clear()),
        ("training.batch_size", |m| m.training.batch_size = 0),
        ("training.learning_rate", |m| m.training.learning_rate = real(-1.0)),
        ("pruning.explore", |m| m.pruning.explore = real(1.5)),
        ("pruning.last", |m| m.pruning.last = real(1.0)),
        ("encryption.clip", |m| m.encryption.clip = real(0.0)),
        ("deadlines.round_ms", |m| m.deadlines.round_ms = 2_000),
        ("members[3].name", |m| m.members[3].name = "member-1".into()),
        ("members[1].name", |m| m.members[1].name = "bank\u{200b}".into()),
        ("training.template", |m| m.training.template = "chat\u{feff}ml".into()),
        ("members[2].identity_key", |m| {
            m.members[2].identity_key = m.members[0].identity_key;
        }),
        ("members[0].sealing_key", |m| m.members[0].sealing_key.clear()),
    ];
    for (field, change) in table {
        let mut manifest = manifest(4);
        change(&mut manifest);
        match ValidManifest::check(manifest) {
            Err(FoundingError::Invalid(error)) => {
                assert_eq!(error.field, field);
                assert!(!error.remedy.is_empty() && !error.value.is_empty(), "{error}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn a_name_that_reads_backwards_is_refused_with_the_character() {
    let mut manifest = manifest(4);
    manifest.members[2].name = "bank\u{202e}knab".into();
    let error = ValidManifest::check(manifest).unwrap_err().to_string();
    assert!(error.contains("members[2].name") && error.contains("U+202E"), "{error}");
    assert!(!error.contains('\u{202e}'), "{error:?}");
}
