use super::*;

fn list(names: &[&str]) -> Option<OneOrMany<String>> {
    Some(OneOrMany::Many(names.iter().map(|name| (*name).to_owned()).collect()))
}

fn text(name: &str) -> Option<OneOrMany<String>> {
    Some(OneOrMany::One(name.to_owned()))
}

const Q3: &str = "model.layers.3.self_attn.q_proj";

#[test]
fn lists_match_ends_at_dots_and_only_the_wanted_layers() {
    let layers = Some(OneOrMany::Many(vec![3, 5]));
    let targets = Targets::new(list(&["q_proj", "mlp.up_proj"]), None, layers, None).unwrap();
    assert!(targets.contain(Q3).unwrap());
    assert!(!targets.contain("model.layers.4.self_attn.q_proj").unwrap());
    assert!(!targets.contain("model.layers.3.self_attn.xq_proj").unwrap());
    assert!(targets.contain("model.layers.5.mlp.up_proj").unwrap());
    let whole = Targets::new(list(&[Q3]), None, Some(OneOrMany::One(0)), None).unwrap();
    assert!(whole.contain(Q3).unwrap());
    let other = Targets::new(list(&["q_proj"]), None, Some(OneOrMany::One(3)), text("h"));
    assert!(!other.unwrap().contain(Q3).unwrap());
}

#[test]
fn expressions_match_the_whole_name_and_excludes_come_first() {
    let targets = Targets::new(text(r".*\.(?!1\.)\d+\..*[qv]_proj"), None, None, None).unwrap();
    assert!(targets.contain(Q3).unwrap());
    assert!(!targets.contain("model.layers.1.self_attn.q_proj").unwrap());
    assert!(!Targets::new(text("q_proj"), None, None, None).unwrap().contain(Q3).unwrap());
    let all = Targets::new(text("All-Linear"), text(r".*\.mlp\..*"), None, None).unwrap();
    assert!(all.contain(Q3).unwrap() && !all.contain("lm_head").unwrap());
    assert!(!all.contain("model.layers.3.mlp.up_proj").unwrap());
}

#[test]
fn the_first_pattern_that_matches_counts() {
    let entries = vec![
        (r"layers\.3\..*q_proj".to_owned(), 1),
        ("q_proj".to_owned(), 2),
        ("model.layers.0.mlp.up_proj".to_owned(), 3),
        ("k_proj|v_proj".to_owned(), 4),
    ];
    let patterns = Patterns::new("rank_pattern", entries).unwrap();
    let of = |name: &str| patterns.of(name).unwrap();
    assert_eq!(of(Q3), Some(1));
    assert_eq!(of("model.layers.2.self_attn.q_proj"), Some(2));
    assert_eq!(of("model.layers.0.mlp.up_proj"), Some(3));
    assert_eq!(of("model.layers.0.self_attn.v_proj"), Some(4));
    assert_eq!(of("model.layers.0.self_attn.xq_proj"), None);
}

#[test]
fn hostile_patterns_end() {
    let targets = Targets::new(text(r"(?=(a+)+$)(a+)+b"), None, None, None).unwrap();
    assert!(targets.contain(&"a".repeat(64)).is_err());
    assert!(Targets::new(text(&"a".repeat(10_000)), None, None, None).is_err());
    assert!(Targets::new(text("(?:a{1000}){1000}"), None, None, None).is_err());
    assert!(Targets::new(text("("), None, None, None).is_err());
}
