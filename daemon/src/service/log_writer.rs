//! The way of log lines to standard error, which nobody may be reading: whoever logs never waits, lines that find the
//! queue full are lost and counted, and the way out waits a moment at most.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for a slow reader.
const QUEUE_LINES: usize = 4096;
/// And their length together, in bytes.
const QUEUE_BYTES: usize = 4 << 20;
/// How long the end of the process waits for lines that are still on their way.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The process has one standard error.
static STANDARD_ERROR: OnceLock<LogQueue> = OnceLock::new();

/// Log lines of this process that were lost because nobody read them in time.
#[must_use]
pub fn lost_log_lines() -> u64 {
    STANDARD_ERROR.get().map_or(0, LogQueue::lost)
}

/// Writes the last words of a process to standard error, after the log, for as long as somebody reads it. Whoever
/// ends a process that has logged uses this instead of `eprintln!`, which would wait for ever.
pub fn last_words(text: &str) {
    match standard_error() {
        Ok(queue) => {
            queue.push(format!("{text}\n").into_bytes());
            queue.flush(FLUSH_LIMIT);
        }
        Err(_) => eprintln!("{text}"),
    }
}

/// The queue in front of this process's standard error.
pub(super) fn standard_error() -> io::Result<LogQueue> {
    if let Some(queue) = STANDARD_ERROR.get() {
        return Ok(queue.clone());
    }
    // A handle of its own: one that is stuck in the middle of a write holds no lock that others need.
    let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = LogQueue::start(file)?;
    Ok(STANDARD_ERROR.get_or_init(|| queue).clone())
}

enum Message {
    Line(Vec<u8>),
    /// Everything before this has been written.
    Flush(SyncSender<()>),
}

/// A bounded queue of lines and the thread that writes them. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogQueue {
    lines: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// A line that says how many were lost.
pub(super) type Notice = fn(u64) -> String;

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// How the next line says that some were lost; set with the format.
    notice: Mutex<Option<Notice>>,
}

impl LogQueue {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, receiver) = sync_channel(QUEUE_LINES);
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        // Never joined: it may be stuck for good.
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(sink, &receiver, &writer))?;
        Ok(Self { lines, shared })
    }

    /// Says how a gap in the log is told.
    pub(super) fn set_notice(&self, notice: Notice) {
        *self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner) = Some(notice);
    }

    /// Takes a line, or counts it as lost. Never waits.
    pub(super) fn push(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.shared.bytes.fetch_add(length, Ordering::Relaxed);
        let fits = before.saturating_add(length) <= QUEUE_BYTES;
        if !fits || self.lines.try_send(Message::Line(line)).is_err() {
            self.shared.bytes.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was pushed is written, for `limit` at most.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

fn write_lines(mut sink: impl Write, lines: &Receiver<Message>, shared: &Shared) {
    let mut told = 0;
    for message in lines {
        match message {
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
            Message::Line(line) => {
                // Lost lines are older than what comes from now on, not than this one; said at the next chance all the
                // same. A line that cannot be written is lost: there is nobody to tell.
                let _ = sink.write_all(&line);
                shared.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                let lost = shared.lost.load(Ordering::Relaxed);
                let notice = *shared.notice.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(notice) = notice.filter(|_| lost > told) {
                    let _ = sink.write_all(notice(lost - told).as_bytes());
                    told = lost;
                }
            }
        }
    }
}

/// One event's text, queued as a whole when it is complete.
pub(super) struct Line {
    queue: LogQueue,
    text: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.queue.push(std::mem::take(&mut self.text));
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { queue: self.clone(), text: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that takes nothing before it is let go.
    struct Stuck {
        go: Receiver<()>,
        went: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.went {
                self.went = self.go.recv().is_ok();
            }
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_is_stuck_and_the_gap_is_told_afterwards() {
        let (let_go, go) = sync_channel(1);
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Stuck { go, went: false, written: Arc::clone(&written) };
        let queue = LogQueue::start(sink).unwrap();
        queue.set_notice(|lost| format!("{lost} lines were lost\n"));
        // Far more than the queue takes, in number and in length; this thread must come through.
        for count in 0..3 * QUEUE_LINES {
            let mut line = queue.make_writer();
            writeln!(line, "{count} {}", "x".repeat(2000)).unwrap();
        }
        queue.flush(Duration::from_millis(1));
        let lost = queue.lost();
        assert!(lost > QUEUE_LINES as u64, "{lost}");
        let_go.send(()).unwrap();
        // The queue may still be full: a flush that finds no place is no flush.
        for _ in 0..1000 {
            queue.flush(FLUSH_LIMIT);
            if queue.shared.bytes.load(Ordering::Relaxed) == 0 {
                break;
            }
        }
        queue.push(b"the end\n".to_vec());
        queue.flush(Duration::from_secs(60));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0 xxx") && text.ends_with("the end\n"));
        assert_eq!(text.matches(&format!("{lost} lines were lost\n")).count(), 1);
    }
}
