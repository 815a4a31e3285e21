//! Names of this machine's users.

/// The user's name, or the number as text if it has none here. May query a directory service and so
/// be slow.
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
