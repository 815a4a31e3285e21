//! Metrics in Prometheus' text format: from the node's status, the round reports, and the host's own counters.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::api::{NodeStatus, RoundOutcome, RoundReport, word};

/// Different label values one metric may have: a faulty caller must not fill the memory.
const MAX_SERIES: usize = 4096;

/// Counters and gauges of the host. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<Series, f64>>>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: &'static str,
    label: Option<(&'static str, String)>,
}

impl Metrics {
    /// Adds to a counter; names end in `_total` by custom and get the prefix `fedshield_`.
    pub fn add(&self, name: &'static str, label: Option<(&'static str, &str)>, amount: f64) {
        self.with(name, label, |value| *value += amount);
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, label: Option<(&'static str, &str)>, value: f64) {
        self.with(name, label, |old| *old = value);
    }

    fn with(
        &self,
        name: &'static str,
        label: Option<(&'static str, &str)>,
        change: impl FnOnce(&mut f64),
    ) {
        let label = label.map(|(key, value)| (key, value.to_owned()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let series = Series { name, label };
        if all.len() < MAX_SERIES || all.contains_key(&series) {
            change(all.entry(series).or_insert(0.0));
        }
    }

    /// All of it as text.
    #[must_use]
    pub fn render(&self, status: &NodeStatus, rounds: &[RoundReport]) -> String {
        let mut page = Page::default();
        node(&mut page, status);
        finished(&mut page, rounds);
        let own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (series, value) in own.iter() {
            let kind = if series.name.ends_with("_total") { "counter" } else { "gauge" };
            page.head(series.name, kind, "Of the daemon.");
            let label = series.label.as_ref().map(|(key, value)| (*key, value.as_str()));
            page.line(series.name, label.as_slice(), *value);
        }
        page.text
    }
}

fn node(page: &mut Page, status: &NodeStatus) {
    page.head("info", "gauge", "Always 1; version and state are labels.");
    let state = word(&status.state);
    page.line("info", &[("version", &status.version), ("state", &state)], 1.0);
    if let Some(progress) = &status.progress {
        page.head("progress_ratio", "gauge", "Share of the present work that is done.");
        page.line("progress_ratio", &[("phase", &progress.phase)], progress.fraction);
        if let Some(speed) = progress.tokens_per_second {
            page.gauge("tokens_per_second", "Training speed.", speed);
        }
    }
    if let Some(held_out) = &status.held_out {
        let help = "Loss of the last measured adapter on held-out data, nats per token.";
        page.gauge("held_out_loss", help, held_out.loss);
        page.gauge("held_out_round", "The round of that adapter.", held_out.round.0 as f64);
        if let Some(base) = held_out.base {
            page.gauge("held_out_loss_base", "The same of the base model.", base);
        }
    }
    page.head("condition", "gauge", "1 for each condition that holds, as `status` shows it.");
    for condition in &status.conditions {
        let severity = word(&condition.severity);
        page.line("condition", &[("name", &condition.name), ("severity", &severity)], 1.0);
    }
    let (Some(federation), Some(machine)) = (&status.federation, &status.machine) else { return };
    page.gauge("round", "The round in progress.", machine.round.0 as f64);
    page.gauge("rounds_applied", "Rounds that gave an adapter.", machine.applied as f64);
    page.gauge("view", "Voting attempt of the present decision.", f64::from(machine.view.0));
    page.gauge("waiting_for", "Members the phase waits for.", machine.waiting_for.len() as f64);
    let attendance = machine.attendance;
    page.gauge("members_here", "Members that can be counted on.", f64::from(attendance.here));
    page.gauge("quorum", "Members that it takes to decide.", f64::from(attendance.quorum));
    page.head("phase", "gauge", "1 for the phase the round is in.");
    page.line("phase", &[("phase", &word(&machine.activity))], 1.0);
    let silent = f64::from(u8::from(machine.silent_through.is_some()));
    page.gauge(
        "silent",
        "1 while this node sits out a round: its journal lacks what it has said.",
        silent,
    );
    page.head("member_reachable", "gauge", "1 if the member is connected.");
    for (name, member) in federation.members.iter().zip(&machine.members) {
        let reachable = f64::from(u8::from(member.reachable));
        page.line("member_reachable", &[("member", name)], reachable);
    }
    page.head("member_here", "gauge", "1 if the member can be counted on: heard, and not away.");
    for (name, member) in federation.members.iter().zip(&machine.members) {
        let here = f64::from(u8::from(member.here));
        page.line("member_here", &[("member", name)], here);
    }
    page.head("dropped_messages_total", "counter", "Messages dropped, by reason.");
    for (reason, count) in &machine.dropped {
        page.line("dropped_messages_total", &[("reason", reason)], *count as f64);
    }
}

fn finished(page: &mut Page, rounds: &[RoundReport]) {
    page.head("rounds_total", "counter", "Finished rounds, by outcome.");
    for (outcome, name) in [
        (RoundOutcome::Applied, "applied"),
        (RoundOutcome::Rejected, "rejected"),
        (RoundOutcome::Void, "void"),
        (RoundOutcome::Skipped, "skipped"),
    ] {
        let count = rounds.iter().filter(|round| round.outcome == outcome).count();
        page.line("rounds_total", &[("outcome", name)], count as f64);
    }
    let sum = |pick: fn(&RoundReport) -> &BTreeMap<String, u64>| {
        let mut sums = BTreeMap::<&str, u64>::new();
        for (phase, bytes) in rounds.iter().flat_map(pick) {
            *sums.entry(phase).or_default() += bytes;
        }
        sums
    };
    page.head("round_sent_bytes_total", "counter", "Bytes sent in finished rounds.");
    for (phase, bytes) in sum(|round| &round.bytes) {
        page.line("round_sent_bytes_total", &[("phase", phase)], bytes as f64);
    }
    page.head("round_received_bytes_total", "counter", "Bytes received in finished rounds.");
    for (phase, bytes) in sum(|round| &round.bytes_in) {
        page.line("round_received_bytes_total", &[("phase", phase)], bytes as f64);
    }
    let Some(last) = rounds.last() else { return };
    page.head("last_round_seconds", "gauge", "Seconds of each phase of the last round.");
    for (phase, seconds) in &last.seconds {
        page.line("last_round_seconds", &[("phase", phase)], *seconds);
    }
    if let Some(loss) = last.train_loss {
        page.gauge("train_loss", "Training loss of the last round, nats per token.", loss);
    }
}

/// The text so far, and the metric whose head was written last.
#[derive(Default)]
struct Page {
    text: String,
    last: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.last != name {
            self.last = name.to_owned();
            // Writing to a string does not fail.
            let _ = writeln!(self.text, "# HELP fedshield_{name} {help}");
            let _ = writeln!(self.text, "# TYPE fedshield_{name} {kind}");
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escape(text))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "fedshield_{name}{labels} {value}");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
