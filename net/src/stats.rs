//! Bytes in and out, by what they were for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::MAX_LABELS;

/// Under which name the bytes of an object are counted, for instance the phase of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Label(u8);

impl Label {
    /// Label `number`; none from [`MAX_LABELS`] on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if (number as usize) < MAX_LABELS { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
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

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetStats {
    /// Objects by [`Label`] number: chunks, chunk lists, requests and the headers of our framing.
    pub objects: [Traffic; MAX_LABELS],
    /// Announcements: payloads, once each as published and as delivered.
    pub gossip: Traffic,
    /// Direct messages with their headers and receipts.
    pub direct: Traffic,
    /// Join requests and answers with their headers.
    pub join: Traffic,
    /// Everything. On TCP the bytes on the socket, with Noise and Yamux; on QUIC the bytes of its
    /// streams, without packet headers. What is not in the other fields is gossip's fan-out and
    /// control traffic.
    pub transport: Traffic,
    /// Announcements and messages dropped: too large, too many, not from a member, or no room.
    pub dropped: u64,
    /// Connections refused: not a member where one must be, or too many.
    pub refused_connections: u64,
    /// Holders caught giving bytes that are not the object's.
    pub invalid_holders: u64,
}

impl NetStats {
    /// The traffic of one label.
    #[must_use]
    pub fn object(&self, label: Label) -> Traffic {
        self.objects.get(usize::from(label.0)).copied().unwrap_or_default()
    }
}

/// One direction pair of counters, shared between tasks.
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
        // A label is below MAX_LABELS by construction.
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
