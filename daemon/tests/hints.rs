//! Every failure that an operator sees has a hint that fits its cause.

use fedshield_protocol::ids::Digest;
use fedshield_protocol::manifest::ManifestError;
use fedshieldd::control::api::{ApiError, ErrorCode};
use fedshieldd::error_code::ALL_CODES;
use fedshieldd::founding::{
    Expiry, FoundingError, Invite, InviteError, JoinPortError, PhraseError,
};
use fedshieldd::jobs::PipelineError;

/// What the hint of each code must speak of.
const OF_CODES: [(ErrorCode, &str); 31] = {
    use ErrorCode as E;
    [
        (E::Internal, "log"),
        (E::InvalidRequest, "value"),
        (E::NotRunning, "start `fedshieldd`"),
        (E::ConfigInvalid, "config.toml"),
        (E::NoIdentity, "init"),
        (E::IdentityLocked, "passphrase"),
        (E::InviteInvalid, "whole invite"),
        (E::InviteExpired, "fresh invite"),
        (E::InviteUsed, "own invite"),
        (E::InviteUnknown, "draft still exists"),
        (E::Unreachable, "address and port"),
        (E::ModelMismatch, "same model"),
        (E::ModelUnreadable, "model.path"),
        (E::DataUnreadable, "data check"),
        (E::AddressInUse, "other process"),
        (E::DiskFull, "free some space"),
        (E::StoreCorrupted, "version of the program"),
        (E::JournalCorrupted, "journal"),
        (E::WrongUser, "belongs to"),
        (E::NoFederation, "federation new"),
        (E::AlreadyInFederation, "federation leave"),
        (E::NotOwner, "made the draft"),
        (E::DraftFrozen, "new draft"),
        (E::TooFewMembers, "invite more"),
        (E::TermsChanged, "new terms"),
        (E::Refused, "reason"),
        (E::WrongState, "status"),
        (E::Timeout, "try again"),
        (E::ListMismatch, "do not confirm"),
        (E::LedgerInvalid, "another member"),
        (E::Interrupted, "again"),
    ]
};

#[test]
fn every_code_has_a_hint_about_its_cause() {
    for code in ALL_CODES {
        let about = OF_CODES.iter().find(|(known, _)| *known == code);
        let (_, about) = about.unwrap_or_else(|| panic!("{code} is not in the table"));
        let hint = ApiError::new(code, "what happened").hint.expect("there is always a hint");
        assert!(hint.contains(about), "{code}: {hint}");
        // What is true of a daemon that does not answer is said of nothing else.
        let of_silence = hint.contains("daemon runs");
        assert_eq!(of_silence, code == ErrorCode::Unreachable, "{code}: {hint}");
    }
}

fn expired(owner_s: Option<u64>) -> FoundingError {
    let expiry = Expiry { at_s: 1_000_000, here_s: 1_000_000 + 86_400, owner_s };
    FoundingError::Expired { expiry, unasked_because: None }
}

fn port(error: JoinPortError) -> FoundingError {
    FoundingError::Port(error)
}

fn terms(own: bool) -> FoundingError {
    let error = PipelineError::Terms(ManifestError {
        field: "training.learning_rate".into(),
        value: "-1".into(),
        remedy: "take a number above 0".into(),
    });
    FoundingError::Terms { error, own }
}

