//! Where log lines go: to standard error, by a thread of its own.
//!
//! A request never waits for whoever reads the log: a terminal that is stopped or a collector that
//! hangs would stop the shop. When the queue is full, lines are dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing_subscriber::fmt::MakeWriter;

/// The most lines that wait to be written: a second of full load, some megabytes.
const MAX_WAITING_LINES: usize = 16_384;

/// How much is written at once.
const BATCH_BYTES: usize = 64 * 1024;

/// How long the end of the process waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Takes lines without ever waiting.
#[derive(Clone)]
pub(crate) struct LogWriter {
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `sink`. It ends with the process.
    pub(super) fn new(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, entries) = sync_channel(MAX_WAITING_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write_all(&entries, &counter, sink))?;
        Ok(Self { queue, dropped })
    }

    /// Waits until what was logged before is written, for at most [`FLUSH_TIMEOUT`].
    fn flush_all(&self) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Entry::Flush(done)).is_ok() {
            // Whether it was written or not, the process must end.
            let _: Result<(), RecvTimeoutError> = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// The writer of the process, once logging has started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// The writer of the process; started at the first call.
pub(super) fn to_stderr() -> io::Result<LogWriter> {
    if let Some(writer) = WRITER.get() {
        return Ok(writer.clone());
    }
    let writer = LogWriter::new(io::stderr())?;
    Ok(WRITER.get_or_init(|| writer).clone())
}

/// Writes what is still waiting; call it last of all.
pub fn flush_logs() {
    if let Some(writer) = WRITER.get() {
        writer.flush_all();
    }
}

fn write_all(entries: &Receiver<Entry>, dropped: &AtomicU64, mut sink: impl Write) {
    let mut batch = Vec::with_capacity(BATCH_BYTES);
    let mut flushed = Vec::new();
    while let Ok(first) = entries.recv() {
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => batch.extend_from_slice(&line),
                Entry::Flush(done) => flushed.push(done),
            }
            next = if batch.len() < BATCH_BYTES { entries.try_recv().ok() } else { None };
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line =
                format!("{{\"level\":\"WARN\",\"message\":\"{lost} log lines were dropped\"}}\n");
            batch.extend_from_slice(line.as_bytes());
        }
        // There is nowhere to complain about standard error being gone.
        let _ = sink.write_all(&batch).and_then(|()| sink.flush());
        batch.clear();
        flushed.drain(..).for_each(|done| {
            let _ = done.try_send(());
        });
    }
}

/// One line being formatted; queued as a whole when it is dropped.
pub(crate) struct Line<'a> {
    writer: &'a LogWriter,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Entry::Line(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_)) = self.writer.queue.try_send(line) {
            self.writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { writer: self, text: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::sync::{Condvar, Mutex};

    /// A reader that can hang.
    #[derive(Clone, Default)]
    struct Sink(Arc<(Mutex<State>, Condvar)>);

    #[derive(Default)]
    struct State {
        text: Vec<u8>,
        hangs: bool,
    }

    impl Sink {
        fn hang(&self, hangs: bool) {
            self.0.0.lock().expect("no test panics with the lock").hangs = hangs;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            let state = self.0.0.lock().expect("no test panics with the lock");
            String::from_utf8(state.text.clone()).expect("a log is text")
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let state = self.0.0.lock().expect("no test panics with the lock");
            let mut state =
                self.0.1.wait_while(state, |state| state.hangs).expect("no test panics with it");
            state.text.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(writer: &LogWriter, line: &str) {
        writer.make_writer().write_all(line.as_bytes()).expect("it never fails");
    }

    #[test]
    fn lines_arrive_whole_and_in_order_before_a_flush_returns() {
        let sink = Sink::default();
        let writer = LogWriter::new(sink.clone()).expect("a thread");
        let expected: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        expected.split_inclusive('\n').for_each(|line| log(&writer, line));
        writer.flush_all();
        assert_eq!(sink.text(), expected);
    }

    #[test]
    fn a_reader_that_hangs_costs_lines_and_stops_nobody() {
        let sink = Sink::default();
        sink.hang(true);
        let writer = LogWriter::new(sink.clone()).expect("a thread");
        let (ended, end) = channel();
        let logging = writer.clone();
        // In a thread, so that a writer that waits fails the test instead of hanging it.
        std::thread::spawn(move || {
            // More than the queue holds and one batch, which may be all of it twice.
            (0..5 * MAX_WAITING_LINES).for_each(|_| log(&logging, "x\n"));
            ended.send(())
        });
        end.recv_timeout(Duration::from_secs(60)).expect("nobody waits for the reader");
        sink.hang(false);
        // The queue may still be full: a flush is no line that could be dropped quietly.
        while writer.dropped.load(Ordering::Relaxed) > 0 {
            std::thread::yield_now();
        }
        writer.flush_all();
        let text = sink.text();
        assert!(text.contains("log lines were dropped"), "{} bytes", text.len());
        assert!(text.lines().filter(|line| *line == "x").count() >= MAX_WAITING_LINES);
    }
}
