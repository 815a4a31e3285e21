//! Manifests: readable TOML, canonical bytes, and a table of invalid manifests with the errors
//! that they give.

mod fixture;

use fedshield_fixtures::real;
use fedshield_protocol::ids::MemberIndex;
use fedshield_protocol::manifest::{
    Algorithm, Evaluation, LocalOptimizer, Manifest, ManifestSignatureError, Member,
    ServerOptimizer, SignedManifest, Stop, Terms, TermsFields, UncheckedDraft, ValidManifest,
    Weights,
};
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
    assert!(matches!(
        ValidManifest::founded(short),
        Err(ManifestSignatureError::Signatures { .. })
    ));
    let mut swapped = signed.clone();
    swapped.signatures.swap(1, 2);
    assert!(matches!(
        ValidManifest::founded(swapped),
        Err(ManifestSignatureError::WrongSignature { name }) if name == "member-1"
    ));
    let mut changed = signed;
    changed.manifest.rounds += 1;
    assert!(matches!(
        ValidManifest::founded(changed),
        Err(ManifestSignatureError::WrongSignature { .. })
    ));
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
            Err(ManifestSignatureError::Invalid(error)) => {
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

/// Without `weights` the bytes are those of earlier versions, so their digests, signatures and
/// ledgers hold.
#[test]
fn a_manifest_of_an_earlier_version_keeps_its_bytes_and_its_signatures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../daemon/tests/homes/first-version");
    let bytes = std::fs::read(format!("{folder}/manifest.signed")).unwrap();
    let signed = SignedManifest::decode(&bytes).unwrap();
    assert_eq!(signed.manifest.weights, None);
    assert!(signed.manifest.members.iter().all(|member| member.weight == 1));
    assert_eq!(signed.encode().unwrap(), bytes);
    let valid = ValidManifest::founded(signed.clone()).unwrap();
    assert_eq!(valid.digest(), signed.manifest.digest().unwrap());
    let text = toml::to_string(&signed.manifest).unwrap();
    assert!(!text.contains("weights") && !text.contains("weight ="), "{text}");
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), signed.manifest);
    // The same terms with weights are another manifest.
    let equal = Manifest { weights: Some(Weights::Equal), ..signed.manifest.clone() };
    assert_ne!(equal.digest().unwrap(), valid.digest());
}

#[test]
fn declared_weights_are_part_of_what_is_signed() {
    let mut declared = manifest(4);
    declared.weights = Some(Weights::Declared);
    declared.weight_cap = 500;
    for (member, weight) in declared.members.iter_mut().zip([1, 500, 20, 3]) {
        member.weight = weight;
    }
    let text = toml::to_string(&declared).unwrap();
    assert!(text.contains("weights = \"declared\"") && text.contains("weight = 500"), "{text}");
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), declared);
    let signed = SignedManifest { manifest: declared.clone(), signatures: Vec::new() };
    let bytes = signed.encode().unwrap();
    assert_eq!(SignedManifest::decode(&bytes).unwrap(), signed);
    for length in 0..bytes.len() {
        assert!(SignedManifest::decode(&bytes[..length]).is_err(), "{length}");
    }
    let digest = declared.digest().unwrap();
    let mut other = declared.clone();
    other.members[3].weight = 4;
    assert_ne!(other.digest().unwrap(), digest);
    assert_eq!(declared.largest_weight(), 500);
    assert_eq!((0..5).map(|m| declared.weight_of(MemberIndex(m))).sum::<u32>(), 525);

    // Outside 1 to the cap, and where weights are equal, a weight is refused by its name.
    for (weights, weight) in [
        (Some(Weights::Declared), 0),
        (Some(Weights::Declared), 501),
        (Some(Weights::Equal), 2),
        (None, 2),
    ] {
        let mut wrong = manifest(4);
        (wrong.weights, wrong.weight_cap) = (weights, 500);
        wrong.members[2].weight = weight;
        match ValidManifest::check(wrong) {
            Err(ManifestSignatureError::Invalid(error)) => {
                assert_eq!(error.field, "members[2].weight")
            }
            other => panic!("{weights:?} {weight}: {other:?}"),
        }
    }
}

