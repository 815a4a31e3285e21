//! QUIC handshakes that never complete, and the key exchange of those that do.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{MemberAddr, Multiaddr};
use libp2p::identity::Keypair;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, NamedGroup, SignatureScheme};
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use crate::flooding::socket_of;
use crate::support::{FEDERATION, Node, PATIENCE, QUIC};

/// A client with the TLS configuration of every libp2p node.
fn client() -> quinn::Endpoint {
    endpoint(libp2p_tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap())
}

fn endpoint(config: rustls::ClientConfig) -> quinn::Endpoint {
    let config = QuicClientConfig::try_from(config).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(config)));
    endpoint
}

/// Accepts every certificate: this is about the key exchange.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The one certificate that there is.
#[derive(Debug)]
struct Own(Arc<CertifiedKey>);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The group that two nodes agree on with the configurations that libp2p's QUIC uses, as reported
/// by rustls.
#[test]
fn two_nodes_agree_on_a_post_quantum_key_exchange() {
    let pair = Keypair::generate_ed25519;
    let client = libp2p_tls::make_client_config(&pair(), None).unwrap();
    let server = libp2p_tls::make_server_config(&pair()).unwrap();
    let name = ServerName::try_from("l").unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    for group in [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()] {
        let name = group.unwrap().name();
        assert_eq!(name, NamedGroup::X25519MLKEM768);
    }
}

/// A running node, dialled by a client that offers the post-quantum group only.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_node_accepts_a_post_quantum_key_exchange() {
    let alice = Node::start(1, QUIC).await;
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| group.name() == NamedGroup::X25519MLKEM768);
    assert_eq!(provider.kx_groups.len(), 1);
    let (certificate, key) =
        libp2p_tls::certificate::generate(&Keypair::generate_ed25519()).unwrap();
    let key = aws_lc_rs::sign::any_ecdsa_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![certificate], key);
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous))
        .with_client_cert_resolver(Arc::new(Own(Arc::new(certified))));
    config.alpn_protocols = vec![b"libp2p".to_vec()];
    let connecting = endpoint(config).connect(socket_of(&alice.address()), "l").unwrap();
    timeout(PATIENCE, connecting).await.unwrap().unwrap();
}

/// Forwards a first datagram, and never the answer.
async fn one_way(to: &Multiaddr, source: Ipv4Addr) -> u16 {
    let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let outer = UdpSocket::bind((source, 0)).await.unwrap();
    outer.connect(socket_of(to)).await.unwrap();
    let port = inner.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = vec![0; 2048];
        while let Ok((count, _)) = inner.recv_from(&mut buffer).await {
            let _ = outer.send(&buffer[..count]).await;
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_quic_handshakes_do_not_lock_members_out() {
    let (alice, mut bob) = (Node::start(1, QUIC).await, Node::start(2, QUIC).await);
    let unknown = MemberAddr { key: bob.key(), addresses: vec![] };
    alice.handle.set_members(FEDERATION, vec![unknown]).await.unwrap();
    let port = one_way(&alice.address(), Ipv4Addr::new(127, 9, 9, 9)).await;
    let attack = tokio::spawn(async move {
        let (client, mut all) = (client(), Vec::new());
        for number in 0.. {
            all.push(client.connect(([127, 0, 0, 1], port).into(), "l").unwrap());
            if number > 70 {
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    sleep(Duration::from_secs(2)).await;
    bob.handle.set_members(FEDERATION, vec![alice.member()]).await.unwrap();
    let came = timeout(Duration::from_secs(6), bob.expect_up(alice.key())).await;
    attack.abort();
    assert!(came.is_ok(), "the member was kept out");
}
