//! Every bound of the network, in one place. Sizes in bytes, times in the unit of their type.
//!
//! Whatever a remote may make us hold, open, answer or wait for has its bound here.

use std::num::NonZeroU8;
use std::time::Duration;

use fedshield_protocol::limits::MAX_OBJECT_BYTES;
use fedshield_protocol::object::CHUNK_SIZE_BYTES;

// --- messages -------------------------------------------------------------------------------

/// The largest announcement that gossip carries.
pub const MAX_GOSSIP_BYTES: usize = 16 << 10;
/// What gossipsub adds around an announcement: signature, key, sequence number, topic, tags.
pub const GOSSIP_ENVELOPE_BYTES: usize = 1 << 10;
/// How far gossipsub reads beyond a message that is not complete yet. It holds its limit against
/// all that it has read, not against one message, so the limit must leave room for this; without
/// it, large announcements that follow each other closely end the stream and are lost.
pub const GOSSIP_READ_AHEAD_BYTES: usize = 8 << 10;
/// Announcements that one list of "I have" or "I want" names. Gossipsub takes at most 16 KiB of
/// such control messages at once, a name takes 34 bytes, and what is longer ends the stream.
pub const MAX_GOSSIP_NAMES: usize = 400;
/// The largest message sent to one member.
pub const MAX_DIRECT_BYTES: usize = 256 << 10;
/// The largest request of a joiner.
pub const MAX_JOIN_REQUEST_BYTES: usize = 64 << 10;
/// The largest answer to a joiner.
pub const MAX_JOIN_REPLY_BYTES: usize = 1 << 20;

/// How long an announcement is remembered, so that it is not passed on twice. Longer than it is
/// offered to those who may have missed it (3 s), or it would travel for ever.
pub const GOSSIP_MEMORY: Duration = Duration::from_secs(10);
/// Announcements that one author may make at once, and per second after that.
pub const GOSSIP_RATE: Rate = Rate { burst: 400, per_second: 40 };
/// Pairs of an author and a member that passes its announcements on whose rate is remembered.
pub const MAX_GOSSIP_BUCKETS: usize = MAX_MEMBERS * MAX_MEMBERS;
/// Direct messages that one member may send at once, and per second after that.
pub const DIRECT_RATE: Rate = Rate { burst: 400, per_second: 40 };
/// Topics that a peer may subscribe to.
pub const MAX_TOPICS_PER_PEER: usize = 4;
/// Gossip messages queued towards one peer; more are dropped for that peer alone.
pub const MAX_GOSSIP_QUEUE: usize = 512;
/// Direct streams open at once on one connection.
pub const MAX_DIRECT_STREAMS: usize = 16;
/// How long a direct message may take, until its receipt is back.
pub const DIRECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Direct messages under way to one member; the other half of its streams is for what it sends.
pub const DIRECT_WINDOW: usize = MAX_DIRECT_STREAMS / 2;
/// Direct messages that wait for one member.
pub const MAX_DIRECT_WAITING: usize = 1024;
/// Their length together.
pub const MAX_DIRECT_WAITING_BYTES: usize = 4 << 20;
/// The length of those that wait for all members.
pub const MAX_DIRECT_WAITING_BYTES_OF_ALL: usize = 64 << 20;
/// Calls that wait for what becomes of one and the same message.
pub const MAX_DIRECT_CALLERS: usize = 8;

// --- joining --------------------------------------------------------------------------------

/// Join requests that one peer may make at once, and per second after that.
pub const JOIN_RATE_PER_PEER: Rate = Rate { burst: 8, per_second: 1 };
/// Join requests that may come from one address at once, and per second after that.
pub const JOIN_RATE_PER_ORIGIN: Rate = Rate { burst: 32, per_second: 4 };
/// Join requests that all peers together may make at once, and per second after that.
pub const JOIN_RATE: Rate = Rate { burst: 128, per_second: 16 };
/// Peers, and addresses, whose join rate is remembered.
pub const MAX_JOIN_BUCKETS: usize = 1024;
/// Join requests that wait for the daemon's answer.
pub const MAX_JOINS_PENDING: usize = 32;
/// Join requests of our own under way.
pub const MAX_JOINS_OUT: usize = 16;
/// Join streams open at once on one connection.
pub const MAX_JOIN_STREAMS: usize = 2;
/// How long a joiner waits for an answer, at the longest.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the daemon may think about a join request.
pub const JOIN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

// --- connections ----------------------------------------------------------------------------