/// Each failure of a founding, and what message and hint together must speak of.
fn founding_failures() -> Vec<(FoundingError, ErrorCode, [&'static str; 2])> {
    use ErrorCode as E;
    use FoundingError as F;
    let text = String::from;
    let name = || vec![text("bank"), text("farm")];
    vec![
        (F::Invite("hello".parse::<Invite>().unwrap_err()), E::InviteInvalid, ["fs1", "copy"]),
        (F::Invite(InviteError::Content), E::InviteInvalid, ["version", "fresh invite"]),
        (F::InviteUnknown, E::InviteUnknown, ["does not know", "draft still exists"]),
        (F::InviteUsed, E::InviteUsed, ["another node", "own invite"]),
        (
            expired(Some(1_000_000 + 86_400)),
            E::InviteExpired,
            ["expired 1 day ago", "fresh invite"],
        ),
        (expired(Some(1_000_000 - 60)), E::InviteExpired, ["differ by 1 day", "both machines"]),
        (expired(None), E::InviteExpired, ["this machine's clock", "check this machine's clock"]),
        (
            F::ModelMismatch { own: Digest([1; 32]), expected: Digest([2; 32]) },
            E::ModelMismatch,
            ["0202", "model.path"],
        ),
        (
            F::FirstAdapter { wanted: Digest([1; 32]), found: text("is none") },
            E::ModelMismatch,
            ["adapter", "--adapter DIR"],
        ),
        (
            F::TrainerCommand { field: "training.algorithm", reason: "fed-sb trains a matrix" },
            E::InvalidRequest,
            ["fed-sb", "training.trainer"],
        ),
        (terms(true), E::InvalidRequest, ["training.learning_rate", "draft again"]),
        (terms(false), E::InvalidRequest, ["cannot take part", "tell the owner"]),
        (F::TermsChanged { what: text("rounds") }, E::TermsChanged, ["rounds", "join --show"]),
        (F::Frozen, E::DraftFrozen, ["final", "new draft"]),
        (F::Returning { names: name() }, E::WrongState, ["bank, farm have", "federation drop"]),
        (F::NotFrozen, E::WrongState, ["the draft is open", "federation found"]),
        (F::Phrase(PhraseError::Other { place: 3 }), E::ListMismatch, ["another list", "reject"]),
        (F::Phrase(PhraseError::Count(23)), E::ListMismatch, ["these are 23", "all 24"]),
        (
            F::Phrase(PhraseError::Word { place: 7, word: text("abandn") }),
            E::ListMismatch,
            ["word 7 of the phrase, `abandn`", "members"],
        ),
        (
            F::Unexpected { differences: vec![text("x was not expected")] },
            E::ListMismatch,
            ["x was not", "fedshield-cli identity"],
        ),
        (
            F::Lookalikes { one: text("bank"), other: text("Bank") },
            E::InvalidRequest,
            ["`bank` and `Bank`", "another name"],
        ),
        (F::Complete, E::WrongState, ["all members have signed", "federation leave"]),
        (F::RoundsEnded, E::WrongState, ["finished rounds", "another home"]),
        (F::OwnDraft, E::WrongState, ["owns the draft", "federation abandon"]),
        (
            F::NoSuchMember { name: text("x"), known: name() },
            E::InvalidRequest,
            ["bank, farm", "federation show"],
        ),
        (F::Abandoned { federation: text("trial") }, E::InviteUnknown, ["trial", "another draft"]),
        (F::Dropped, E::Refused, ["dropped", "fresh invite"]),
        (F::LeftAlready, E::WrongState, ["has left", "join again"]),
        (F::LeftSigned { federation: text("trial") }, E::WrongState, ["signed it", "drop NAME"]),
        (F::TooFewMembers { count: 2 }, E::TooFewMembers, ["2 members", "invite more"]),
        (F::Already { state: "has a draft" }, E::AlreadyInFederation, ["draft", "abandon"]),
        (F::None, E::NoFederation, ["no federation", "federation new"]),
        (F::NotOwner, E::NotOwner, ["owner", "made the draft"]),
        (F::Refused { reason: text("full") }, E::Refused, ["full", "reason"]),
        (F::Later { reason: text("its disk") }, E::Timeout, ["its disk", "by itself"]),
        (F::Request(text("expires_s must be 1")), E::InvalidRequest, ["expires_s", "value"]),
        (
            port(JoinPortError::Unreachable(text("refused"))),
            E::Unreachable,
            ["refused", "daemon runs"],
        ),
        (
            port(JoinPortError::WrongNode(text("/ip4"))),
            E::Unreachable,
            ["another node", "fresh invite"],
        ),
        (port(JoinPortError::Timeout(text("20 s"))), E::Timeout, ["20 s", "try again"]),
        (port(JoinPortError::Lost(text("reset"))), E::Unreachable, ["reset", "firewall"]),
        (port(JoinPortError::Busy), E::Timeout, ["no more requests", "nothing is wrong"]),
        (port(JoinPortError::BusyHere), E::Timeout, ["this node", "in progress"]),
        (port(JoinPortError::Declined), E::Refused, ["declined", "draft still exists"]),
        (port(JoinPortError::Local(text("shut down"))), E::Internal, ["shut down", "log"]),
        (F::Answer(text("not the terms")), E::Internal, ["not the terms", "versions"]),
        (
            F::File { file: text("federation.draft"), reason: text("cut") },
            E::Internal,
            ["federation.draft", "put it aside"],
        ),
        (
            F::Random(getrandom::Error::UNSUPPORTED.into()),
            E::Internal,
            ["randomness", "operating system"],
        ),
    ]
}

#[test]
fn every_failure_of_a_founding_names_its_cause_and_what_to_do_about_that_cause() {
    for (error, code, about) in founding_failures() {
        let shown = ApiError::from(error);
        assert_eq!(shown.code, code, "{shown}");
        let text = format!("{} | {}", shown.message, shown.hint.clone().unwrap_or_default());
        for part in about {
            assert!(text.contains(part), "{text} does not speak of {part:?}");
        }
        let of_silence = text.contains("daemon runs");
        let silent = code == ErrorCode::Unreachable && text.contains("refused");
        assert_eq!(of_silence, silent, "{text}");
    }
}
