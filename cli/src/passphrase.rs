//! Asking for the identity's passphrase at a terminal, without an echo.

use std::io::IsTerminal;

use fedshieldd::control::api::ErrorCode;
use fedshieldd::home::Home;
use fedshieldd::identity::{Identity, Passphrase};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// A shorter passphrase is within reach of guessing once an identity file is stolen.
const SHORT: usize = 12;
/// How often a wrong passphrase may be typed.
const ATTEMPTS: usize = 3;

/// Whether there is a terminal to ask at.
#[must_use]
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks for a new passphrase, twice.
///
/// # Errors
/// If nothing was typed, or the two do not match.
pub fn ask_new() -> Result<Passphrase, Failure> {
    let first = read("Passphrase that encrypts this node's identity: ")?;
    if first.is_empty() {
        return Err(Failure::new(
            ErrorCode::InvalidRequest,
            "an empty passphrase protects nothing",
        )
        .next("type one, or, for a trial, say `--no-passphrase`"));
    }
    if first.chars().count() < SHORT {
        eprintln!(
            "warning: shorter than {SHORT} characters; a stolen identity file could be guessed open"
        );
    }
    let second = read("The same again: ")?;
    if *first != *second {
        return Err(Failure::new(ErrorCode::InvalidRequest, "the two passphrases differ")
            .next("nothing was made; run the command again"));
    }
    eprintln!(
        "Keep it where the organisation will find it: a lost passphrase cannot be recovered."
    );
    Ok(Passphrase::new(first))
}

/// Asks for the passphrase of the identity in `home` until it opens.
///
/// # Errors
/// After three wrong ones, or if the identity cannot be read.
pub fn ask_for(home: &Home) -> Result<Passphrase, Failure> {
    let mut attempt = 1;
    loop {
        let passphrase =
            Passphrase::new(read(&format!("Passphrase of {}: ", home.identity().display()))?);
        match Identity::open(&home.identity(), Some(&passphrase)) {
            Ok(_) => return Ok(passphrase),
            Err(error) if error.code() == ErrorCode::IdentityLocked && attempt < ATTEMPTS => {
                eprintln!("That is not it.");
                attempt += 1;
            }
            Err(error) => return Err(crate::command::init::identity_failure(&error)),
        }
    }
}

fn read(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
        Failure::new(ErrorCode::InvalidRequest, format!("cannot read the passphrase: {error}"))
            .next("name a file with it: `--passphrase-file FILE`")
    })
}
