//! Terms are checked when somebody is about to agree to them as they are when training on them begins: by the same code,
//! against the shipped model and real data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fedshield_fixtures::{members, real};
use fedshield_protocol::ids::{Digest, MemberIndex};
use fedshield_protocol::manifest::{Evaluation, Member, Offer, Terms, TermsFields, ValidManifest};
use fedshieldd::control::api::{ErrorCode, FoundRequest, JoinRequest, NewFederation, NodeState};
use fedshieldd::founding::{Founding, FoundingError, JoinPort, JoinPortError, Local};
use fedshieldd::home::Home;
use fedshieldd::identity::{Identity, Protection};
use fedshieldd::jobs::PipelineError;
use fedshieldd::learning::{ComputeDevice, LearningSources, OpenedModel};
use fedshieldd::terms::MemberTerms;

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/train/assets").join(name)
}

fn data(folder: &Path, lines: &str) -> PathBuf {
    let path = folder.join("data.jsonl");
    std::fs::write(&path, lines).unwrap();
    path
}

fn open(train: &Path) -> OpenedModel {
    let sources = LearningSources {
        model: asset("base"),
        train: vec![train.to_owned()],
        device: ComputeDevice::Cpu,
        ..LearningSources::default()
    };
    OpenedModel::open(sources).unwrap()
}

/// Terms that work with the shipped model.
fn good() -> TermsFields {
    let mut terms = fedshield_fixtures::terms();
    terms.training.sequence_length = 64;
    terms.encryption.clip = real(1.0);
    terms
}

const LINES: &str = "{\"instruction\": \"say a\", \"output\": \"a\"}\n{\"instruction\": \"say b\", \"output\": \"b\"}\n";
/// Two questions and two answers: no `alpaca`.
const CHAT: &str = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, \
                    {\"role\": \"user\", \"content\": \"c\"}, {\"role\": \"assistant\", \"content\": \"d\"}]}\n";

fn offer(model: Digest, fields: TermsFields) -> Result<Offer, PipelineError> {
    let terms = Terms::new(fields).map_err(PipelineError::Terms)?;
    Ok(Offer { founding_id: Digest([7; 32]), base_model: model, terms })
}

/// What the terms are checked against before a node agrees to them.
fn checked(model: Digest, fields: TermsFields, train: &Path) -> Result<(), PipelineError> {
    let draft = offer(model, fields)?.with(Vec::new());
    open(train).checker().check(&draft).map(drop)
}

type Change = fn(&mut TermsFields);

/// What is wrong, the data, and what the refusal must name.
fn wrong() -> Vec<(Change, &'static str, &'static str)> {
    vec![
        (|t| t.training.template = "foo".into(), LINES, "training.template"),
        (|t| t.template_date = Some("2023-02-29".into()), LINES, "template_date"),
        (|t| t.adapter.target_modules = vec!["q_prj".into()], LINES, "q_prj"),
        (|t| t.encryption.preset = "rlwe-sum/b16/n17".into(), LINES, "encryption.preset"),
        (|t| t.training.sequence_length = 2, LINES, "limit of 2 tokens"),
        (|t| t.training.template = "alpaca".into(), CHAT, "data.jsonl:1"),
        (|t| t.training.learning_rate_final = real(0.0), LINES, "learning_rate.last"),
        (|t| t.pruning.initial = real(0.9), LINES, "end_rate"),
        (|t| t.training.steps_per_round = 0, LINES, "training.steps_per_round"),
        (|t| t.deadlines.round_ms = 10, LINES, "deadlines.round_ms"),
        (|t| t.name = " ".into(), LINES, "name"),
        (|t| t.evaluation = Evaluation::Mean, LINES, "16 held-out examples of each member"),
    ]
}

/// The result of preparing to train, as in a founded federation, under the same terms.
fn prepared(model: Digest, fields: TermsFields, train: &Path) -> Result<(), PipelineError> {
    let manifest = offer(model, fields)?.with(members(4)).complete();
    let valid = ValidManifest::check(manifest).unwrap();
    let terms = MemberTerms::new(&valid, MemberIndex(0))?;
    let learning = open(train).prepare(&terms)?;
    assert!(learning.example_count() > 0);
    Ok(())
}

#[test]
fn what_is_refused_is_what_training_would_stumble_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = data(folder.path(), LINES);
    let model = open(&path).digest();
    checked(model, good(), &path).unwrap();
    prepared(model, good(), &path).unwrap();
    for (change, lines, part) in wrong() {
        let path = data(folder.path(), lines);
        let mut terms = good();
        change(&mut terms);
        let Err(refused) = checked(model, terms.clone(), &path) else { panic!("{part} passes") };
        let refused = refused.to_string();
        assert!(refused.contains(part), "{refused} does not name {part}");
        let later = prepared(model, terms, &path).unwrap_err().to_string();
        assert_eq!(refused, later);
    }
    // The one thing that is refused and would only fail once an example is that long.
    let path = data(folder.path(), LINES);
    let mut long = good();
    long.training.sequence_length = 1 << 20;
    let refused = checked(model, long, &path).unwrap_err().to_string();
    assert!(
        refused.contains("training.sequence_length") && refused.contains("context"),
        "{refused}"
    );
}

