//! One hello in each direction over a stream of its own: `length u32 LE, hello`, answered in the
//! same form.

use std::future::Future;
use std::io;
use std::iter::{Once, once};
use std::pin::Pin;

use fedshield_protocol::ids::IdentityKey;
use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::{Stream, StreamProtocol};

use super::instances::SharedInstances;
use super::wire::{Hello, MAX_HELLO_BYTES};
use crate::protocols;

/// A completed exchange of hellos.
#[derive(Debug)]
pub(crate) enum HelloExchange {
    /// The other side's hello; it has been answered.
    Received(Hello),
    /// The answer to ours.
    Answered(Hello),
}

/// Answers the hellos of one member.
#[derive(Clone)]
pub(crate) struct InboundHello {
    pub(super) peer: IdentityKey,
    pub(super) instances: SharedInstances,
}

/// Sends a hello and reads the answer.
#[derive(Debug)]
pub(crate) struct OutboundHello(pub(super) Hello);

type ExchangeFuture = Pin<Box<dyn Future<Output = io::Result<HelloExchange>> + Send>>;

impl UpgradeInfo for InboundHello {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(protocols::PRESENCE)
    }
}

impl UpgradeInfo for OutboundHello {
    type Info = StreamProtocol;
    type InfoIter = Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        once(protocols::PRESENCE)
    }
}

impl InboundUpgrade<Stream> for InboundHello {
    type Output = HelloExchange;
    type Error = io::Error;
    type Future = ExchangeFuture;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> ExchangeFuture {
        Box::pin(async move {
            let hello = read(&mut stream).await?;
            let answer = self.instances.lock().hello_to(&self.peer, tokio::time::Instant::now());
            write(&mut stream, &answer).await?;
            stream.close().await?;
            Ok(HelloExchange::Received(hello))
        })
    }
}

impl OutboundUpgrade<Stream> for OutboundHello {
    type Output = HelloExchange;
    type Error = io::Error;
    type Future = ExchangeFuture;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> ExchangeFuture {
        Box::pin(async move {
            write(&mut stream, &self.0).await?;
            let answer = read(&mut stream).await?;
            // The answer is complete; an error of the close changes nothing.
            let _ = stream.close().await;
            Ok(HelloExchange::Answered(answer))
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
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a hello over its limit"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Hello::decode(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a hello"))
}
