//! `adapter chat` on the built program: in a terminal (one that util-linux's `script` makes),
//! through a pipe, and with adapters and input that it cannot use.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fedshield_train::Valid;
use fedshield_train::adapter::export_peft;
use fedshield_train::federated::{AdapterLayout, AdapterSpec, FederatedSettings, GlobalAdapter};
use fedshield_train::load::open_config;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets/base")
}

/// An adapter for a model, whose B is not zero.
fn write_adapter(folder: &Path, model: &Path) {
    let config = open_config(model).unwrap();
    let settings = Valid::<FederatedSettings>::default();
    let layout = AdapterLayout::new(&config, &AdapterSpec::default()).unwrap();
    let global = GlobalAdapter::new(layout, &settings, [7; 32]);
    let values: Vec<f32> =
        (0..global.trained_len()).map(|i| 0.02 * ((i % 7) as f32 - 3.0)).collect();
    export_peft(folder, &global.with_trained(&values).unwrap(), "base").unwrap();
}

/// The base model with a context so long that an answer lasts.
fn patient_base(folder: &Path) -> PathBuf {
    let out = folder.join("patient");
    std::fs::create_dir(&out).unwrap();
    for file in std::fs::read_dir(base()).unwrap().flatten() {
        std::fs::copy(file.path(), out.join(file.file_name())).unwrap();
    }
    let path = out.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let text =
        text.replace("\"max_position_embeddings\": 256", "\"max_position_embeddings\": 8192");
    std::fs::write(path, text).unwrap();
    out
}

/// The program in a terminal.
struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Arc<Mutex<Vec<u8>>>,
    /// What was shown up to here has been looked at.
    seen: usize,
}

