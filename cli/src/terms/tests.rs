//! Flags, presets and files, and what is derived from them.

use fedshield_protocol::manifest::PruningRule;

use super::*;

fn small(members: u16, flags: &TermsFlags) -> Terms {
    terms("trial", TermsPreset::Small, members, flags).unwrap()
}

#[test]
fn the_encryption_preset_follows_bits_and_members() {
    assert_eq!(small(4, &TermsFlags::default()).encryption.preset, "rlwe-sum/b16/n16");
    assert_eq!(small(17, &TermsFlags::default()).encryption.preset, "rlwe-sum/b16/n32");
    let flags = TermsFlags { bits: Some("8".into()), ..TermsFlags::default() };
    assert_eq!(small(100, &flags).encryption.preset, "rlwe-sum/b8/n128");
    let failure = terms("x", TermsPreset::Small, 101, &flags).unwrap_err();
    assert_eq!(failure.place.as_deref(), Some("--members"));
}

#[test]
fn two_members_are_refused() {
    let failure = terms("x", TermsPreset::Small, 2, &TermsFlags::default()).unwrap_err();
    assert_eq!(failure.code, ErrorCode::TooFewMembers);
}

#[test]
fn flags_change_the_preset_and_what_follows_from_it() {
    let flags = TermsFlags {
        rank: Some(4),
        lr: Some(0.01),
        steps: Some(5),
        rounds: Some(20),
        ..TermsFlags::default()
    };
    let terms = small(4, &flags);
    assert_eq!((terms.adapter.rank, terms.adapter.alpha), (4, 8));
    assert_eq!(terms.training.learning_rate_final.get(), 0.001);
    assert_eq!(terms.encryption.clip.get(), 1.0);
    assert_eq!((terms.pruning.start_round, terms.pruning.end_round), (4, 20));
}

#[test]
fn the_papers_pruning_is_a_flag() {
    assert_eq!(small(4, &TermsFlags::default()).pruning.rule, PruningRule::Shared);
    let flags = TermsFlags { pruning: Some(PruningName::Local), ..TermsFlags::default() };
    assert_eq!(small(4, &flags).pruning.rule, PruningRule::Local);
}

#[test]
fn numbers_that_make_no_sense_name_their_flag() {
    for (flags, flag) in [
        (TermsFlags { lr: Some(-1.0), ..TermsFlags::default() }, "--lr"),
        (TermsFlags { lr: Some(f64::NAN), ..TermsFlags::default() }, "--lr"),
        (TermsFlags { clip: Some(0.0), ..TermsFlags::default() }, "--clip"),
        (TermsFlags { sparsity: Some(1.5), ..TermsFlags::default() }, "--sparsity"),
    ] {
        let failure = terms("x", TermsPreset::Small, 4, &flags).unwrap_err();
        assert_eq!(failure.place.as_deref(), Some(flag));
    }
}

#[test]
fn terms_survive_a_toml_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("terms.toml");
    let written = terms("paper", TermsPreset::Paper, 30, &TermsFlags::default()).unwrap();
    std::fs::write(&path, toml::to_string_pretty(&written).unwrap()).unwrap();
    assert_eq!(terms_from_file(&path).unwrap(), written);
    std::fs::write(&path, "name = \"x\"\nfoo = 1\n").unwrap();
    let failure = terms_from_file(&path).unwrap_err();
    assert!(failure.place.unwrap().contains("terms.toml:"), "{}", failure.what);
}

/// The date stands in the terms from the beginning, whoever renders with it later.
#[test]
fn the_date_of_templates_is_todays_unless_a_flag_or_a_file_says_otherwise() {
    let today = TemplateDate::today().to_string();
    let dated = small(4, &TermsFlags::default());
    // The day may have changed meanwhile.
    let all = [Some(today), Some(TemplateDate::today().to_string())];
    assert!(all.contains(&dated.template_date));
    let date = "2026-02-28".parse().unwrap();
    let flags = TermsFlags { template_date: Some(date), ..TermsFlags::default() };
    let dated = small(4, &flags);
    assert_eq!(dated.template_date.as_deref(), Some("2026-02-28"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("terms.toml");
    let text = toml::to_string(&dated).unwrap();
    std::fs::write(&path, &text).unwrap();
    assert_eq!(terms_from_file(&path).unwrap().template_date, dated.template_date);
    // A file of an earlier version says nothing.
    std::fs::write(&path, text.replace("template_date = \"2026-02-28\"\n", "")).unwrap();
    let read = terms_from_file(&path).unwrap();
    assert!(read.template_date.as_ref().is_some_and(|date| date.len() == 10));
}
