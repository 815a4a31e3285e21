//! The metrics page: the node's status, the round reports and the network's counters as series.
//!
//! The page is rendered anew for each scrape, in Prometheus' text format 0.0.4, where a counter's
//! `TYPE` line has the suffix `_total` like its samples; the library writes the lines and escapes
//! the labels.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabel};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::control::api::{NodeStatus, RoundOutcome, RoundReport, word};

/// The network's counters as the metrics page shows them. Cheap to clone; all clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<NetworkMetrics>>);

/// Counters of the network since the start.
#[derive(Debug, Clone, Default)]
pub struct NetworkMetrics {
    /// Inbound connections that were refused.
    pub connections_refused: u64,
    /// Messages that were dropped because a queue was full.
    pub messages_dropped: u64,
    /// Each member, or whoever is connected while there is no manifest, by name.
    pub members: Vec<(String, MemberMetrics)>,
}

/// The network's view of one member.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberMetrics {
    /// Whether one of its connections is QUIC.
    pub over_quic: bool,
    /// Messages queued for it.
    pub messages_waiting: u64,
    /// Messages to it that were dropped.
    pub messages_dropped: u64,
}

impl Metrics {
    /// Replaces the counters that are shown.
    pub fn set_network(&self, network: NetworkMetrics) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = network;
    }

    /// Renders the page.
    #[must_use]
    pub fn page(&self, status: &NodeStatus, rounds: &[RoundReport]) -> String {
        let network = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let snapshot = Snapshot { status: status.clone(), rounds: rounds.to_vec(), network };
        let mut registry = Registry::with_prefix("fedshield");
        registry.register_collector(Box::new(snapshot));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &registry);
        text
    }
}

/// The data of one page.
#[derive(Debug)]
struct Snapshot {
    status: NodeStatus,
    rounds: Vec<RoundReport>,
    network: NetworkMetrics,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        node(&mut page, &self.status)?;
        round_in_progress(&mut page, &self.status)?;
        finished(&mut page, &self.rounds)?;
        network(&mut page, &self.network)
    }
}

fn node(page: &mut Page<'_>, status: &NodeStatus) -> Result<(), Error> {
    let state = word(&status.state);
    let labels = [("version", status.version.as_str()), ("state", &state)];
    page.gauges("info", "Always 1; version and state are labels.", [(labels, 1)])?;
    if let Some(progress) = &status.progress {
        let fraction = ([("phase", progress.phase.as_str())], progress.fraction);
        page.gauges(
            "progress_ratio",
            "Fraction of the work in progress that is done.",
            [fraction],
        )?;
        if let Some(speed) = progress.tokens_per_second {
            page.gauge("tokens_per_second", "Training speed.", speed)?;
        }
    }
    if let Some(held_out) = &status.held_out {
        let help = "Loss of the last measured adapter on held-out data, nats per token.";
        page.gauge("held_out_loss", help, held_out.loss)?;
        page.gauge("held_out_round", "The round of that adapter.", held_out.round.0)?;
        if let Some(base) = held_out.base {
            page.gauge("held_out_loss_base", "The same for the base model.", base)?;
        }
    }
    if let Some(mean) = &status.mean_loss {
        let help = "Mean of all members' losses over the base model's, from the ledger.";
        page.gauge("federation_loss_ratio", help, mean.ratio)?;
        let help = "The round whose record has it; it started from the adapter measured.";
        page.gauge("federation_loss_round", help, mean.round.0)?;
        let help = "Members that it is the mean of.";
        page.gauge("federation_loss_members", help, u64::from(mean.members))?;
    }
    let conditions = status.conditions.iter().map(|condition| {
        ([("name", condition.name.clone()), ("severity", word(&condition.severity))], 1)
    });
    page.gauges("condition", "1 for each condition that holds, as `status` shows it.", conditions)
}