struct Nobody;

impl JoinPort for Nobody {
    fn request(
        &self,
        _: fedshield_protocol::ids::IdentityKey,
        _: Vec<String>,
        _: Vec<u8>,
    ) -> fedshieldd::founding::JoinAnswer {
        Box::pin(async { Err(JoinPortError::Unreachable("nobody there".into())) })
    }
}

/// The owner's answers, without a network.
struct To(Founding, fedshield_protocol::ids::IdentityKey);

impl JoinPort for To {
    fn request(
        &self,
        _: fedshield_protocol::ids::IdentityKey,
        _: Vec<String>,
        bytes: Vec<u8>,
    ) -> fedshieldd::founding::JoinAnswer {
        let answer = self.0.answer(&self.1, &bytes).ok_or(JoinPortError::Declined);
        Box::pin(async move { answer })
    }
}

fn node(
    folder: &Path,
    name: &str,
    train: &Path,
    port: impl FnOnce(fedshield_protocol::ids::IdentityKey) -> Arc<dyn JoinPort>,
) -> Founding {
    let home = Home::new(folder.join(name));
    std::fs::create_dir_all(home.path()).unwrap();
    let identity = Arc::new(Identity::create(&home.identity(), &Protection::None).unwrap());
    let model = open(train);
    let member = Member {
        name: name.into(),
        identity_key: identity.key(),
        sealing_key: vec![],
        addresses: vec!["/memory/1".into()],
        weight: 1,
    };
    let local = Local { member, base_model: model.digest(), trainer_command: false };
    let (port, check) = (port(identity.key()), Arc::new(model.checker()));
    Founding::open(&home, identity, local, port, check).unwrap()
}

#[tokio::test]
async fn new_join_and_found_refuse_what_cannot_be_trained_on_and_warn_of_what_never_worked() {
    let folder = tempfile::tempdir().unwrap();
    let train = data(folder.path(), LINES);
    let owner = node(folder.path(), "owner", &train, |_| Arc::new(Nobody));
    let mut typo = good();
    typo.training.template = "foo".into();
    let typo = Terms::new(typo).unwrap();
    let error = owner.new_federation(NewFederation { terms: typo }).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidRequest);
    assert!(
        error.to_string().contains("training.template") && error.hint().contains("draft again")
    );
    assert_eq!(owner.view().borrow().state, NodeState::Idle);

    let mut bold = good();
    bold.training.learning_rate = real(100.0);
    let bold = Terms::new(bold).unwrap();
    let view = owner.new_federation(NewFederation { terms: bold }).await.unwrap();
    assert!(view.warnings.iter().any(|it| it.contains("--lr) is 100")), "{:?}", view.warnings);

    // A member whose data do not fit the terms is told before it agrees, and cannot agree.
    let other = tempfile::tempdir().unwrap();
    let chat = data(other.path(), CHAT);
    let request = fedshieldd::control::api::InviteRequest { expires_s: 600 };
    let invite = owner.invite(request).await.unwrap().invite;
    let joiner = node(other.path(), "b", &chat, |key| Arc::new(To(owner.clone(), key)));
    let ask = |accept| JoinRequest { invite: invite.clone(), accept, ..JoinRequest::default() };
    let preview = joiner.join(ask(false)).await.unwrap();
    assert!(preview.warnings.iter().any(|it| it.contains("--lr) is 100")), "{preview:?}");
    let obstacle = preview.obstacle.expect("it cannot join");
    assert!(obstacle.contains("data.jsonl:1") && obstacle.contains("data check"), "{obstacle}");
    let error = joiner.join(ask(true)).await.unwrap_err();
    assert!(matches!(error, FoundingError::Terms { own: false, .. }), "{error}");
    assert_eq!(error.code(), ErrorCode::DataUnreadable);
    assert_eq!(joiner.view().borrow().state, NodeState::Idle);
    // Once fixed, it joins: the data are read again.
    data(other.path(), LINES);
    assert!(joiner.join(ask(true)).await.unwrap().joined);

    // The owner's own data broke in between: found says so, and nothing is frozen.
    data(folder.path(), "not json\n");
    let error = owner.found(FoundRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::DataUnreadable);
    assert!(!owner.federation().unwrap().frozen);
}
