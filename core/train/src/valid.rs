//! Settings that have passed their check, as a type: who takes a [`Valid`] need not check, and
//! nobody can forget to.

#[cfg(test)]
mod tests;

use std::ops::Deref;

use crate::{Result, TrainError};

/// Something that can be inconsistent and says how.
pub trait Validate: Sized {
    /// Names the setting that is invalid, and why.
    type Error;

    /// Fails on the first invalid setting.
    ///
    /// # Errors
    /// Names the setting and the values that it may have.
    fn validate(&self) -> std::result::Result<(), Self::Error>;
}

/// A `T` that has passed [`Validate::validate`]. It can be read like a `T`, and is changed by
/// [`Self::with`] only, which checks again.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid<T>(T);

impl<T: Validate> Valid<T> {
    /// Checks `value`.
    ///
    /// # Errors
    /// Those of [`Validate::validate`].
    pub fn new(value: T) -> std::result::Result<Self, T::Error> {
        value.validate()?;
        Ok(Self(value))
    }

    /// A changed copy, checked again.
    ///
    /// # Errors
    /// Those of [`Validate::validate`].
    pub fn with(&self, change: impl FnOnce(&mut T)) -> std::result::Result<Self, T::Error>
    where
        T: Clone,
    {
        let mut value = self.0.clone();
        change(&mut value);
        Self::new(value)
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The defaults of every type here are valid, which its tests show.
impl<T: Validate + Default> Default for Valid<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

pub(crate) fn fraction(name: &'static str, value: f64) -> Result<()> {
    match (0.0..1.0).contains(&value) {
        true => Ok(()),
        false => Err(TrainError::setting(name, format!("{value} is not in [0, 1)"))),
    }
}

pub(crate) fn positive(name: &'static str, value: f64) -> Result<()> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(TrainError::setting(name, format!("{value} is not positive"))),
    }
}