/// The most members of a federation.
pub const MAX_MEMBERS: usize = 128;
/// Connections from outsiders at once.
pub const MAX_GUESTS: usize = 64;
/// Of these from one address.
pub const MAX_GUESTS_PER_ORIGIN: usize = 16;
/// How long an outsider may stay at least, whoever else wants in.
pub const GUEST_GRACE: Duration = Duration::from_secs(5);
/// How long an outsider may stay connected without asking anything.
pub const GUEST_IDLE_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections with one peer.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Connections in all: two for each member, and the guests.
pub const MAX_CONNECTIONS: u32 = 2 * MAX_MEMBERS as u32 + MAX_GUESTS as u32;
/// Inbound connections over one transport whose handshake is not over, from addresses at which members are known, from
/// anywhere else, and through this machine, relays and the operator's own proxies.
pub const MAX_PENDING_INBOUND: usize = 3 * MAX_PENDING_OF_A_KIND;
/// The same of each of the three.
pub const MAX_PENDING_OF_A_KIND: usize = 48;
/// The same from one address (an IPv4 address or an IPv6 /56).
pub const MAX_PENDING_PER_ORIGIN: usize = 12;
/// Time until an inbound connection has said something.
pub const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for the handshakes of an inbound connection.
pub const INBOUND_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of which is counted how often they were refused.
pub const MAX_REFUSED_ORIGINS: usize = 64;
/// Outbound connections whose handshake is not over.
pub const MAX_PENDING_OUTBOUND: u32 = 64;
/// Addresses of one member that a dial tries at once.
pub const MAX_SOCKETS_PER_DIAL: NonZeroU8 = NonZeroU8::MIN.saturating_add(7);
/// Descriptors that all of this takes at the most, listeners included.
pub const FULL_DESCRIPTORS: usize = 1024;
/// Inbound connections from one address (an IPv4 address or an IPv6 /56).
pub const INBOUND_RATE: Rate = Rate { burst: 256, per_second: 16 };
/// Addresses whose inbound rate is remembered.
pub const MAX_INBOUND_BUCKETS: usize = 4096;
/// Streams open at once on one connection.
pub const MAX_STREAMS_PER_CONNECTION: usize = 64;
/// Time for the handshakes of a connection that we dial.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// No new connection while the process uses more than this share of the machine's memory.
pub const MAX_MEMORY_SHARE: f64 = 0.9;
/// Between two pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A ping without an answer for this long counts as lost.
pub const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Lost pings in a row after which a connection is closed.
pub const MAX_LOST_PINGS: u32 = 2;

/// Between two hellos over one connection of a member.
pub const HELLO_INTERVAL: Duration = Duration::from_secs(15);
/// Hellos that one member may say at once, and per second after that; more are answered and not looked at.
pub const HELLO_RATE: Rate = Rate { burst: 64, per_second: 16 };
/// A connection that has not answered a hello for this long is closed if another one of the same member has.
pub const STALE_TIMEOUT: Duration = Duration::from_secs(5);
/// Processes that one hello names: those of all members, twice.
pub const MAX_HELLO_REPORTS: usize = 2 * MAX_MEMBERS;
/// Proofs of second copies that one hello carries.
pub const MAX_HELLO_PROOFS: usize = 4;
/// Of more members than this, a hello names the others by chance only, so that this many hear of them in each round.
pub const REPORTS_TO: usize = 16;
/// The longest wait before the connections of a member that gossip does not reach are made anew once more.
pub const MAX_REMAKE_WAIT: Duration = Duration::from_secs(1800);

// --- addresses ------------------------------------------------------------------------------

/// Addresses kept for one member from the manifest, and as many of those that it told over a connection.
pub const MAX_ADDRESSES_PER_MEMBER: usize = 16;
/// Addresses kept for one member from this node's operator.
pub const MAX_OPERATOR_ADDRESSES: usize = 8;
/// Places that one member has last come from, kept so that it is let in from there again.
pub const MAX_PROVEN_PLACES: usize = 2;
/// Addresses in a member's signed record.
pub const MAX_RECORD_ADDRESSES: usize = 8;
/// The longest signed record: [`MAX_RECORD_ADDRESSES`] of [`MAX_ADDRESS_BYTES`], key, signature and framing.
pub const MAX_RECORD_BYTES: usize = 3 << 10;
/// Newer records of one member that are taken at once, and per second after that.
pub const RECORD_RATE: Rate = Rate { burst: 8, per_second: 1 };
/// The longest question for records: one's own, and a number for each member.
pub const MAX_ADDRESSES_ASK_BYTES: usize = 16 << 10;
/// The longest answer: a record of each member.
pub const MAX_ADDRESSES_ANSWER_BYTES: usize = 512 << 10;
/// Questions for records that one member may ask at once, and per second after that.
pub const ADDRESSES_ASK_RATE: Rate = Rate { burst: 16, per_second: 1 };
/// Streams with such questions open at once on one connection.
pub const MAX_ADDRESSES_STREAMS: usize = 4;
/// How long such a question may take.
pub const ADDRESSES_ASK_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two questions to a connected member for what one has missed.
pub const ADDRESSES_ASK_INTERVAL: Duration = Duration::from_secs(60);
/// After others have shown us a newer record of our own: until we sign another one. Two copies of one identity would
/// outbid each other all the time.
pub const OWN_RECORD_PAUSE: Duration = Duration::from_secs(60);
/// From a change of the address book until it is written.
pub const BOOK_SAVE_PAUSE: Duration = Duration::from_secs(1);
/// Until an address book that could not be written is tried again.
pub const BOOK_SAVE_RETRY: Duration = Duration::from_secs(30);
/// The first wait before an address that could not be listened on is tried again.
pub const LISTEN_RETRY_BASE: Duration = Duration::from_millis(500);
/// The longest wait before it is tried again.
pub const LISTEN_RETRY_CAP: Duration = Duration::from_secs(5);
/// Names looked up at once; each holds a thread while it lasts.
pub const MAX_NAME_LOOKUPS: usize = 32;
/// How long a dial waits for the address behind a name.
pub const NAME_LOOKUP_TIMEOUT: Duration = Duration::from_secs(20);
/// Addresses behind one name that are tried.
pub const MAX_NAME_RESULTS: usize = 8;
/// The longest address.
pub const MAX_ADDRESS_BYTES: usize = 256;
/// Failed dials in a row after which a learned address is forgotten; a given one never is.
pub const MAX_LEARNED_FAILURES: u32 = 8;
/// The first wait before dialling again.
pub const REDIAL_BASE: Duration = Duration::from_millis(500);
/// The longest wait before dialling again.
pub const REDIAL_CAP: Duration = Duration::from_secs(60);
/// How long a dial over QUIC goes before one to the same member over TCP.
pub const QUIC_HEAD_START: Duration = Duration::from_secs(1);
/// Until a member that is connected over TCP is tried over QUIC; doubled after each try.
pub const MOVE_BASE: Duration = Duration::from_secs(60);
/// The longest wait between two such tries.
pub const MOVE_CAP: Duration = Duration::from_secs(3600);
/// How long the member with the greater key leaves the first dial to the other one.
pub const DIAL_COURTESY: Duration = Duration::from_millis(300);

