//! Tries a device in a child process. GPU drivers fail in ways that a library cannot catch: the
//! CUDA backend panics in a thread of its own if there is no driver, wgpu can hang for a minute,
//! and a driver can crash. The child is this program again, told by an environment variable to try
//! a device and do nothing else.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use burn_tensor::{Device, Tensor, TensorData};

use super::device::ComputeDevice;
use crate::model::to_vec;

/// Tells a child which device to try.
const VARIABLE: &str = "FEDSHIELD_PROBE_DEVICE";
/// Prefix of the device name: only a real GPU counts, not a driver that computes on the processor.
const HARDWARE: &str = "hardware:";
/// A cold start compiles a few kernels; a driver that takes longer than this is considered hung.
const LIMIT: Duration = Duration::from_secs(30);

static ANSWERS: AtomicBool = AtomicBool::new(false);

/// Must be called first in `main` of a program that uses GPUs. In a child process that is to try a
/// device, it does so and exits. Otherwise it records that this program can be started as such a
/// child, and returns.
pub fn answer_device_probe() {
    let Ok(asked) = std::env::var(VARIABLE) else {
        ANSWERS.store(true, Ordering::Relaxed);
        return;
    };
    let (name, hardware) = match asked.strip_prefix(HARDWARE) {
        Some(name) => (name, true),
        None => (asked.as_str(), false),
    };
    // If a driver is missing, backends panic first in a thread of their own with the cause, then in
    // the caller with a consequence. The operator needs the cause.
    let cause = Arc::new(OnceLock::new());
    let first = Arc::clone(&cause);
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let _ = first.set(in_short(text.unwrap_or("it panicked")));
    }));
    let outcome = std::panic::catch_unwind(|| attempt(name, hardware));
    let reason = match outcome {
        Ok(Ok(())) => std::process::exit(0),
        Ok(Err(reason)) => reason,
        Err(_) => cause.get().cloned().unwrap_or_default(),
    };
    eprintln!("{reason}");
    std::process::exit(1)
}

/// A backend's panic message in one line.
fn in_short(text: &str) -> String {
    if text.contains("\"cuda\" shared library") {
        return "the NVIDIA driver's library libcuda.so.1 was not found: install the driver, or name its folder in \
                LD_LIBRARY_PATH"
            .to_owned();
    }
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

/// Whether this program called [`answer_device_probe`].
pub(super) fn answers() -> bool {
    ANSWERS.load(Ordering::Relaxed)
}

/// Tries a device in a child process; the error is human-readable.
pub(super) fn run(device: ComputeDevice, hardware: bool) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| format!("finding this program: {e}"))?;
    let prefix = if hardware { HARDWARE } else { "" };
    let child = Command::new(program)
        .env(VARIABLE, format!("{prefix}{}", device.name()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("starting a process to try it: {e}"))?;
    judge(child, LIMIT)
}

/// Waits for the child, at most `limit`; if it failed, the error has the last line of its error
/// output.
fn judge(mut child: Child, limit: Duration) -> Result<(), String> {
    let (send, receive) = mpsc::sync_channel(1);
    let errors = child.stderr.take();
    std::thread::spawn(move || {
        let lines = errors.map(|errors| BufReader::new(errors).lines());
        let lines = lines.into_iter().flatten().map_while(Result::ok);
        let last = lines.filter(|line| !line.trim().is_empty()).last();
        // After the limit nobody receives this.
        let _ = send.send(last.unwrap_or_default());
    });
    // The error output is closed when the child exits.
    let Ok(last) = receive.recv_timeout(limit) else {
        let _ = child.kill();
        let _ = child.wait();
        let seconds = limit.as_secs();
        return Err(format!("it did not answer within {seconds} s: is its driver installed?"));
    };
    let status = child.wait().map_err(|e| format!("waiting for the process that tries it: {e}"))?;
    match status.success() {
        true => Ok(()),
        false if last.is_empty() => Err(format!("trying it failed ({status})")),
        false => Err(format!("trying it failed ({status}): {}", last.trim())),
    }
}

/// Runs in the child: a product on the device, and an exponential and a logarithm, for which CUDA
/// needs files of its toolkit that a product does not. The results are compared with the expected
/// values.
fn attempt(name: &str, hardware: bool) -> Result<(), String> {
    let device = ComputeDevice::parse(name).map_err(|e| e.to_string())?;
    let device = device.device().map_err(|e| e.to_string())?;
    if hardware && !is_hardware(&device) {
        return Err("the driver computes on the processor".to_owned());
    }
    let values: Vec<f32> = (0..64).map(|i| i as f32 / 8.0).collect();
    let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [8, 8]), &device);
    let identity = Tensor::<2>::eye(8, &device);
    let twice = to_vec(x.clone().matmul(identity).mul_scalar(2.0));
    let exact = twice.len() == 64 && twice.iter().enumerate().all(|(i, y)| *y == i as f32 / 4.0);
    let there = to_vec(x.exp().log());
    let close = there.iter().zip(&values).all(|(y, value)| (y - value).abs() < 1e-3);
    match exact && there.len() == 64 && close {
        true => Ok(()),
        false => Err("it computes wrong results".to_owned()),
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn is_hardware(device: &Device) -> bool {
    device.identity().is_some_and(|identity| identity.physical.is_some())
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn is_hardware(_: &Device) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap()
    }

    #[test]
    fn a_child_that_succeeds_fails_or_hangs() {
        let long = Duration::from_secs(60);
        assert_eq!(judge(shell("echo warning >&2"), long), Ok(()));
        let error = judge(shell("echo first >&2; echo no driver >&2; exit 3"), long).unwrap_err();
        assert!(error.contains("no driver") && !error.contains("first"), "{error}");
        let error = judge(shell("kill -9 $$"), long).unwrap_err();
        assert!(error.contains("signal"), "{error}");
        let error = judge(shell("exec sleep 600"), Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("did not answer"), "{error}");
    }

    #[test]
    fn a_missing_driver_is_said_in_words_and_long_panics_are_cut() {
        let cudarc = "Unable to dynamically load the \"cuda\" shared library - searched for library names: [...]";
        assert!(in_short(cudarc).contains("install the driver"));
        assert_eq!(in_short("one\n  two"), "one two");
        assert_eq!(in_short(&"x".repeat(5000)).len(), 300);
    }

    #[test]
    fn the_processor_computes_the_known_product() {
        assert_eq!(attempt("cpu", false), Ok(()));
        assert!(attempt("cpu", true).is_err());
        assert!(attempt("abacus", false).unwrap_err().contains("abacus"));
    }
}
