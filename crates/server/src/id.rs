//! Names for what this process makes, in the form of LiveKit's own.

/// As LiveKit's ids have them.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// 62^12: no two are the same.
const LENGTH: usize = 12;

/// `prefix` and twelve random letters and digits.
pub(crate) fn random(prefix: &str) -> String {
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    prefix.chars().chain((0..LENGTH).map(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_twelve_letters_and_digits() {
        let id = random("RT_");
        let rest = id.strip_prefix("RT_").unwrap();
        assert_eq!(rest.len(), 12);
        assert!(rest.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(random("RT_"), id);
    }
}