// --- bulk -----------------------------------------------------------------------------------

/// Without this many bytes ([`PROGRESS_BYTES`]) or a whole frame in this time, a stream is stalled.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What counts as progress on a stream: one byte now and then does not.
pub const PROGRESS_BYTES: usize = 64 << 10;
/// The most digests in a chunk list.
pub const MAX_LIST_DIGESTS: usize = (MAX_OBJECT_BYTES / CHUNK_SIZE_BYTES as u64) as usize;
/// Chunks asked of one holder for one object and not yet answered.
pub const FETCH_WINDOW: usize = 8;
/// Requests on one stream and not yet answered.
pub const STREAM_WINDOW: usize = 16;
/// Requests waiting for a place on one stream.
pub const STREAM_QUEUE: usize = 64;
/// Chunks in memory on their way from the network to the disk, for all fetches together.
pub const FETCH_BUDGET_CHUNKS: usize = 64;
/// Objects pulled at once; others wait.
pub const MAX_ACTIVE_FETCHES: usize = 32;
/// Objects asked for and not there yet.
pub const MAX_FETCHES: usize = 4096;
/// Holders named for one object.
pub const MAX_HOLDERS: usize = MAX_MEMBERS;
/// Holders pulled from at once for one object.
pub const MAX_PARALLEL_HOLDERS: usize = 4;
/// Refusals in a row after which a holder is given up for one object.
pub const MAX_REFUSALS: u32 = 4;
/// The first wait before a holder is asked again; it doubles each time.
pub const HOLDER_BACKOFF_BASE: Duration = Duration::from_millis(250);
/// The longest wait before a holder is asked again.
pub const HOLDER_BACKOFF_CAP: Duration = Duration::from_secs(5);
/// Objects served at once.
pub const MAX_SERVED: usize = 65_536;
/// Bulk streams that one member may hold open towards us.
pub const MAX_BULK_STREAMS_PER_PEER: usize = 4;
/// Requests that one member may make on a stream at once, and per second after that.
pub const BULK_REQUEST_RATE: Rate = Rate { burst: 1024, per_second: 512 };

// --- the seam to the daemon -----------------------------------------------------------------

/// Commands on their way to the network task.
pub const COMMAND_QUEUE: usize = 256;
/// Events on their way to the daemon, in the order in which it reads them.
pub const EVENT_QUEUE: usize = 64;
/// Events that must not be lost and wait inside the network task; with as many the network is no longer read.
pub const MAX_PENDING_EVENTS: usize = 512;
/// Messages that wait inside the network task, from one peer and by one author.
pub const MAX_INBOX_EVENTS_PER_AUTHOR: usize = 256;
/// The same from one peer, whoever wrote them.
pub const MAX_INBOX_EVENTS_PER_PEER: usize = 4096;
/// The length of all of them, shared evenly by the members.
pub const MAX_INBOX_BYTES: usize = 64 << 20;
/// What each peer may have waiting in any case.
pub const MIN_INBOX_BYTES_PER_PEER: usize = 2 * MAX_DIRECT_BYTES;
/// Labels under which bytes are counted.
pub const MAX_LABELS: usize = 16;

/// A token bucket's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// How many more may come each second.
    pub per_second: u32,
}
