//! The transport of a node: QUIC, and TCP with Noise and Yamux. Every byte is counted.

mod node;
mod quic_first;
mod resolver;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent};
use libp2p::core::transport::Boxed;
use libp2p::core::{Transport, upgrade};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, quic, tcp, yamux};

use crate::admission::{AdmissionControl, first_byte_flag};
use crate::error::StartError;
use crate::limits::{HANDSHAKE_TIMEOUT, MAX_STREAMS_PER_CONNECTION};
use crate::stats::Counter;

use node::NodeTransport;
pub use quic_first::is_quic;
pub(crate) use quic_first::quic_first;
pub(crate) use resolver::Resolver;

/// Builds the transport of one node.
///
/// # Errors
/// [`StartError::Setup`] if Noise does not accept the key pair.
pub(crate) fn build(
    pair: &Keypair,
    counter: &Arc<Counter>,
    resolver: Resolver,
    admission: AdmissionControl,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, StartError> {
    let noise = noise::Config::new(pair).map_err(|error| StartError::Setup(error.to_string()))?;
    let mut yamux = yamux::Config::default();
    yamux.set_max_num_streams(MAX_STREAMS_PER_CONNECTION);
    let (on_tcp, on_quic) = (counter.clone(), counter.clone());

    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .map(move |stream, _| Counted {
            inner: stream,
            counter: on_tcp.clone(),
            first_byte: first_byte_flag(),
        })
        .upgrade(upgrade::Version::V1)
        .authenticate(noise)
        .multiplex(yamux)
        .timeout(HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));

    let mut config = quic::Config::new(pair);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_concurrent_stream_limit = MAX_STREAMS_PER_CONNECTION as u32;
    let quic = quic::tokio::Transport::new(config).map(move |(peer, connection), _| {
        let counter = on_quic.clone();
        (peer, StreamMuxerBox::new(CountedMuxer { inner: connection, counter }))
    });

    let both = quic.or_transport(tcp).map(|either, _| either.into_inner()).boxed();
    Ok(NodeTransport::new(both, resolver, admission).boxed())
}

/// A stream whose bytes are counted.
struct Counted<S> {
    inner: S,
    counter: Arc<Counter>,
    /// Set and dropped with the first byte of an inbound handshake.
    first_byte: Option<Arc<AtomicBool>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.counter.received(count);
        if count > 0
            && let Some(flag) = self.first_byte.take()
        {
            flag.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
        self.counter.sent(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.counter.sent(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// A QUIC connection whose streams are counted.
struct CountedMuxer<M> {
    inner: M,
    counter: Arc<Counter>,
}

impl<M: StreamMuxer + Unpin> StreamMuxer for CountedMuxer<M>
where
    M::Substream: Unpin,
{
    type Substream = Counted<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_inbound(cx))?;
        Poll::Ready(Ok(Counted { inner, counter: self.counter.clone(), first_byte: None }))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let inner = ready!(Pin::new(&mut self.inner).poll_outbound(cx))?;
        Poll::Ready(Ok(Counted { inner, counter: self.counter.clone(), first_byte: None }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
