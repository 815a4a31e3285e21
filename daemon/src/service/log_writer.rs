//! Writing log lines to standard error, which may not be read: logging never blocks, lines that
//! find the queue full are dropped and counted, and the process waits only a moment for the rest at
//! its end.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may be queued for a slow reader.
const QUEUE_LINES: usize = 4096;
/// Total length of the queued lines, in bytes.
const QUEUE_BYTES: usize = 4 << 20;
/// How long the end of the process waits for queued lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// The queue of this process; there is one standard error.
static STANDARD_ERROR: OnceLock<LogQueue> = OnceLock::new();

/// Number of log lines of this process that were dropped because they were not read in time.
#[must_use]
pub fn lost_log_lines() -> u64 {
    STANDARD_ERROR.get().map_or(0, LogQueue::lost)
}

/// Writes a final message to standard error, after the log, if it is read in time. A process that
/// has logged uses this before it ends instead of `eprintln!`, which could block for ever.
pub fn write_last_line(text: &str) {
    match standard_error() {
        Ok(queue) => {
            queue.push(format!("{text}\n").into_bytes());
            queue.flush(FLUSH_LIMIT);
        }
        Err(_) => eprintln!("{text}"),
    }
}

/// The queue for this process's standard error.
pub(super) fn standard_error() -> io::Result<LogQueue> {
    if let Some(queue) = STANDARD_ERROR.get() {
        return Ok(queue.clone());
    }
    // A separate handle: a blocked write on it holds no lock that others need.
    let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = LogQueue::start(file)?;
    Ok(STANDARD_ERROR.get_or_init(|| queue).clone())
}

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it has been written.
    Flush(SyncSender<()>),
}

/// A bounded queue of lines and the thread that writes them. Cheap to clone.
#[derive(Clone)]
pub(super) struct LogQueue {
    lines: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// Formats a line with the number of dropped lines.
pub(super) type Notice = fn(u64) -> String;

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Formats the line about dropped lines; set with the log format.
    notice: Mutex<Option<Notice>>,
}

impl LogQueue {
    /// Starts the thread that writes to `sink`.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, receiver) = sync_channel(QUEUE_LINES);
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        // Never joined: it may be blocked for ever.
        std::thread::Builder::new()
            .name("log".into())
            .spawn(move || write_lines(sink, &receiver, &writer))?;
        Ok(Self { lines, shared })
    }

    /// Sets how dropped lines are reported in the log.
    pub(super) fn set_notice(&self, notice: Notice) {
        *self.shared.notice.lock().unwrap_or_else(PoisonError::into_inner) = Some(notice);
    }

    /// Queues a line, or counts it as dropped. Never blocks.
    pub(super) fn push(&self, line: Vec<u8>) {
        let length = line.len();
        let before = self.shared.bytes.fetch_add(length, Ordering::Relaxed);
        let fits = before.saturating_add(length) <= QUEUE_BYTES;
        if !fits || self.lines.try_send(Message::Line(line)).is_err() {
            self.shared.bytes.fetch_sub(length, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until the lines pushed so far are written, at most for `limit`.
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
                // Dropped lines belong after this one and before those queued from now on; they are
                // reported as soon as possible. A line that cannot be written is lost, because an
                // error could not be reported either.
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

/// The text of one event, queued as a whole when it is complete.
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

    /// A sink that blocks until it is released.
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
    fn no_writer_waits_for_a_stuck_reader_and_the_gap_is_reported_afterwards() {
        let (let_go, go) = sync_channel(1);
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Stuck { go, went: false, written: Arc::clone(&written) };
        let queue = LogQueue::start(sink).unwrap();
        queue.set_notice(|lost| format!("{lost} lines were lost\n"));
        // Far more than the queue holds, in number and in length; this thread must not block.
        for count in 0..3 * QUEUE_LINES {
            let mut line = queue.make_writer();
            writeln!(line, "{count} {}", "x".repeat(2000)).unwrap();
        }
        queue.flush(Duration::from_millis(1));
        let lost = queue.lost();
        assert!(lost > QUEUE_LINES as u64, "{lost}");
        let_go.send(()).unwrap();
        // The queue may still be full, and then a flush returns at once.
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
