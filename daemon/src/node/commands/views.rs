//! Members and errors as the control API returns them.

use fedshield_net::{AddressSource, Connection, KnownAddress, NetHandle};

use crate::control::api::{
    AddressOrigin, ApiError, ConnectionView, ErrorCode, KnownAddressView, MemberView, TransportKind,
};
use crate::host::PoolError;
use crate::jobs::PipelineError;
use crate::store::StoreError;

/// The members with their connections and known addresses.
pub(super) async fn with_connections(
    mut members: Vec<MemberView>,
    net: &NetHandle,
) -> Vec<MemberView> {
    // Without a network there are no connections to show.
    for peer in net.peers().await.unwrap_or_default() {
        let known = members.iter_mut().find(|member| member.identity_key == peer.key);
        let Some(member) = known else { continue };
        member.connections = peer.connections.iter().map(ConnectionView::from).collect();
        member.known_addresses = peer.addresses.iter().map(KnownAddressView::from).collect();
    }
    members
}

impl From<&Connection> for ConnectionView {
    fn from(connection: &Connection) -> Self {
        let post_quantum = connection.is_quic();
        Self {
            address: connection.address.to_string(),
            dialled: connection.dialled,
            transport: if post_quantum { TransportKind::Quic } else { TransportKind::Tcp },
            post_quantum,
        }
    }
}

impl From<&KnownAddress> for KnownAddressView {
    fn from(known: &KnownAddress) -> Self {
        let origin = |source: &AddressSource| match source {
            AddressSource::Operator => AddressOrigin::Operator,
            AddressSource::Signed => AddressOrigin::Signed,
            AddressSource::Manifest => AddressOrigin::Manifest,
            AddressSource::Identify => AddressOrigin::Told,
        };
        Self {
            address: known.address.to_string(),
            origins: known.sources.iter().map(origin).collect(),
            failures: known.failures,
            last_error: known.last_error.clone(),
        }
    }
}

impl From<PipelineError> for ApiError {
    fn from(error: PipelineError) -> Self {
        Self::new(error.code(), error.to_string()).with_hint(error.hint())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<PoolError> for ApiError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Busy => Self::new(ErrorCode::WrongState, error.to_string())
                .with_hint("wait until it is done; it makes way for the rounds"),
            PoolError::Lost => Self::new(ErrorCode::Internal, error.to_string()),
        }
    }
}