fn round_in_progress(page: &mut Page<'_>, status: &NodeStatus) -> Result<(), Error> {
    let (Some(federation), Some(machine)) = (&status.federation, &status.machine) else {
        return Ok(());
    };
    page.gauge("round", "The round in progress.", machine.round.0)?;
    page.gauge("rounds_applied", "Rounds that produced a new adapter.", machine.applied)?;
    page.gauge("view", "Voting attempt (view) of the decision in progress.", machine.view.0)?;
    page.gauge("waiting_for", "Members that the phase waits for.", machine.waiting_for.len())?;
    let attendance = machine.attendance;
    page.gauge("members_here", "Members that are present.", u64::from(attendance.here))?;
    page.gauge("quorum", "Members needed for a decision.", u64::from(attendance.quorum))?;
    let phase = [([("phase", word(&machine.activity))], 1)];
    page.gauges("phase", "1 for the phase that the round is in.", phase)?;
    let help = "1 while this node sits out a round: its journal lacks what it has signed.";
    page.gauge("silent", help, u32::from(machine.silent_through.is_some()))?;
    let members = || federation.members.iter().zip(&machine.members);
    let reachable =
        members().map(|(name, it)| ([("member", name.as_str())], u32::from(it.reachable)));
    page.gauges("member_reachable", "1 if the member is connected.", reachable)?;
    let here = members().map(|(name, it)| ([("member", name.as_str())], u32::from(it.here)));
    let help = "1 if the member is present: its messages arrive, and it has not said goodbye.";
    page.gauges("member_here", help, here)?;
    let unreadable = &status.unreadable_partials;
    let unreadable = unreadable.iter().map(|(name, rounds)| ([("member", name.as_str())], *rounds));
    let help = "Rounds in which a member's partial decryption could not be read.";
    page.counters("unreadable_partials_total", help, unreadable)?;
    let dropped =
        machine.dropped.iter().map(|(reason, count)| ([("reason", reason.as_ref())], *count));
    page.counters("dropped_messages_total", "Messages dropped, by reason.", dropped)
}

fn finished(page: &mut Page<'_>, rounds: &[RoundReport]) -> Result<(), Error> {
    let outcomes = [
        (RoundOutcome::Applied, "applied"),
        (RoundOutcome::Rejected, "rejected"),
        (RoundOutcome::Void, "void"),
        (RoundOutcome::Skipped, "skipped"),
        (RoundOutcome::Measured, "measured"),
    ]
    .map(|(outcome, name)| {
        let count = rounds.iter().filter(|round| round.outcome == outcome).count();
        ([("outcome", name)], count as u64)
    });
    page.counters("rounds_total", "Finished rounds, by outcome.", outcomes)?;
    let sent = sums(rounds, |round| &round.bytes);
    page.counters("round_sent_bytes_total", "Bytes sent in finished rounds.", sent)?;
    let received = sums(rounds, |round| &round.bytes_in);
    page.counters("round_received_bytes_total", "Bytes received in finished rounds.", received)?;
    let Some(last) = rounds.last() else { return Ok(()) };
    let seconds = last.seconds.iter().map(|(phase, took)| ([("phase", phase.as_str())], *took));
    page.gauges("last_round_seconds", "Seconds of each phase of the last round.", seconds)?;
    if let Some(loss) = last.train_loss {
        page.gauge("train_loss", "Training loss of the last round, nats per token.", loss)?;
    }
    Ok(())
}

/// Bytes by purpose, summed over all rounds.
fn sums(
    rounds: &[RoundReport],
    pick: fn(&RoundReport) -> &BTreeMap<String, u64>,
) -> impl Iterator<Item = ([(&'static str, &str); 1], u64)> {
    let mut sums = BTreeMap::<&str, u64>::new();
    for (phase, bytes) in rounds.iter().flat_map(pick) {
        let sum = sums.entry(phase).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    sums.into_iter().map(|(phase, bytes)| ([("phase", phase)], bytes))
}

fn network(page: &mut Page<'_>, network: &NetworkMetrics) -> Result<(), Error> {
    let refused = network.connections_refused;
    page.counter("connections_refused_total", "Inbound connections refused.", refused)?;
    let dropped = network.messages_dropped;
    let help = "Messages dropped because too many waited.";
    page.counter("network_messages_dropped_total", help, dropped)?;
    let members = || network.members.iter().map(|(name, it)| ([("member", name.as_str())], it));
    let quic = members().map(|(label, it)| (label, u32::from(it.over_quic)));
    page.gauges("member_over_quic", "1 if a connection to the member is QUIC.", quic)?;
    let waiting = members().map(|(label, it)| (label, it.messages_waiting));
    page.gauges("member_messages_waiting", "Messages waiting to be sent.", waiting)?;
    let dropped = members().map(|(label, it)| (label, it.messages_dropped));
    page.counters("member_messages_dropped_total", "Messages to the member dropped.", dropped)
}

/// The page so far.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabel, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        lines: impl IntoIterator<Item = ([L; N], V)>,
    ) -> Result<(), Error> {
        self.lines(name, help, MetricType::Gauge, lines)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        // The library's own counters have the suffix in their samples only.
        self.0.encode_descriptor(name, help, None, MetricType::Counter)?.encode_gauge(&value)
    }

    fn counters<L: EncodeLabel, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        lines: impl IntoIterator<Item = ([L; N], u64)>,
    ) -> Result<(), Error> {
        self.lines(name, help, MetricType::Counter, lines)
    }

    fn lines<L: EncodeLabel, V: EncodeGaugeValue, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        lines: impl IntoIterator<Item = ([L; N], V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in lines {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
