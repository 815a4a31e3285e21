//! Real daemons pass evidence on. A member equivocates towards one daemon; another one that cannot
//! have seen it, and one that was not running, receive the evidence, store it and export it, and
//! it verifies with the manifest alone.
//!
//! The equivocating member is played by the test: it has the identity of the fourth member, whose
//! daemon is stopped, and a network that knows the first member only.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fedshield_net::{
    AddressStore, MemberAddr, Net, NetConfig, NetEvent, NetHandle, SecretKey, Tuning,
};
use fedshield_protocol::ids::{MemberIndex, Round, SetDigest};
use fedshield_protocol::manifest::{SignedManifest, ValidManifest};
use fedshield_protocol::object::ObjectRef;
use fedshield_protocol::sign::{Ed25519, Signatures};
use fedshield_protocol::wire::evidence::Rule;
use fedshield_protocol::wire::{Body, Scope, Signed};
use fedshield_tests::{Daemon, Federation, Program, Terms};
use fedshieldd::control::api::{ErrorCode, EvidenceView};
use fedshieldd::home::Home;
use fedshieldd::identity::Identity;
use fedshieldd::objects::Objects;
use tokio::sync::mpsc::Receiver;

/// Sees both statements.
const WITNESS: usize = 0;
/// Runs, and gets the evidence from the witness.
const TOLD: usize = 1;
/// Is stopped meanwhile, and gets the evidence when it is back.
const AWAY: usize = 2;
const FAULTY: usize = 3;

/// A Byzantine member that sends arbitrary messages to one other member.
struct Puppet {
    identity: Identity,
    net: NetHandle,
    events: Receiver<NetEvent>,
    manifest: ValidManifest,
}

/// Addresses are forgotten with the puppet.
struct NoAddresses;

