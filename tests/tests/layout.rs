//! The direction of dependencies, checked against the picture in `docs/ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What stands at the top level, beside hidden files.
const TOP_LEVEL: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "cli",
    "clippy.toml",
    "core",
    "daemon",
    "deny.toml",
    "docs",
    "he",
    "net",
    "netsim",
    "rustfmt.toml",
    "tests",
];

/// Crates that must not see an outside crate: the protocol has no clock, no runtime and no network.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("fedshield-protocol", &["tokio", "libp2p", "rand", "getrandom", "burn-tensor", "sled"]),
    ("fedshield-he", &["tokio", "libp2p", "burn-tensor", "sled"]),
    ("fedshield-train", &["tokio", "libp2p", "sled"]),
    ("fedshield-net", &["burn-tensor", "sled"]),
];

fn list(value: &Value, key: &str) -> Vec<Value> {
    value[key].as_array().cloned().unwrap_or_default()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("metadata is JSON")
}

/// Name of each of our packages, with its direct dependencies (dev-dependencies left out).
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    list(&metadata(), "packages")
        .iter()
        .map(|package| {
            let dependencies = list(package, "dependencies")
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned))
                .collect();
            (package["name"].as_str().unwrap_or_default().to_owned(), dependencies)
        })
        .collect()
}

/// Features of the encryption that only tests and measurements may have: what malicious
/// contributors do, presets that protect nothing, and the inside for measurements. A dependency of
/// another kind would bring them into what people run.
#[test]
fn what_is_installed_has_no_features_for_tests() {
    let for_tests = ["insecure-presets", "malicious-testing", "benches"];
    for package in list(&metadata(), "packages") {
        let name = &package["name"];
        for dependency in list(&package, "dependencies") {
            let features = list(&dependency, "features");
            let found =
                features.iter().any(|f| for_tests.contains(&f.as_str().unwrap_or_default()));
            assert!(!found || dependency["kind"] == "dev", "{name} enables {features:?}");
        }
        for (feature, enables) in package["features"].as_object().into_iter().flatten() {
            let enables = enables.to_string();
            assert!(
                !for_tests.iter().any(|f| enables.contains(f)),
                "{name} enables {enables} by {feature}"
            );
        }
    }
}

/// The arrows of the picture: the lines `one --> other` of the graph in `docs/ARCHITECTURE.md`.
fn picture() -> BTreeSet<(String, String)> {
    let page = include_str!("../../docs/ARCHITECTURE.md");
    let (_, graph) = page.split_once("```mermaid\ngraph").expect("the page has a graph");
    let (graph, _) = graph.split_once("```").expect("the graph ends");
    graph
        .lines()
        .filter_map(|line| line.trim().split_once(" --> "))
        .map(|(from, to)| (from.trim().to_owned(), to.trim().to_owned()))
        .collect()
}

#[test]
fn the_arrows_are_those_of_the_picture() {
    let packages = packages();
    let arrows: BTreeSet<(String, String)> = packages
        .iter()
        .flat_map(|(name, dependencies)| dependencies.iter().map(|to| (name.clone(), to.clone())))
        .filter(|(_, to)| packages.contains_key(to))
        .collect();
    let picture = picture();
    let missing: Vec<_> = arrows.difference(&picture).collect();
    let stale: Vec<_> = picture.difference(&arrows).collect();
    assert!(missing.is_empty(), "not in the picture of docs/ARCHITECTURE.md: {missing:?}");
    assert!(stale.is_empty(), "in the picture of docs/ARCHITECTURE.md only: {stale:?}");
}

/// The crates that hold the substance know nothing of one another; `net` knows the limits and ids
/// of the protocol.
#[test]
fn no_arrow_goes_up() {
    let packages = packages();
    for (name, allowed) in [
        ("fedshield-protocol", &[][..]),
        ("fedshield-he", &[]),
        ("fedshield-train", &[]),
        ("fedshield-net", &["fedshield-protocol"]),
        ("fedshieldd", &["fedshield-protocol", "fedshield-net", "fedshield-train", "fedshield-he"]),
    ] {
        for dependency in packages[name].iter().filter(|other| packages.contains_key(*other)) {
            assert!(allowed.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let packages = packages();
    for (name, forbidden) in FORBIDDEN {
        for dependency in &packages[*name] {
            assert!(!forbidden.contains(&dependency.as_str()), "{name} depends on {dependency}");
        }
    }
}

/// The fixtures are for tests and for the simulator, the tools made what ships: nothing that is
/// installed may depend on either.
#[test]
fn the_product_has_no_fixtures_and_no_tools() {
    let packages = packages();
    for (name, dependencies) in &packages {
        let test_only = ["fedshield-netsim", "fedshield-tests"].contains(&name.as_str());
        for ours in ["fedshield-fixtures", "fedshield-train-tools"] {
            assert!(test_only || !dependencies.contains(ours), "{name} depends on {ours}");
        }
    }
}

/// Programs and examples of all packages are built into the same folders: of two with one name, one
/// is lost.
#[test]
fn no_two_programs_are_built_into_one_file() {
    let mut seen = BTreeMap::new();
    for package in list(&metadata(), "packages") {
        for target in list(&package, "targets") {
            for kind in ["bin", "example"] {
                if list(&target, "kind").contains(&Value::from(kind)) {
                    let key = (kind, target["name"].to_string());
                    let other = seen.insert(key, package["name"].clone());
                    assert_eq!(other, None, "{} of {} has a twin", target["name"], package["name"]);
                }
            }
        }
    }
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    // What is tracked: beside it lie build folders and whatever else people keep in a checkout.
    let listed = Command::new("git").args(["ls-files"]).current_dir(root).output();
    let listed = listed.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let Some(listed) = listed else {
        for name in TOP_LEVEL {
            assert!(std::path::Path::new(root).join(name).exists(), "{name} is missing");
        }
        return;
    };
    let found: BTreeSet<&str> = core::str::from_utf8(&listed)
        .expect("names are text")
        .lines()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let agreed: BTreeSet<&str> = TOP_LEVEL.iter().copied().collect();
    let added: Vec<_> = found.difference(&agreed).collect();
    let missing: Vec<_> = agreed.difference(&found).collect();
    assert!(added.is_empty() && missing.is_empty(), "added {added:?}, missing {missing:?}");
}
