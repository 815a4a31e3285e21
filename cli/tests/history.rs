//! What people do with a federation's history and with evidence, on the built program, without a
//! daemon: reading, pinning, and tying an adapter to it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fedshield_fixtures::history::{founded, history, sign};
use fedshield_fixtures::key;
use fedshield_protocol::ids::{Digest, MemberIndex, RecordDigest, Round};
use fedshield_protocol::ledger::{self, record_digest};
use fedshield_protocol::manifest::{Manifest, SignedManifest, ValidManifest, sign_founding};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::wire::Body;
use fedshield_protocol::wire::evidence::{Evidence, EvidenceFile};
use fedshield_train::Valid;
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::LoadedModel;
use fedshield_train::model::Projection;
use serde_json::Value;

fn cli(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedshield-cli"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .env("FEDSHIELD_HOME", folder.join("home"))
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn good(folder: &Path, line: &str) -> String {
    let output = cli(folder, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The program refuses, with this exit code, and says why.
fn bad(folder: &Path, line: &str, code: i32) -> String {
    let output = cli(folder, line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{line}: {said}");
    assert!(output.stdout.is_empty() && said.contains("next:"), "{line}: {said}");
    said
}

/// The adapter of a federation on the small base model, and its canonical bytes.
fn adapter() -> (GlobalAdapter, Vec<u8>) {
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/train/assets/base");
    let model = LoadedModel::open(Path::new(base)).unwrap();
    let spec = AdapterSpec {
        rank: 2,
        alpha: 4.0,
        target_modules: [Projection::QProj, Projection::VProj].to_vec(),
        ..AdapterSpec::default()
    };
    let layout = AdapterLayout::new(&model.config, &spec).unwrap();
    let settings =
        Valid::new(FederatedSettings { adapter: spec, ..FederatedSettings::default() }).unwrap();
    let adapter = GlobalAdapter::new(layout, &settings, [3; 32]);
    let bytes = adapter.to_bytes();
    (adapter, bytes)
}

/// An export in `folder` as `ledger export` makes it; the digests of its records.
fn exported(folder: &Path, rounds: u64) -> (SignedManifest, Vec<RecordDigest>) {
    let (adapter, canonical) = adapter();
    let signed = founded(4, 5);
    let records = history(&signed, rounds, ObjectRef::of(&canonical));
    fs::write(folder.join("ledger.fsl"), ledger::encode(&records).unwrap()).unwrap();
    fs::write(folder.join("manifest.signed"), signed.encode().unwrap()).unwrap();
    fs::write(folder.join("adapter.canonical"), canonical).unwrap();
    export_peft(&folder.join("adapter"), &adapter, "base").unwrap();
    (signed, records.iter().map(|it| record_digest(&it.record)).collect())
}

/// A history that was cut at a record's end verifies like the whole one, and says so; a pin finds
/// it.
#[test]
fn a_history_that_was_cut_is_found_by_a_pin_and_says_that_it_could_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (signed, heads) = exported(folder, 9);
    let (last, earlier) = (heads[8], heads[4]);
    let said = good(folder, "ledger verify ledger.fsl");
    for words in [
        "it ends before the manifest's rounds: 3 of 5 are applied in it",
        "a history with fewer records would verify as well",
        "anyone could have made this history",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let federation = ValidManifest::founded(signed).unwrap().federation();
    let pinned =
        format!("ledger verify ledger.fsl --head {last} --at-least 9 --federation {federation}");
    let said = good(folder, &pinned);
    assert!(!said.contains("fewer records") && !said.contains("anyone could"), "{said}");
    good(folder, &format!("ledger verify ledger.fsl --head {earlier}"));
    let json: Value =
        serde_json::from_str(&good(folder, "ledger verify ledger.fsl --json")).unwrap();
    assert_eq!(
        (&json["records"], &json["rounds"], json["remarks"].as_array().unwrap().len()),
        (&9.into(), &5.into(), 3)
    );

    let whole = ledger::decode(&fs::read(folder.join("ledger.fsl")).unwrap()).unwrap();
    for records in [0, 1, 5, 8] {
        fs::write(folder.join("ledger.fsl"), ledger::encode(&whole[..records]).unwrap()).unwrap();
        good(folder, "ledger verify ledger.fsl");
        let said = bad(folder, &format!("ledger verify ledger.fsl --head {last}"), 50);
        assert!(said.contains("it ends before that record, or is another history"), "{said}");
        bad(folder, "ledger verify ledger.fsl --at-least 9", 50);
        good(folder, &format!("ledger verify ledger.fsl --at-least {records}"));
        let earlier = format!("ledger verify ledger.fsl --head {earlier}");
        assert_eq!(cli(folder, &earlier).status.success(), records >= 5);
    }
    // A whole history says nothing of the manifest's rounds.
    let (_, _) = exported(folder, 15);
    assert!(!good(folder, "ledger verify ledger.fsl").contains("ends before"));
}

#[test]
fn the_exported_adapter_is_tied_to_the_record_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    exported(folder, 4);
    let verify = "ledger verify ledger.fsl --adapter adapter";
    let said = good(folder, verify);
    assert!(said.contains("holds the recorded adapter, bit for bit"), "{said}");
    // One bit of one value of one tensor.
    let weights = folder.join("adapter/adapter_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&weights, &changed).unwrap();
    let said = bad(folder, verify, 50);
    assert!(said.contains("is not the one of the recorded adapter"), "{said}");
    fs::write(&weights, &whole).unwrap();
    good(folder, verify);
    // Another scale in the configuration means another adapter.
    let config = folder.join("adapter/adapter_config.json");
    let text = fs::read_to_string(&config).unwrap();
    let scaled = text.replace("\"lora_alpha\": 4", "\"lora_alpha\": 8");
    assert_ne!(scaled, text);
    fs::write(&config, scaled).unwrap();
    assert!(bad(folder, verify, 50).contains("rank, alpha"));
    fs::write(&config, text).unwrap();
    // Canonical bytes that are not the recorded ones, however well they fit the folder.
    let canonical = folder.join("adapter.canonical");
    let bytes = fs::read(&canonical).unwrap();
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&canonical, other).unwrap();
    assert!(bad(folder, verify, 50).contains("not those of the adapter that the ledger records"));
    fs::remove_file(&canonical).unwrap();
    assert_eq!(cli(folder, verify).status.code(), Some(2));
}

#[test]
fn records_are_listed_in_pages_and_shown_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_, heads) = exported(folder, 9);
    let said = good(folder, "ledger show --file ledger.fsl");
    assert_eq!(said.lines().count(), 10, "{said}");
    let page: Value = serde_json::from_str(&good(
        folder,
        "ledger show --file ledger.fsl --from 3 --last 2 --json",
    ))
    .unwrap();
    let rounds: Vec<u64> =
        page.as_array().unwrap().iter().map(|it| it["round"].as_u64().unwrap()).collect();
    assert_eq!(rounds, [3, 4]);
    let one = good(folder, "ledger show 3 --file ledger.fsl");
    for words in ["applied", "member-0", "view 0, by member-0", &heads[3].to_string(), "none"] {
        assert!(one.contains(words), "{words}: {one}");
    }
    assert!(bad(folder, "ledger show 9 --file ledger.fsl", 2).contains("there are 9 records"));
    bad(folder, "ledger show --file gone.fsl", 2);
}

fn two_records(signed: &SignedManifest, member: u16) -> EvidenceFile {
    let manifest = ValidManifest::founded(signed.clone()).unwrap();
    let (member_index, round) = (MemberIndex(member), Round(3));
    let said = |byte: u8| {
        let body = Body::RecordSignature(RecordDigest([byte; 32]));
        let signature = sign(&manifest, round, member, &body);
        (body, signature)
    };
    let evidence = Evidence::equivocation(member_index, round, said(1), said(2));
    EvidenceFile { federation: manifest.federation(), evidence }
}

#[test]
fn evidence_verifies_with_the_manifest_alone_and_not_a_byte_of_it_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (signed, _) = exported(folder, 1);
    let bytes = two_records(&signed, 2).encode().unwrap();
    fs::write(folder.join("proof.fse"), &bytes).unwrap();
    let verify = "evidence verify proof.fse --manifest manifest.signed";
    let said = good(folder, verify);
    for words in [
        "verified",
        "member-2",
        "two different messages of kind record signature",
        "equivocation:",
        "anyone could have made",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let json: Value = serde_json::from_str(&good(folder, &format!("{verify} --json"))).unwrap();
    assert_eq!(
        (&json["member"], &json["round"], &json["rule"]),
        (&"member-2".into(), &3.into(), &"equivocation".into())
    );
    // The library is asked about every byte; the program about a few.
    for at in (0..bytes.len()).step_by(41) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(folder.join("proof.fse"), changed).unwrap();
        bad(folder, verify, 50);
    }
    // Another federation with the same members, and evidence that names the right one but was
    // signed for the other.
    let manifest = Manifest { name: "another".into(), ..signed.manifest.clone() };
    let signatures = (0..4).map(|i| sign_founding(&manifest, &key(i)).unwrap().1).collect();
    let other = SignedManifest { manifest, signatures };
    let foreign = two_records(&other, 2);
    fs::write(folder.join("proof.fse"), foreign.encode().unwrap()).unwrap();
    assert!(bad(folder, verify, 50).contains("another federation"));
    let own = ValidManifest::founded(signed).unwrap().federation();
    let renamed = EvidenceFile { federation: own, ..foreign };
    fs::write(folder.join("proof.fse"), renamed.encode().unwrap()).unwrap();
    assert!(bad(folder, verify, 50).contains("is not signed by member 2"));
    fs::write(folder.join("proof.fse"), &bytes).unwrap();
    let id = Digest([1; 32]);
    bad(folder, &format!("{verify} --federation {id}"), 50);
    good(folder, &format!("{verify} --federation {own}"));
    fs::write(folder.join("manifest.signed"), "none").unwrap();
    bad(folder, verify, 50);
    bad(folder, "evidence verify proof.fse --manifest gone", 2);
    bad(folder, "evidence verify gone.fse", 2);
    // Without a node there is nothing to list.
    bad(folder, "evidence list", 3);
    bad(folder, "evidence lift member-2", 3);
}
