//! The date that chat templates write: the terms say it, and every member trains with it.

use std::path::Path;

use fedshield_tests::{Federation, Program, Work, eventually};
use fedshield_train::load::open_tokenizer;

/// The shipped model with a chat template that writes a date.
fn write_model(folder: &Path) {
    std::fs::create_dir(folder).expect("a folder can be made");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
        std::fs::copy(Work::model().join(name), folder.join(name)).expect("it can be copied");
    }
    let template = "Today: {{ strftime_now('%d %B %Y') }}\n\
                    {% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}\
                    {% if add_generation_prompt %}assistant: {% endif %}";
    std::fs::write(folder.join("chat_template.jinja"), template).expect("it can be written");
}

#[test]
fn every_member_trains_with_the_date_of_the_terms() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let model = folder.path().join("model");
    write_model(&model);
    let trainer = format!("{},keep", env!("CARGO_BIN_EXE_stand-in-trainer"));
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"))
        .with("FEDSHIELD_MODEL_PATH", model.display().to_string())
        .with("FEDSHIELD_TRAINING_TRAINER", "command")
        .with("FEDSHIELD_TRAINING_COMMAND", trainer);
    let federation = Federation::start(&program, 3, |_| None);
    let homes: Vec<&Path> = federation.daemons.iter().map(|daemon| &*daemon.home).collect();
    let new = "federation new --name dated --members 3 --rounds 1 --steps 1 --batch 2 --seq 128 \
               --rank 2 --template-date 2031-02-28";
    program.run(homes[0], new.split_whitespace()).ok();
    federation.join(1);
    federation.join(2);
    federation.freeze();
    let seen = |home: &Path| home.join("examples-seen");
    assert!(eventually(|| homes.iter().all(|home| seen(home).exists())), "all members train");

    let tokenizer = open_tokenizer(&model).expect("the tokenizer reads");
    for home in &homes {
        let examples = std::fs::read_to_string(seen(home)).expect("the examples read");
        assert!(examples.lines().count() > 50, "{}", examples.lines().count());
        for line in examples.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
            let ids: Vec<u32> = serde_json::from_value(line["input_ids"].clone()).expect("ids");
            let text = tokenizer.decode(&ids, true).expect("ids are text");
            assert!(text.starts_with("Today: 28 February 2031\nuser: "), "{text:?}");
        }
        // What shows an operator the data renders them as they are trained on.
        let shown = program.run(home, ["data", "check", "--example"]).ok();
        assert!(shown.contains("28 February 2031"), "{shown}");
    }
}