/// Without a date the bytes are those of earlier versions; with one they are of a form that these refuse by name.
#[test]
fn the_date_of_templates_is_part_of_what_is_signed() {
    for weights in [None, Some(Weights::Equal), Some(Weights::Declared)] {
        let before = Manifest { weights, ..manifest(4) };
        let dated = |date: &str| Manifest { template_date: Some(date.into()), ..before.clone() };
        let today = dated("2026-11-27");
        let digests = [&before, &today, &dated("2026-11-28")].map(|it| it.digest().unwrap());
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
        let text = toml::to_string(&today).unwrap();
        assert!(text.contains("template_date = \"2026-11-27\""), "{text}");
        assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), today);
        assert!(!toml::to_string(&before).unwrap().contains("template_date"));
        let signed = SignedManifest { manifest: today.clone(), signatures: Vec::new() };
        let bytes = signed.encode().unwrap();
        assert_eq!(SignedManifest::decode(&bytes).unwrap(), signed);
        for length in 0..bytes.len() {
            assert!(SignedManifest::decode(&bytes[..length]).is_err(), "{length}");
        }
        // The next form is refused as one of a later version, and 2 is no form at all.
        let form = |number: u8| [&[0, number], &bytes[2..]].concat();
        assert_eq!(bytes[..2], [0, 3]);
        let error = SignedManifest::decode(&form(5)).unwrap_err().to_string();
        assert!(error.contains("a later version"), "{error}");
        assert!(SignedManifest::decode(&form(2)).is_err());
        assert!(SignedManifest::decode(&form(4)).is_err());
        match ValidManifest::check(Manifest { template_date: Some(String::new()), ..before }) {
            Err(ManifestSignatureError::Invalid(error)) => {
                assert_eq!(error.field, "template_date")
            }
            other => panic!("{other:?}"),
        }
    }
}

type Change = fn(&mut Manifest);

/// What the fourth form is needed for, one field after the other.
const LEARNERS_OPTIONS: [(&str, Change); 6] = [
    ("rslora = true", |m| m.adapter.rslora = true),
    ("rate_ratio = 4.0", |m| m.training.rate_ratio = real(4.0)),
    ("proximal = 0.01", |m| m.training.proximal = real(0.01)),
    ("local_optimizer = \"kept\"", |m| m.training.local_optimizer = LocalOptimizer::Kept),
    ("algorithm = \"halves\"", |m| m.training.algorithm = Algorithm::Halves),
    ("[server_optimizer.nesterov]", |m| {
        m.server_optimizer = ServerOptimizer::Nesterov { rate: real(0.7), momentum: real(0.9) };
    }),
];

/// Without them the bytes are those of earlier versions; with any of them they are of a form that
/// these refuse by name.
#[test]
fn the_learners_options_are_part_of_what_is_signed() {
    let (weights, date) = (Some(Weights::Equal), Some("2026-11-27".to_owned()));
    for (weights, date) in [(None, None), (weights, None), (weights, date)] {
        let before = Manifest { weights, template_date: date, ..manifest(4) };
        let mut digests = vec![before.digest().unwrap()];
        for (text, change) in LEARNERS_OPTIONS {
            let mut with = before.clone();
            change(&mut with);
            ValidManifest::check(with.clone()).unwrap();
            digests.push(with.digest().unwrap());
            let toml = toml::to_string(&with).unwrap();
            assert!(toml.contains(text), "{text} is not in\n{toml}");
            assert_eq!(toml::from_str::<Manifest>(&toml).unwrap(), with);
            assert!(!toml::to_string(&before).unwrap().contains(text));
            let signed = SignedManifest { manifest: with, signatures: Vec::new() };
            let bytes = signed.encode().unwrap();
            assert_eq!(bytes[..2], [0, 4], "{text}");
            assert_eq!(SignedManifest::decode(&bytes).unwrap(), signed);
            for length in 0..bytes.len() {
                assert!(SignedManifest::decode(&bytes[..length]).is_err(), "{text} {length}");
            }
        }
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 1 + LEARNERS_OPTIONS.len());
    }
}

/// Whatever has a place in an earlier form is not read from the fourth: no manifest has two
/// encodings.
#[test]
fn a_manifest_without_new_fields_is_not_read_from_the_fourth_form() {
    let mut with = Manifest { weights: Some(Weights::Equal), ..manifest(4) };
    with.training.rate_ratio = real(4.0);
    let bytes = SignedManifest { manifest: with, signatures: Vec::new() }.encode().unwrap();
    let ratio = 4f64.to_le_bytes();
    let at = bytes.windows(8).position(|window| window == ratio).unwrap();
    let mut plain = bytes.clone();
    plain[at..at + 8].copy_from_slice(&1f64.to_le_bytes());
    let error = SignedManifest::decode(&plain).unwrap_err().to_string();
    assert!(error.contains("canonical"), "{error}");
}

