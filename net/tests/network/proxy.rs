//! A proxy between two nodes that can drop or hold all bytes without closing a connection, as after
//! a power cut, a pause of the machine or a lost NAT mapping.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use fedshield_net::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, UdpSocket};
use tokio::sync::watch;

/// What happens to the bytes of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Open,
    /// Bytes are held and delivered when the line is open again: a paused machine.
    Held,
    /// Bytes are dropped, and so is the end of the connection.
    Dead,
}

/// Forwards to the current target address.
pub(crate) struct Proxy {
    /// Where the proxy listens.
    pub(crate) address: Multiaddr,
    target: Arc<Mutex<SocketAddr>>,
    /// The state of the connections made so far; a new connection uses the newest.
    lines: Arc<Mutex<watch::Sender<Line>>>,
}

impl Proxy {
    /// A proxy in front of a node's address, TCP or QUIC.
    pub(crate) async fn before(target: &Multiaddr) -> Self {
        Self::before_from(target, Ipv4Addr::LOCALHOST).await
    }

    /// The same; the node sees connections through it as coming from `source`.
    pub(crate) async fn before_from(target: &Multiaddr, source: Ipv4Addr) -> Self {
        let over_udp = target.iter().any(|part| matches!(part, Protocol::Udp(_)));
        let target = Arc::new(Mutex::new(socket_of(target)));
        let lines = Arc::new(Mutex::new(watch::Sender::new(Line::Open)));
        let (to, of) = (target.clone(), lines.clone());
        let address = if over_udp {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let port = socket.local_addr().unwrap().port();
            tokio::spawn(serve_udp(Arc::new(socket), source, to, of));
            format!("/ip4/127.0.0.1/udp/{port}/quic-v1")
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(serve_tcp(listener, source, to, of));
            format!("/ip4/127.0.0.1/tcp/{port}")
        };
        Self { address: address.parse().unwrap(), target, lines }
    }

    /// The target of new connections from now on.
    pub(crate) fn lead_to(&self, target: &Multiaddr) {
        *self.target.lock().unwrap() = socket_of(target);
    }

    /// Open connections drop all bytes from now on; new ones work.
    pub(crate) fn cut(&self) {
        self.end_with(Line::Dead);
    }

    /// Open connections hold all bytes until [`Held::release`] is called.
    pub(crate) fn hold(&self) -> Held {
        Held(self.end_with(Line::Held))
    }

    fn end_with(&self, state: Line) -> watch::Sender<Line> {
        let old =
            std::mem::replace(&mut *self.lines.lock().unwrap(), watch::Sender::new(Line::Open));
        old.send_replace(state);
        old
    }
}

/// Connections whose bytes are held.
pub(crate) struct Held(watch::Sender<Line>);

impl Held {
    pub(crate) fn release(&self) {
        self.0.send_replace(Line::Open);
    }
}

type Lines = Arc<Mutex<watch::Sender<Line>>>;

fn socket_of(address: &Multiaddr) -> SocketAddr {
    let (mut ip, mut port) = (None, None);
    for part in address.iter() {
        match part {
            Protocol::Ip4(it) => ip = Some(it),
            Protocol::Tcp(it) | Protocol::Udp(it) => port = Some(it),
            _ => {}
        }
    }
    (ip.unwrap(), port.unwrap()).into()
}

async fn serve_tcp(
    listener: TcpListener,
    source: Ipv4Addr,
    target: Arc<Mutex<SocketAddr>>,
    lines: Lines,
) {
    while let Ok((client, _)) = listener.accept().await {
        let to = *target.lock().unwrap();
        let line = lines.lock().unwrap().subscribe();
        tokio::spawn(async move {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            let Ok(server) = socket.connect(to).await else { return };
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            tokio::join!(
                pump(client_in, server_out, line.clone()),
                pump(server_in, client_out, line),
            );
        });
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        let passes = line.wait_for(|it| *it != Line::Held).await.map_or(Line::Dead, |it| *it);
        if passes == Line::Open && count > 0 {
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        } else if count == 0 {
            if passes != Line::Open {
                // The other side must not notice that this one is closed: its half stays open until
                // the test ends.
                std::future::pending::<()>().await;
            }
            return;
        }
    }
}

async fn serve_udp(
    socket: Arc<UdpSocket>,
    source: Ipv4Addr,
    target: Arc<Mutex<SocketAddr>>,
    lines: Lines,
) {
    let mut clients: HashMap<SocketAddr, (Arc<UdpSocket>, watch::Receiver<Line>)> = HashMap::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok((count, client)) = socket.recv_from(&mut buffer).await {
        if let Entry::Vacant(new) = clients.entry(client) {
            let to = *target.lock().unwrap();
            let line = lines.lock().unwrap().subscribe();
            let upstream = Arc::new(UdpSocket::bind((source, 0)).await.unwrap());
            upstream.connect(to).await.unwrap();
            let (down, back, state) = (socket.clone(), upstream.clone(), line.clone());
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                loop {
                    // An error is "port unreachable": the node is being restarted.
                    let Ok(count) = back.recv(&mut buffer).await else { continue };
                    // Held datagrams are lost: QUIC retransmits.
                    if *state.borrow() == Line::Open {
                        let _ = down.send_to(&buffer[..count], client).await;
                    }
                }
            });
            new.insert((upstream, line));
        }
        let (upstream, line) = &clients[&client];
        if *line.borrow() == Line::Open {
            let _ = upstream.send(&buffer[..count]).await;
        }
    }
}