impl AddressStore for NoAddresses {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn save(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

impl Puppet {
    /// Takes the place of the daemon of `home` and connects with `to` alone.
    async fn connect(home: &Home, objects: &Path, to: usize) -> Self {
        let identity =
            Identity::open(&home.identity(), None).expect("the identity is not encrypted");
        let founded = fs::read(home.manifest()).expect("the manifest is there");
        let founded = SignedManifest::decode(&founded).expect("it decodes");
        let manifest = ValidManifest::founded(founded).expect("it founds a federation");
        let store = Objects::open(objects).expect("the folder can be made");
        let config = NetConfig {
            identity: SecretKey::new(identity.seed()),
            listen: Vec::new(),
            store: Arc::new(store),
            addresses: Arc::new(NoAddresses),
            tuning: Tuning::default(),
        };
        let (net, events) = Net::start(config).await.expect("the network starts");
        let other = &manifest.manifest().members[to];
        let addresses = other.addresses.iter().map(|it| it.parse().expect("a multiaddress"));
        let other = MemberAddr { key: other.identity_key, addresses: addresses.collect() };
        net.set_members(manifest.federation(), vec![other]).await.expect("one member");
        let mut puppet = Self { identity, net, events, manifest };
        let up =
            async { while !matches!(puppet.events.recv().await, Some(NetEvent::PeerUp(_))) {} };
        tokio::time::timeout(Duration::from_secs(60), up).await.expect("it is connected");
        puppet
    }

    /// Sends `body` to member `to`, signed by the faulty member.
    async fn say(&self, to: usize, round: Round, body: Body) {
        let scope =
            Scope { federation: self.manifest.federation(), epoch: self.manifest.epoch(), round };
        let sender = MemberIndex(u16::try_from(FAULTY).expect("a small number"));
        let digest = scope.digest(sender, &body).expect("it is short");
        let signature = Ed25519::new(self.identity.signing_key().clone()).sign(&digest);
        let bytes = Signed::new(scope, sender, body, signature).encode().expect("it is short");
        let key = self.manifest.manifest().members[to].identity_key;
        self.net.send(key, bytes).await.expect("it is received");
    }
}

/// Two partial decryptions of one member in the round in which the witness is, until it has
/// evidence.
async fn equivocate(puppet: &Puppet, witness: &Daemon) {
    for _ in 0..60 {
        let round = witness.control().status().await.ok().and_then(|status| status.machine);
        if let Some(round) = round.map(|machine| machine.round) {
            for content in [b"one", b"two"] {
                let (set, object) = (SetDigest([7; 32]), ObjectRef::of(content));
                puppet.say(WITNESS, round, Body::Partial { set, object }).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        if !witness.control().evidence().await.unwrap_or_default().is_empty() {
            return;
        }
    }
    panic!("the witness has noticed nothing");
}

/// What `evidence list --json` prints for a home whose daemon runs or not.
fn list(program: &Program, home: &Path) -> Vec<EvidenceView> {
    let printed = program.run(home, ["evidence", "list", "--json"]).ok();
    serde_json::from_str(&printed).expect("it is a list")
}

fn has_evidence(daemon: &Daemon) -> bool {
    daemon.status().is_some_and(|status| status.misbehaviour.iter().any(|it| it.starts_with("m3:")))
}

#[test]
fn daemons_pass_evidence_on_and_it_verifies_with_the_manifest_alone() {
    let program = Program::new(env!("CARGO_BIN_EXE_fedshield"));
    let terms = Terms { rounds: 1000, ..Terms::default() };
    let mut federation = Federation::found(&program, &terms);
    let homes: Vec<_> = federation.daemons.iter().map(|daemon| daemon.home.clone()).collect();
    federation.wait_until("a round has ended everywhere", |daemons| {
        daemons.iter().all(|daemon| !daemon.rounds().is_empty())
    });
    // Two are stopped: the round in progress cannot end before one of them is back.
    federation.daemons[AWAY].kill();
    federation.daemons[FAULTY].kill();

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let objects = federation.folder().join("puppet-objects");
    runtime.block_on(async {
        let puppet = Puppet::connect(&Home::new(&homes[FAULTY]), &objects, WITNESS).await;
        equivocate(&puppet, &federation.daemons[WITNESS]).await;
        puppet.net.shutdown().await;
    });
    let seen = list(&program, &homes[WITNESS]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((seen[0].member.as_str(), seen[0].rule), ("m3", Some(Rule::Equivocation)));

    federation.wait_until("one that has not seen it has the evidence", |daemons| {
        has_evidence(&daemons[TOLD])
    });
    federation.restart(AWAY);
    federation.wait_until("one that was stopped has it", |daemons| has_evidence(&daemons[AWAY]));

    for member in [TOLD, AWAY] {
        let told = list(&program, &homes[member]);
        assert_eq!(told.len(), 1, "{told:?}");
        let (told, seen) = (&told[0], &seen[0]);
        assert_eq!((told.digest, &told.member), (seen.digest, &seen.member));
        assert_eq!((told.round, told.rule), (seen.round, seen.rule));
        assert!(told.bans && told.lifted.is_none(), "{told:?}");
        let kept = fs::metadata(Home::new(&homes[member]).evidence()).expect("the file is there");
        assert!(kept.len() > told.bytes, "the file holds the proof");
        // It is on disk: without its daemon the home gives the same answer.
        federation.daemons[member].kill();
        assert_eq!(&list(&program, &homes[member])[0], told);
        federation.restart(member);
    }
    verifies_anywhere(&program, &federation, &homes[AWAY], &seen[0]);
    goes_on_without_the_faulty_member(&mut federation);
}

/// Exports the proof from a home that was told of it, and verifies it where there is nothing but
/// the manifest.
fn verifies_anywhere(program: &Program, federation: &Federation, from: &Path, seen: &EvidenceView) {
    let folder = federation.folder().join("elsewhere");
    fs::create_dir(&folder).expect("a folder can be made");
    let [file, manifest, nothing] =
        ["proof.fse", "manifest.signed", "no-home"].map(|name| folder.join(name));
    fs::copy(Home::new(from).manifest(), &manifest).expect("it can be copied");
    let [file_name, manifest_name] = [&file, &manifest].map(|path| path.display().to_string());
    let digest = seen.digest.to_string();
    program.run(from, ["evidence", "export", &digest[..12], &file_name]).ok();
    let verify = ["evidence", "verify", &file_name, "--manifest", &manifest_name, "--json"];
    let verified = program.run(&nothing, verify).ok();
    let verified: serde_json::Value = serde_json::from_str(&verified).expect("it is JSON");
    assert_eq!(verified["member"], "m3");
    assert_eq!(verified["rule"], "equivocation");
    assert_eq!(verified["round"], serde_json::json!(seen.round));

    let mut changed = fs::read(&file).expect("it was written");
    let last = changed.len() - 40;
    changed[last] ^= 1;
    fs::write(&file, changed).expect("it can be written");
    program.run(&nothing, verify).fails(ErrorCode::LedgerInvalid.exit_code(), &["evidence"]);
}

/// The others finish rounds, and every one of them leaves the faulty member's updates out.
fn goes_on_without_the_faulty_member(federation: &mut Federation) {
    let before = federation.daemons[WITNESS].rounds().len();
    federation.restart(FAULTY);
    federation.wait_until("rounds go on", |daemons| daemons[WITNESS].rounds().len() > before + 2);
    let rounds = federation.daemons[WITNESS].rounds();
    for round in &rounds[before + 1..] {
        assert!(round.contributors.iter().all(|name| name != "m3"), "{round:?}");
    }
}
