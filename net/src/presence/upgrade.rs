//! One hello each way over a stream of its own: `length u32 LE, hello`, answered with the same.

use std::future::Future;
use std::io;
use std::iter::{Once, once};
use std::pin::Pin;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::{Stream, StreamProtocol};

use super::copies::SharedCopies;
use super::wire::{Hello, MAX_HELLO_BYTES};
use crate::protocols;

/// What came over a connection.
#[derive(Debug)]
pub(crate) enum Said {
    /// The other side's question; it has been answered.
    Asked(Hello),
    /// The answer to ours.
    Answered(Hello),
}

/// Answers the questions of one member.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(super) peer: IdentityKey,
    pub(super) copies: SharedCopies,
}

/// Asks.
#[derive(Debug)]
pub(crate) struct Asking(pub(super) Hello);

type Talk = Pin<Box<dyn Future<Output = io::Result<Said>> + Send>>;

impl UpgradeInfo for Answering {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(protocols::PRESENCE)
    }
}

impl UpgradeInfo for Asking {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(protocols::PRESENCE)
    }
}

impl InboundUpgrade<Stream> for Answering {
    type Output = Said;
    type Error = io::Error;
    type Future = Talk;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> Talk {
        Box::pin(async move {
            let asked = read(&mut stream).await?;
            let answer = self.copies.lock().hello_to(&self.peer, tokio::time::Instant::now());
            write(&mut stream, &answer).await?;
            stream.close().await?;
            Ok(Said::Asked(asked))
        })
    }
}

impl OutboundUpgrade<Stream> for Asking {
    type Output = Said;
    type Error = io::Error;
    type Future = Talk;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> Talk {
        Box::pin(async move {
            write(&mut stream, &self.0).await?;
            let answer = read(&mut stream).await?;
            // The answer is what counts; a goodbye that fails changes nothing.
            let _ = stream.close().await;
            Ok(Said::Answered(answer))
        })
    }
}

async fn write(stream: &mut Stream, hello: &Hello) -> io::Result<()> {
    let bytes = hello.encode();
    stream.write_all(&(bytes.len() as u32).to_le_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn read(stream: &mut Stream) -> io::Result<Hello> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HELLO_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a hello over its bound"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Hello::decode(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a hello"))
}
