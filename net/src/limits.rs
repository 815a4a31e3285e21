//! Every limit of the network. Sizes are in bytes.
//!
//! Whatever a remote can make this node store, open, answer or wait for is bounded here.

use std::num::NonZeroU8;
use std::time::Duration;

use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::CHUNK_SIZE_BYTES;

// --- messages -------------------------------------------------------------------------------

/// The largest announcement.
pub const MAX_GOSSIP_BYTES: usize = 16 << 10;
/// What gossipsub adds to an announcement: signature, key, sequence number, topic, tags.
pub const GOSSIP_ENVELOPE_BYTES: usize = 1 << 10;
/// How far gossipsub reads beyond an incomplete message. It compares its limit with all that it has
/// read, not with one message, so the limit must include this; without it, large announcements in
/// quick succession end the stream and are lost.
pub const GOSSIP_READ_AHEAD_BYTES: usize = 8 << 10;
/// Message ids in one IHAVE or IWANT. Gossipsub accepts at most 16 KiB of control messages at once,
/// an id takes 34 bytes, and a longer list ends the stream.
pub const MAX_GOSSIP_IDS: usize = 400;
/// The largest direct message.
pub const MAX_DIRECT_BYTES: usize = 256 << 10;
/// The largest request of a joiner.
pub const MAX_JOIN_REQUEST_BYTES: usize = 64 << 10;
/// The largest answer to a joiner.
pub const MAX_JOIN_REPLY_BYTES: usize = 1 << 20;

/// How long the id of an announcement is kept, so that it is not forwarded twice. Longer than it is
/// advertised by IHAVE (3 s), or it would circulate for ever.
pub const GOSSIP_DUPLICATE_CACHE: Duration = Duration::from_secs(10);
/// Announcements of one sender.
pub const GOSSIP_RATE: Rate = Rate { burst: 400, per_second: 40 };
/// Token buckets for pairs of a sender and a forwarder of its announcements.
pub const MAX_GOSSIP_BUCKETS: usize = MAX_MEMBERS * MAX_MEMBERS;
/// Direct messages from one member.
pub const DIRECT_RATE: Rate = Rate { burst: 400, per_second: 40 };
/// Topics that a peer may subscribe to.
pub const MAX_TOPICS_PER_PEER: usize = 4;
/// Gossip messages queued for one peer; more are dropped for that peer alone.
pub const MAX_GOSSIP_QUEUE: usize = 512;
/// Concurrent direct streams on one connection.
pub const MAX_DIRECT_STREAMS: usize = 16;
/// Timeout of a direct message, until its receipt arrives.
pub const DIRECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Direct messages in flight to one member; the other half of the streams is for those that it
/// sends.
pub const DIRECT_WINDOW: usize = MAX_DIRECT_STREAMS / 2;
/// Direct messages queued for one member.
pub const MAX_DIRECT_QUEUED: usize = 1024;
/// Bytes of direct messages queued for one member.
pub const MAX_DIRECT_QUEUED_BYTES: usize = 4 << 20;
/// Bytes of direct messages queued for all members.
pub const MAX_DIRECT_QUEUED_BYTES_TOTAL: usize = 64 << 20;
/// Callers that wait for the outcome of one and the same message.
pub const MAX_DIRECT_CALLERS: usize = 8;

// --- joining --------------------------------------------------------------------------------

/// Join requests of one peer.
pub const JOIN_RATE_PER_PEER: Rate = Rate { burst: 8, per_second: 1 };
/// Join requests from one origin.
pub const JOIN_RATE_PER_ORIGIN: Rate = Rate { burst: 32, per_second: 4 };
/// Join requests of all peers together.
pub const JOIN_RATE: Rate = Rate { burst: 128, per_second: 16 };
/// Token buckets for the join requests of peers, and as many for those from origins.
pub const MAX_JOIN_BUCKETS: usize = 1024;
/// Join requests that wait for the daemon's answer.
pub const MAX_JOINS_PENDING: usize = 32;
/// Our own join requests in flight.
pub const MAX_JOINS_IN_FLIGHT: usize = 16;
/// Concurrent join streams on one connection.
pub const MAX_JOIN_STREAMS: usize = 2;
/// The longest timeout of a join request.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout of the daemon's answer to a join request.
pub const JOIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

// --- connections ----------------------------------------------------------------------------