#[test]
fn options_that_an_algorithm_does_not_have_are_refused() {
    let table: [(&str, Change); 5] = [
        ("training.rate_ratio", |m| m.training.rate_ratio = real(0.0)),
        ("training.proximal", |m| m.training.proximal = real(-1.0)),
        ("training.steps_per_round", |m| {
            (m.training.algorithm, m.training.steps_per_round) = (Algorithm::Halves, 1);
        }),
        ("training.rate_ratio", |m| {
            (m.training.algorithm, m.training.rate_ratio) = (Algorithm::FedSb, real(2.0));
        }),
        ("server_optimizer.nesterov.momentum", |m| {
            m.server_optimizer = ServerOptimizer::Nesterov { rate: real(0.7), momentum: real(1.5) };
        }),
    ];
    for (field, change) in table {
        let mut wrong = manifest(4);
        change(&mut wrong);
        match ValidManifest::check(wrong) {
            Err(ManifestSignatureError::Invalid(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

/// Members are encoded on their own in join requests and in stored drafts; earlier versions wrote
/// them without a weight.
#[test]
fn a_member_alone_keeps_its_weight_and_one_of_an_earlier_version_reads() {
    for weight in [1, 2, 300, u32::MAX] {
        let mut member = manifest(4).members[1].clone();
        member.weight = weight;
        let pair = (member, 7u8);
        let bytes = postcard::to_allocvec(&pair).unwrap();
        assert_eq!(postcard::from_bytes::<(Member, u8)>(&bytes).unwrap(), pair);
        for length in 0..bytes.len() {
            assert!(postcard::from_bytes::<(Member, u8)>(&bytes[..length]).is_err(), "{length}");
        }
        let text = toml::to_string(&pair.0).unwrap();
        assert_eq!(toml::from_str::<Member>(&text).unwrap(), pair.0);
    }
    let member = manifest(4).members[1].clone();
    let before = (&member.name, member.identity_key, &member.sealing_key, &member.addresses, 7u8);
    let bytes = postcard::to_allocvec(&before).unwrap();
    assert_eq!(postcard::to_allocvec(&(&member, 7u8)).unwrap(), bytes);
    assert_eq!(postcard::from_bytes::<(Member, u8)>(&bytes).unwrap(), (member, 7));
}

#[test]
fn a_name_with_a_hidden_character_is_refused_before_anybody_is_shown_it() {
    let named = |name: &str| Member { name: name.into(), ..manifest(4).members[0].clone() };
    assert_eq!(named("Zürich 中心").check(), Ok(()));
    for (name, code) in
        [("a\u{1b}[2J", "U+001B"), ("a\u{202e}b", "U+202E"), ("a\u{200b}", "U+200B")]
    {
        let reason = named(name).check().unwrap_err().to_string();
        assert!(reason.contains(code) && !reason.contains(name), "{reason:?}");
    }
}

/// The same rules as for a manifest, before anybody has joined.
#[test]
fn terms_are_valid_or_refused_by_the_name_of_a_field() {
    type Change = fn(&mut TermsFields);
    let table: [(&str, Change); 9] = [
        ("name", |t| t.name = " ".into()),
        ("rounds", |t| t.rounds = 0),
        ("min_contributors", |t| t.min_contributors = Some(0)),
        ("min_contributors", |t| t.min_contributors = Some(2)),
        ("min_contributors", |t| t.min_contributors = Some(101)),
        ("committee_size", |t| t.committee_size = Some(0)),
        ("adapter.rank", |t| t.adapter.rank = 0),
        ("training.learning_rate", |t| t.training.learning_rate = real(-1.0)),
        ("deadlines.round_ms", |t| t.deadlines.round_ms = 10),
    ];
    let good = fedshield_fixtures::terms();
    let terms = Terms::new(good.clone()).unwrap();
    assert_eq!(toml::from_str::<Terms>(&toml::to_string(&terms).unwrap()).unwrap(), terms);
    for (field, change) in table {
        let mut fields = good.clone();
        change(&mut fields);
        assert_eq!(Terms::new(fields.clone()).unwrap_err().field, field);
        // Nor are they accepted from a file or a request.
        let text = toml::to_string(&fields).unwrap();
        let error = toml::from_str::<Terms>(&text).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

/// A draft has the bytes of a manifest with 0 for a number that is left open, as in earlier
/// versions.
#[test]
fn a_draft_keeps_what_is_open_and_becomes_the_manifest_of_its_members() {
    let fields =
        TermsFields { min_contributors: None, committee_size: None, ..fedshield_fixtures::terms() };
    let terms = Terms::new(fields).unwrap();
    let offer = fedshield_protocol::manifest::Offer { terms, ..fedshield_fixtures::offer() };
    let draft = offer.clone().with(fedshield_fixtures::members(7));
    let bytes = postcard::to_allocvec(&UncheckedDraft::from(&draft)).unwrap();
    let form = Manifest { min_contributors: 0, committee_size: 0, ..manifest(7) };
    assert_eq!(bytes, form.canonical_bytes().unwrap());
    let read: UncheckedDraft = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(read.check().as_ref(), Ok(&draft));

    let complete = draft.complete();
    assert_eq!((complete.min_contributors, complete.committee_size), (5, 5));
    ValidManifest::check(complete.clone()).unwrap();
    assert!(offer.is_kept_by(&complete));
    assert!(!offer.is_kept_by(&Manifest { rounds: 9, ..complete.clone() }));
    assert!(!offer.is_kept_by(&Manifest { min_contributors: 4, ..complete }));
}

/// What is off leaves the bytes as they were; what is on is of a form that earlier programs refuse.
#[test]
fn measuring_together_is_part_of_what_is_signed() {
    for (weights, template_date) in [
        (None, None),
        (Some(Weights::Equal), None),
        (Some(Weights::Declared), Some("2026-11-27".to_owned())),
    ] {
        let off = Manifest { weights, template_date, ..manifest(4) };
        let mean = Manifest { evaluation: Evaluation::Mean, ..off.clone() };
        assert_ne!(mean.digest().unwrap(), off.digest().unwrap());
        let text = toml::to_string(&mean).unwrap();
        assert!(text.contains("evaluation = \"mean\""), "{text}");
        assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), mean);
        assert!(!toml::to_string(&off).unwrap().contains("evaluation"));
        let signed = SignedManifest { manifest: mean.clone(), signatures: Vec::new() };
        let bytes = signed.encode().unwrap();
        assert_eq!(bytes[..2], [0, 4]);
        assert_eq!(SignedManifest::decode(&bytes).unwrap(), signed);
        for length in 0..bytes.len() {
            assert!(SignedManifest::decode(&bytes[..length]).is_err(), "{length}");
        }
    }
    let stop = Some(Stop { after: 3, fall: 2 });
    let stopping = Manifest { evaluation: Evaluation::Mean, stop, ..manifest(4) };
    let text = toml::to_string(&stopping).unwrap();
    assert!(text.contains("[stop]\nafter = 3\nfall = 2"), "{text}");
    assert_eq!(toml::from_str::<Manifest>(&text).unwrap(), stopping);
    let ends = [None, Some(1), Some(2)].map(|stopped| stopping.end(stopped));
    assert_eq!(ends, [3, 3, 3], "never after the last round");
    assert_eq!(Manifest { rounds: 9, ..stopping.clone() }.end(Some(4)), 6);
    for (change, field) in [
        (Manifest { evaluation: Evaluation::Off, ..stopping.clone() }, "stop"),
        (Manifest { stop: Some(Stop { after: 0, fall: 2 }), ..stopping.clone() }, "stop.after"),
        (Manifest { stop: Some(Stop { after: 1, fall: 10_001 }), ..stopping }, "stop.fall"),
    ] {
        match ValidManifest::check(change) {
            Err(ManifestSignatureError::Invalid(error)) => assert_eq!(error.field, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    // The fourth form of what an earlier one has a place for is not canonical.
    let mean = Manifest { weights: None, evaluation: Evaluation::Mean, ..manifest(4) };
    let signed = SignedManifest { manifest: mean, signatures: Vec::new() };
    let mut bytes = signed.encode().unwrap();
    assert_eq!(bytes[..6], [0, 4, 0, 0, 1, 0]);
    bytes[4] = 0;
    let error = SignedManifest::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("canonical"), "{error}");
}

#[test]
fn a_draft_with_terms_that_nobody_can_have_chosen_is_refused() {
    let refused = |form: Manifest| UncheckedDraft::from_form(form).check().unwrap_err().field;
    assert_eq!(refused(Manifest { rounds: 0, ..manifest(4) }), "rounds");
    let epoch = fedshield_protocol::ids::Epoch(1);
    assert_eq!(refused(Manifest { epoch, ..manifest(4) }), "epoch");
    assert_eq!(refused(manifest(101)), "members");
}
