//! A program for `trainer = "command"` that trains nothing: it adds a small constant to every
//! trained value, or violates the contract of such programs in one way.
//! Usage: `stand-in-trainer MODE REQUEST`.

#![allow(clippy::print_stdout, reason = "progress lines go to standard output")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fedshield_train::Valid;
use fedshield_train::adapter::{PeftAdapter, export_peft};
use fedshield_train::federated::{Algorithm, Factor, FederatedSettings, GlobalAdapter};
use fedshield_train::load::{LoadedModel, SafetensorsSource, write_safetensors};
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, request] = arguments.as_slice() else { return ExitCode::from(2) };
    let text = std::fs::read_to_string(request).expect("the request can be read");
    let request: Value = serde_json::from_str(&text).expect("the request is JSON");
    let path = |key: &str| PathBuf::from(request[key].as_str().expect("the request names paths"));
    match mode.as_str() {
        "fail" => {
            eprintln!("no GPU left");
            return ExitCode::from(3);
        }
        "hang" => hang(),
        "nan-loss" => {
            println!(r#"{{"step": 1, "loss": NaN}}"#);
            hang();
        }
        "inf-loss" => {
            println!(r#"{{"step": 1, "loss": inf}}"#);
            hang();
        }
        "nothing" => return ExitCode::SUCCESS,
        "keep" => {
            // In place at once: tests wait for the file.
            std::fs::copy(path("examples"), "examples-copied").expect("they can be copied");
            std::fs::rename("examples-copied", "examples-seen").expect("it can be renamed");
            return ExitCode::from(3);
        }
        _ => {}
    }
    if request["purpose"] == "evaluate" && mode != "knows-no-evaluate" {
        // The base model has no adapter: 4 nats; with one, 3.
        let loss = if request["adapter"].is_null() { 4.0 } else { 3.0 };
        std::fs::create_dir(path("result")).expect("the result can be written");
        std::fs::write(path("result").join("loss.json"), format!("{{\"loss\": {loss}}}"))
            .expect("the result can be written");
        return ExitCode::SUCCESS;
    }
    let steps = request["steps"].as_u64().expect("the request names steps");
    for step in 1..=steps {
        let loss = 2.0 / step as f64;
        println!(r#"{{"step": {step}, "loss": {loss}, "tokens_per_second": 10.0}}"#);
    }
    let trained: Vec<&str> =
        request["trained"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let examples = std::fs::read_to_string(path("examples")).expect("the examples can be read");
    assert!(examples.lines().all(|line| line.contains("\"labels\":[-100")), "labels are masked");
    if request["adapter"].is_null() {
        return ExitCode::SUCCESS;
    }
    let moved = moved(&path("model"), &path("adapter"), |factor| match (factor, mode.as_str()) {
        (_, "frozen") => true,
        (Factor::A, _) => trained.contains(&"lora_A"),
        (Factor::B | Factor::R, _) => trained.contains(&"lora_B"),
    });
    export_peft(&path("result"), &moved, "base").expect("the result can be written");
    damage(mode, &path("result"));
    ExitCode::SUCCESS
}

/// Leaves a child process running, writes its id to the folder that it was started in, and waits to
/// be killed.
fn hang() -> ! {
    let child = std::process::Command::new("sleep").arg("600").spawn().expect("sleep starts");
    std::fs::write("trainer-child", child.id().to_string()).expect("the child can be noted");
    std::thread::sleep(std::time::Duration::from_secs(600));
    std::process::exit(0)
}

fn moved(model: &Path, adapter: &Path, moves: impl Fn(Factor) -> bool) -> GlobalAdapter {
    let config = LoadedModel::open(model).expect("the model can be read").config;
    let peft = PeftAdapter::open(adapter).expect("the adapter can be read");
    let settings = Valid::new(FederatedSettings {
        adapter: peft.spec().expect("one rank and alpha"),
        algorithm: Algorithm::FedIt,
        ..FederatedSettings::default()
    })
    .expect("the settings are valid");
    let global = peft.global(&config, &settings).expect("the adapter fits the model");
    let mut values = global.trained_values();
    let (a, b) = values.split_at_mut(global.layout().len(Factor::A));
    for (factor, values) in [(Factor::A, a), (Factor::B, b)] {
        if moves(factor) {
            values.iter_mut().for_each(|value| *value += 1e-3);
        }
    }
    global.with_trained(&values).expect("as many values")
}

/// Damages the result as the mode says.
fn damage(mode: &str, result: &Path) {
    let path = result.join("adapter_model.safetensors");
    let mut tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)> = {
        let source = SafetensorsSource::open_file(&path).expect("the result can be read");
        let read = |name: &str| source.read_any(name).expect("the tensor can be read");
        source.names().map(|name| (name.to_owned(), read(name))).collect()
    };
    let Some(name) = tensors.keys().find(|name| name.contains("lora_B")).cloned() else { return };
    match mode {
        "nan" => tensors.get_mut(&name).expect("it is there").1[0] = f32::NAN,
        "missing" => drop(tensors.remove(&name)),
        "shape" => {
            let (shape, values) = tensors.get_mut(&name).expect("it is there");
            *shape = vec![values.len()];
        }
        _ => return,
    }
    std::fs::remove_file(&path).expect("the result can be replaced");
    write_safetensors(&path, &tensors).expect("the result can be written");
}