/// The most members of a federation.
pub const MAX_MEMBERS: usize = 128;
/// Open connections of non-members.
pub const MAX_NON_MEMBERS: usize = 64;
/// Open connections of non-members from one origin.
pub const MAX_NON_MEMBERS_PER_ORIGIN: usize = 16;
/// A non-member's connection that is younger than this is not closed for another one.
pub const NON_MEMBER_GRACE: Duration = Duration::from_secs(5);
/// A non-member's connection without a request for this long is closed.
pub const NON_MEMBER_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Open connections with one peer.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Open connections in total: two for each member, and those of non-members.
pub const MAX_CONNECTIONS: u32 = 2 * MAX_MEMBERS as u32 + MAX_NON_MEMBERS as u32;
/// Inbound handshakes over one transport, of all three classes: from addresses at which members are
/// known, from shared addresses (this machine, relays, the operator's proxies), from any other
/// address.
pub const MAX_PENDING_INBOUND: usize = 3 * MAX_PENDING_PER_CLASS;
/// Inbound handshakes over one transport, of each class.
pub const MAX_PENDING_PER_CLASS: usize = 48;
/// Inbound handshakes over one transport from one origin (an IPv4 address or an IPv6 /56).
pub const MAX_PENDING_PER_ORIGIN: usize = 12;
/// Timeout of the first byte of an inbound connection.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(3);
/// Timeout of the handshakes of an inbound connection.
pub const INBOUND_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Origins whose refused connections are counted.
pub const MAX_REFUSED_ORIGINS: usize = 64;
/// Concurrent dials.
pub const MAX_PENDING_OUTBOUND: u32 = 64;
/// Addresses that one dial tries concurrently.
pub const MAX_SOCKETS_PER_DIAL: NonZeroU8 = NonZeroU8::MIN.saturating_add(7);
/// File descriptors for which all of these limits hold, listeners included; with fewer the limits
/// are lower.
pub const FULL_DESCRIPTORS: usize = 1024;
/// Inbound connections from one origin.
pub const INBOUND_RATE: Rate = Rate { burst: 256, per_second: 16 };
/// Token buckets for the inbound connections of origins.
pub const MAX_INBOUND_BUCKETS: usize = 4096;
/// Concurrent streams on one connection.
pub const MAX_STREAMS_PER_CONNECTION: usize = 64;
/// Timeout of the handshakes of an outbound connection.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// No connection is accepted while the process uses more than this fraction of the machine's
/// memory.
pub const MAX_MEMORY_SHARE: f64 = 0.9;
/// Time between two pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Timeout of a ping.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Lost pings in a row after which a connection is closed.
pub const MAX_LOST_PINGS: u32 = 2;

/// Time between two hellos over one connection of a member.
pub const HELLO_INTERVAL: Duration = Duration::from_secs(15);
/// Hellos of one member; more are answered, but not evaluated.
pub const HELLO_RATE: Rate = Rate { burst: 64, per_second: 16 };
/// A connection that has not answered a hello for this long is closed if another one of the same
/// member has.
pub const STALE_TIMEOUT: Duration = Duration::from_secs(5);
/// Reports of processes in one hello: two for each member.
pub const MAX_HELLO_REPORTS: usize = 2 * MAX_MEMBERS;
/// Proofs of duplicates in one hello.
pub const MAX_HELLO_PROOFS: usize = 4;
/// With more members than this, only a random part of the hellos contains reports of third members:
/// in each round about this many.
pub const FULL_REPORT_MEMBERS: usize = 16;
/// The longest backoff between two reconnects of a member that gossip does not reach.
pub const MAX_RECONNECT_WAIT: Duration = Duration::from_secs(1800);

// --- addresses ------------------------------------------------------------------------------

/// Addresses of one member from the manifest, and as many from identify.
pub const MAX_ADDRESSES_PER_MEMBER: usize = 16;
/// Addresses of one member from this node's operator.
pub const MAX_OPERATOR_ADDRESSES: usize = 8;
/// Source IPs of one member's authenticated connections, kept so that its next connection has a
/// slot of its own class.
pub const MAX_OBSERVED_IPS: usize = 2;
/// Addresses in a member's signed record.
pub const MAX_RECORD_ADDRESSES: usize = 8;
/// The largest signed record: [`MAX_RECORD_ADDRESSES`] of [`MAX_ADDRESS_BYTES`], key, signature and
/// framing.
pub const MAX_RECORD_BYTES: usize = 3 << 10;
/// Newer records of one member.
pub const RECORD_RATE: Rate = Rate { burst: 8, per_second: 1 };
/// The largest request for records: the requester's own record, and a sequence number for each
/// member.
pub const MAX_RECORD_REQUEST_BYTES: usize = 16 << 10;
/// The largest answer: a record of each member.
pub const MAX_RECORD_RESPONSE_BYTES: usize = 512 << 10;
/// Requests for records from one member.
pub const RECORD_REQUEST_RATE: Rate = Rate { burst: 16, per_second: 1 };
/// Concurrent streams with requests for records on one connection.
pub const MAX_RECORD_STREAMS: usize = 4;
/// Timeout of a request for records.
pub const RECORD_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two requests for records to a random connected member.
pub const RECORD_REQUEST_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest time between two records that we sign because others have a newer one of ours: two
/// processes with one identity would replace each other's record all the time.
pub const OWN_RECORD_MIN_INTERVAL: Duration = Duration::from_secs(60);
/// Delay between a change of the records and the write to disk.
pub const RECORDS_SAVE_DELAY: Duration = Duration::from_secs(1);
/// Delay before a failed write of the records is retried.
pub const RECORDS_SAVE_RETRY: Duration = Duration::from_secs(30);
/// The first backoff before an address that could not be listened on is retried.
pub const LISTEN_RETRY_BASE: Duration = Duration::from_millis(500);
/// The longest backoff before it is retried.
pub const LISTEN_RETRY_CAP: Duration = Duration::from_secs(5);
/// Concurrent name lookups; each blocks a thread.
pub const MAX_NAME_LOOKUPS: usize = 32;
/// Timeout of a name lookup.
pub const NAME_LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// IP addresses of one name that are dialled.
pub const MAX_NAME_RESULTS: usize = 8;
/// The largest multiaddress.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// Failed dials in a row after which an address from identify is dropped; others are never dropped.
pub const MAX_IDENTIFY_FAILURES: u32 = 8;
/// The first backoff before a member is dialled again.
pub const REDIAL_BASE: Duration = Duration::from_millis(500);
/// The longest backoff before a member is dialled again.
pub const REDIAL_CAP: Duration = Duration::from_secs(60);
/// Head start of a dial over QUIC before one over TCP to the same member.
pub const QUIC_HEAD_START: Duration = Duration::from_secs(1);
/// Time until a member that is connected over TCP is dialled over QUIC; it doubles with each
/// attempt.
pub const QUIC_UPGRADE_BASE: Duration = Duration::from_secs(60);
/// The longest time between two such attempts.
pub const QUIC_UPGRADE_CAP: Duration = Duration::from_secs(3600);
/// Delay of the first dial by the node with the greater id, so that two nodes do not dial each
/// other at the same moment.
pub const DIAL_TIE_BREAK: Duration = Duration::from_millis(300);

