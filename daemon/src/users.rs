//! Users of this machine, by name.

/// The user's name; the number if nobody has it here. May ask a directory service and so take long.
pub(crate) fn name(id: u32) -> String {
    uzers::get_user_by_uid(id)
        .map_or_else(|| format!("user {id}"), |user| user.name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_number() {
        assert_eq!(name(0), "root");
        assert_eq!(name(u32::MAX - 7), "user 4294967288");
    }
}
