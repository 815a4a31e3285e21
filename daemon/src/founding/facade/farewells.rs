//! Notifies the others that this node has left: the owner and, if this node has signed, each fellow
//! founder, because any of them may see its name on a manifest. Repeated until each has been
//! reached, also after restarts.

use std::time::Duration;

use fedshield_protocol::ids::{Digest, IdentityKey};
use fedshield_protocol::manifest::Member;
use tokio_util::sync::CancellationToken;

use super::super::message::{Ask, Refusal, Reply};
use super::super::partings::{Farewell, Why};
use super::super::{FoundingError, Invite, Token};
use super::{Founding, now_s};

/// The pause between two rounds of farewells.
const FAREWELL_INTERVAL: Duration = Duration::from_secs(30);
const FAREWELL_INTERVAL_MAX: Duration = Duration::from_secs(3600);

impl Founding {
    /// One for each member except this node and `owner`. This node has none of their tokens, so a
    /// random one fills the field.
    pub(super) fn farewells(
        &self,
        members: &[Member],
        owner: Option<IdentityKey>,
        until_s: u64,
    ) -> Result<Vec<Farewell>, FoundingError> {
        let me = self.inner.identity.key();
        let others = members.iter().filter(|member| {
            member.identity_key != me
                && Some(member.identity_key) != owner
                && !member.addresses.is_empty()
        });
        others
            .map(|member| {
                let token = Token::random()?;
                let (to, addresses) = (member.identity_key, member.addresses.clone());
                Ok(Farewell { to, addresses, token, until_s })
            })
            .collect()
    }

    /// Notifies the remaining members that this node has left, repeatedly until each has been
    /// reached.
    pub async fn send_farewells(&self, stop: &CancellationToken) {
        let mut pause = FAREWELL_INTERVAL;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = if self.send_farewells_once().await {
                FAREWELL_INTERVAL
            } else {
                (pause * 2).min(FAREWELL_INTERVAL_MAX)
            };
        }
    }

    /// Asks each of them once. False if some could not be reached.
    pub async fn send_farewells_once(&self) -> bool {
        let mut tried: Vec<(Digest, IdentityKey)> = Vec::new();
        let mut all = true;
        loop {
            let next = self.lock().partings.change(|all| all.next_farewell(now_s(), &tried));
            let Ok(Some((left, farewell))) = next else { return all };
            tried.push((left.founding_id, farewell.to));
            let invite = Invite {
                founding_id: left.founding_id,
                owner: farewell.to,
                token: farewell.token,
                expires_at_s: 0,
                member_count: 0,
                addresses: farewell.addresses,
            };
            let rejects = left.why == Why::Rejected;
            let ask = Ask::Leave { sealing_key: left.sealing_key, parted: true, rejects };
            let told = match self.ask(&invite, ask).await {
                Ok(Reply::Refused { refusal: Refusal::Later { .. } }) => false,
                // A member that refuses for another reason has received the farewell.
                Ok(Reply::Left | Reply::Refused { .. } | Reply::Founded { .. }) => true,
                Ok(_) | Err(_) => false,
            };
            all &= told;
            if told {
                let (id, to) = (left.founding_id, farewell.to);
                if let Err(error) = self.lock().partings.change(|all| all.mark_delivered(&id, &to))
                {
                    tracing::warn!(%error, "a delivered farewell cannot be removed from the file");
                }
                self.publish();
            }
        }
    }
}