// --- bulk -----------------------------------------------------------------------------------

/// A stream on which neither [`PROGRESS_BYTES`] nor a whole frame moves for this long is stalled.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that count as progress on a stream.
pub const PROGRESS_BYTES: usize = 64 << 10;
/// The most digests in a chunk list.
pub const MAX_LIST_DIGESTS: usize = (MAX_OBJECT_BYTES / CHUNK_SIZE_BYTES as u64) as usize;
/// Requests in flight to one holder for one object.
pub const FETCH_WINDOW: usize = 8;
/// Requests in flight on one stream.
pub const STREAM_WINDOW: usize = 16;
/// Requests queued for one stream.
pub const STREAM_QUEUE: usize = 64;
/// Chunks in memory between network and disk, for all fetches together.
pub const FETCH_BUDGET_CHUNKS: usize = 64;
/// Active fetches; others wait.
pub const MAX_ACTIVE_FETCHES: usize = 32;
/// Fetches, active or waiting.
pub const MAX_FETCHES: usize = 4096;
/// Holders of one object.
pub const MAX_HOLDERS: usize = MAX_MEMBERS;
/// Holders that one object is fetched from concurrently.
pub const MAX_PARALLEL_HOLDERS: usize = 4;
/// Refusals in a row after which a holder is given up for one object.
pub const MAX_REFUSALS: u32 = 4;
/// The first backoff before a holder is asked again; it doubles each time.
pub const HOLDER_BACKOFF_BASE: Duration = Duration::from_millis(250);
/// The longest backoff before a holder is asked again.
pub const HOLDER_BACKOFF_CAP: Duration = Duration::from_secs(5);
/// Objects served at the same time.
pub const MAX_SERVED: usize = 65_536;
/// Inbound bulk streams of one member.
pub const MAX_BULK_STREAMS_PER_PEER: usize = 4;
/// Requests on one inbound bulk stream; more are delayed.
pub const BULK_REQUEST_RATE: Rate = Rate { burst: 1024, per_second: 512 };

// --- the daemon -----------------------------------------------------------------------------

/// Capacity of the channel of commands to the driver.
pub const COMMAND_QUEUE: usize = 256;
/// Capacity of the channel of events to the daemon.
pub const EVENT_QUEUE: usize = 64;
/// Queued events that must not be lost; at this number the swarm is no longer polled.
pub const MAX_PENDING_EVENTS: usize = 512;
/// Queued messages from one peer by one sender.
pub const MAX_INBOX_EVENTS_PER_SENDER: usize = 256;
/// Queued messages from one peer, of all senders.
pub const MAX_INBOX_EVENTS_PER_PEER: usize = 4096;
/// Bytes of all queued messages, divided evenly by the number of members, or by 16 if they are
/// fewer.
pub const MAX_INBOX_BYTES: usize = 64 << 20;
/// Bytes that each peer may have queued in any case.
pub const MIN_INBOX_BYTES_PER_PEER: usize = 2 * MAX_DIRECT_BYTES;
/// Labels under which bytes are counted.
pub const MAX_LABELS: usize = 16;

/// The parameters of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Its capacity: how many tokens can be taken at once.
    pub burst: u32,
    /// Tokens that are added each second.
    pub per_second: u32,
}
