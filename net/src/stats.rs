//! Counters of bytes and of refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::MAX_LABELS;

/// A label under which the bytes of objects are counted, for instance a phase of a round; below
/// [`MAX_LABELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Label(u8);

impl Label {
    /// The label `number`; none if it is not below [`MAX_LABELS`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < MAX_LABELS { Some(Self(number)) } else { None }
    }
}

/// Bytes in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Received, in bytes.
    pub bytes_in: u64,
    /// Sent, in bytes.
    pub bytes_out: u64,
}

/// Counters since the start of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetStats {
    /// Bulk transfer, by [`Label`] number: chunks, chunk lists, requests and frame headers.
    pub objects: [Traffic; MAX_LABELS],
    /// Announcements: payloads, each counted once when published or delivered.
    pub gossip: Traffic,
    /// Direct messages with their headers and receipts.
    pub direct: Traffic,
    /// Join requests and answers with their headers.
    pub join: Traffic,
    /// All traffic. On TCP the bytes of the socket, with Noise and Yamux; on QUIC the bytes of its
    /// streams, without packet headers. The difference from the other fields is gossip's fan-out
    /// and control traffic.
    pub transport: Traffic,
    /// Messages and records dropped: too large, over a rate limit, not from a member, or the queue
    /// was full.
    pub dropped: u64,
    /// Connections refused, evicted or timed out during their handshake.
    pub refused_connections: u64,
    /// Holders that sent data that fails verification, counted once for each fetch.
    pub invalid_holders: u64,
}

impl NetStats {
    /// The traffic of one label.
    #[must_use]
    pub fn object(&self, label: Label) -> Traffic {
        self.objects.get(usize::from(label.0)).copied().unwrap_or_default()
    }
}

/// The counters of both directions, shared between tasks.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counter {
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Traffic {
        Traffic {
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }
}

/// All counters of one node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    objects: [Arc<Counter>; MAX_LABELS],
    pub(crate) gossip: Counter,
    pub(crate) direct: Counter,
    pub(crate) join: Counter,
    pub(crate) transport: Arc<Counter>,
    dropped: AtomicU64,
    refused_connections: AtomicU64,
    invalid_holders: AtomicU64,
}

impl Counters {
    pub(crate) fn object(&self, label: Label) -> Arc<Counter> {
        // Always there: a label is below MAX_LABELS.
        self.objects.get(usize::from(label.0)).cloned().unwrap_or_default()
    }

    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn invalid_holder(&self) {
        self.invalid_holders.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> NetStats {
        let mut objects = [Traffic::default(); MAX_LABELS];
        for (traffic, counter) in objects.iter_mut().zip(&self.objects) {
            *traffic = counter.read();
        }
        NetStats {
            objects,
            gossip: self.gossip.read(),
            direct: self.direct.read(),
            join: self.join.read(),
            transport: self.transport.read(),
            dropped: self.dropped.load(Ordering::Relaxed),
            refused_connections: self.refused_connections.load(Ordering::Relaxed),
            invalid_holders: self.invalid_holders.load(Ordering::Relaxed),
        }
    }
}