impl Terminal {
    fn chat(folder: &Path, arguments: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_fedshield-cli");
        let line = format!("{program} adapter chat {arguments} --device cpu");
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "dumb")
            .env("FEDSHIELD_HOME", folder.join("home"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script of util-linux runs");
        let (shown, keys) = (Arc::default(), child.stdin.take());
        let mut output = child.stdout.take().unwrap();
        let sink: Arc<Mutex<Vec<u8>>> = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = output.read(&mut piece) {
                if count == 0 {
                    return;
                }
                sink.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { child, keys, shown, seen: 0 }
    }

    fn press(&mut self, keys: &[u8]) {
        let to = self.keys.as_mut().unwrap();
        to.write_all(keys).and_then(|()| to.flush()).unwrap();
    }

    /// Waits until `text` is shown behind what has been looked at; returns all up to its end.
    fn until(&mut self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            // In bytes: an answer may be cut inside a character.
            let shown = self.shown.lock().unwrap()[self.seen..].to_vec();
            if let Some(at) = shown.windows(text.len()).position(|run| run == text.as_bytes()) {
                let part = &shown[..at + text.len()];
                self.seen += part.len();
                return String::from_utf8_lossy(part).into_owned();
            }
            let shown = String::from_utf8_lossy(&shown);
            assert!(begin.elapsed() < Duration::from_secs(180), "no {text:?} in {shown:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn code(mut self) -> i32 {
        let code = self.child.wait().unwrap().code().unwrap();
        drop(self.keys.take());
        code
    }
}

#[test]
fn two_turns_commands_and_the_end_of_input() {
    let folder = tempfile::tempdir().unwrap();
    write_adapter(&folder.path().join("adapter"), &base());
    let model = base();
    let mut terminal = Terminal::chat(
        folder.path(),
        &format!("adapter --model {} --template vicuna --max-tokens 4", model.display()),
    );
    terminal.until("> ");
    for question in ["What is the fee for a card?", "And for two?"] {
        terminal.press(format!("{question}\n").as_bytes());
        let answer = terminal.until("\n> ");
        assert!(answer.contains("cut at --max-tokens"), "{answer:?}");
    }
    terminal.press(b"/reset\n");
    assert!(
        terminal.until("> ").contains("no command: there are /new"),
        "unknown commands are no questions"
    );
    // What a keyboard with another encoding sends.
    terminal.press(b"caf\xe9?\n");
    assert!(terminal.until("> ").contains("not UTF-8"));
    terminal.press(b"/new\n\n");
    terminal.until("> ");
    terminal.until("> ");
    terminal.press(b"/etc/passwd: what is it?\n");
    terminal.until("cut at --max-tokens");
    terminal.until("> ");
    // More than the context of 256 tokens; the chat goes on.
    for _ in 0..3 {
        terminal.press("a long story of a bank and a barn, ".repeat(20).as_bytes());
    }
    terminal.press(b"\n");
    assert!(terminal.until("\n> ").contains("context is full"));
    terminal.press(b"/new\nA?\n");
    terminal.until("cut at --max-tokens");
    terminal.until("> ");
    terminal.press(b"\x04");
    assert_eq!(terminal.code(), 0);
}

#[test]
fn an_interrupt_ends_the_answer_and_between_answers_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let model = patient_base(folder.path());
    let drawn = "--temperature 100 --max-tokens 8000 --template vicuna";
    let mut terminal =
        Terminal::chat(folder.path(), &format!("--model {} {drawn}", model.display()));
    terminal.until("> ");
    terminal.press(b"Tell me a story.\n");
    // The terminal's echo of the question, then the first of the answer.
    terminal.until("story.");
    terminal.until("\n");
    while terminal.shown.lock().unwrap().len() < terminal.seen + 20 {
        std::thread::sleep(Duration::from_millis(2));
    }
    terminal.press(b"\x03");
    terminal.until("(ended by Ctrl-C)");
    terminal.until("> ");
    // The chat goes on, and knows what was said.
    terminal.press(b"/new\n");
    terminal.until("> ");
    terminal.press(b"\x03");
    assert_eq!(terminal.code(), 130);
}

#[test]
fn both_models_answer_under_their_names() {
    let folder = tempfile::tempdir().unwrap();
    write_adapter(&folder.path().join("adapter"), &base());
    let arguments =
        format!("adapter --model {} --template vicuna --max-tokens 6 --compare", base().display());
    let mut terminal = Terminal::chat(folder.path(), &arguments);
    terminal.until("> ");
    for _ in 0..2 {
        terminal.press(b"Who keeps the keys?\n");
        terminal.until("base");
        terminal.until("with adapter");
        terminal.until("\n> ");
    }
    terminal.press(b"/exit\n");
    assert_eq!(terminal.code(), 0);
}

fn piped(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fedshield-cli"))
        .args(["adapter", "chat", "--device", "cpu"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("FEDSHIELD_HOME", folder.join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // A program that ends early closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_gets_the_answers_alone_and_bad_lines_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = base().display().to_string();
    let arguments = ["--model", &model, "--template", "vicuna", "--max-tokens", "3"];
    let output = piped(folder.path(), &arguments, b"A card?\n\nA barn?");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shown.matches("cut at --max-tokens").count(), 2, "{shown:?}");
    assert!(!shown.contains("> ") && !shown.contains('\u{1b}'), "{shown:?}");
    let long = vec![b'a'; (16 << 20) + 9];
    for (input, word) in [(&b"caf\xe9?\n"[..], "UTF-8"), (&long, "16 MiB")] {
        let output = piped(folder.path(), &arguments, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(word) && error.contains("next:"), "{error}");
    }
    // A slash is no command there, and nothing is asked at the end of input.
    assert!(piped(folder.path(), &arguments, b"/etc\n").status.success());
    assert!(piped(folder.path(), &arguments, b"").stdout.is_empty());
}

#[test]
fn an_adapter_that_does_not_fit_ends_before_the_first_question() {
    let folder = tempfile::tempdir().unwrap();
    let parity = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/tests/parity");
    let (model, other) = (base().display().to_string(), parity.join("llama/adapter"));
    let other = other.display().to_string();
    for (adapter, word) in [("gone", "adapter_config.json"), (other.as_str(), "adapter")] {
        let output = piped(folder.path(), &[adapter, "--model", &model], b"A card?\n");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(21), "{error}");
        assert!(error.contains(word) && output.stdout.is_empty(), "{error}");
    }
}
