//! Names and passwords (RFC 7617 Basic, RFC 7616 Digest), for servers and for proxies. Pure but for the random number in a digest.

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::{ChallengeParser, DigestClient, PasswordParams};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result, Status};

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    user: String,
    password: String,
    pub scheme: AuthScheme,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// Sent with the first request.
    Basic,
    /// Sent only in answer to a digest challenge.
    Digest,
}

/// Passwords do not go into logs.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.scheme)
    }
}

impl Login {
    /// Errors: InvalidArgument (a colon in the user, where the password would seem to begin; a control character).
    pub fn new(user: &str, password: &str, scheme: AuthScheme) -> Result<Login> {
        match user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            true => Err(Error::new(Status::InvalidArgument, "a colon in the user, or a control character")),
            false => Ok(Login { user: user.nfc().collect(), password: password.nfc().collect(), scheme }),
        }
    }

    pub fn user(&self) -> &str {
        &self.user
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    /// The field value for a first request, if the scheme needs no challenge.
    pub fn unasked(&self) -> Option<String> {
        (self.scheme == AuthScheme::Basic).then(|| basic_credentials(&self.user, &self.password)).flatten()
    }

    /// The field value that answers a challenge; `None` if none of `challenges` (field values) is for this scheme or can be answered.
    pub fn answer<'a>(
        &self,
        challenges: impl Iterator<Item = &'a [u8]>,
        method: &str,
        uri: &str,
        body: Option<&[u8]>,
    ) -> Option<String> {
        if self.scheme != AuthScheme::Digest {
            return None;
        }
        let params = PasswordParams { username: &self.user, password: &self.password, uri, method, body };
        for field in challenges {
            let Ok(text) = std::str::from_utf8(field) else { continue };
            let parsed = ChallengeParser::new(text).map_while(|challenge| challenge.ok());
            for challenge in parsed.filter(|challenge| challenge.scheme.eq_ignore_ascii_case("digest")) {
                let answer = DigestClient::try_from(&challenge).ok().and_then(|mut it| it.respond(&params).ok());
                if answer.is_some() {
                    return answer;
                }
            }
        }
        None
    }
}

/// Whether the answer to a digest challenge was refused only because its nonce is stale (RFC 7616 section 3.3).
pub fn is_stale<'a>(challenges: impl Iterator<Item = &'a [u8]>) -> bool {
    let stale = |(name, value): &(&str, http_auth::ParamValue<'_>)| {
        name.eq_ignore_ascii_case("stale") && value.to_unescaped().eq_ignore_ascii_case("true")
    };
    challenges.filter_map(|field| std::str::from_utf8(field).ok()).any(|text| {
        let mut parsed = ChallengeParser::new(text).map_while(|challenge| challenge.ok());
        parsed.any(|challenge| challenge.scheme.eq_ignore_ascii_case("digest") && challenge.params.iter().any(stale))
    })
}

/// `user:password`, both in Unicode's composed form, in base64 after `Basic ` (RFC 7617). `None` if the user has a colon,
/// where the password would seem to begin, or either one a control character.
pub fn basic_credentials(user: &str, password: &str) -> Option<String> {
    if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
        return None;
    }
    let pair: String = user.nfc().chain([':']).chain(password.nfc()).collect();
    Some(format!("Basic {}", STANDARD.encode(pair)))
}

/// A URL that may be malformed, for messages: what stands before its last `@`, where a user and a password may be, is `***`.
pub fn without_login(url: &str) -> Cow<'_, str> {
    match url.rsplit_once('@') {
        None => url.into(),
        Some((before, rest)) => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}***@{rest}").into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_only_an_answer_to_a_digest() {
        let login = Login::new("Mufasa", "Circle of Life", AuthScheme::Digest).unwrap();
        assert_eq!(login.unasked(), None);
        let answer = |challenge: &str| login.answer([challenge.as_bytes()].into_iter(), "GET", "/dir/index.html", None);
        for other in ["Basic realm=\"x\"", "", "Digest", "Bearer a, Basic realm=\"digest\"", "Digest realm=\"x\""] {
            assert_eq!(answer(other), None, "{other}");
        }
        // RFC 2069: no qop, no algorithm.
        let old = answer("Basic realm=\"b\", Digest realm=\"testrealm@host.com\", nonce=\"dcd98b\", opaque=\"5ccc\"")
            .unwrap();
        for part in ["username=\"Mufasa\"", "opaque=\"5ccc\"", "uri=\"/dir/index.html\"", "nonce=\"dcd98b\""] {
            assert!(old.starts_with("Digest ") && old.contains(part), "{old}");
        }
        let new = answer("Digest realm=\"r\", qop=\"auth, auth-int\", algorithm=SHA-256, nonce=\"n\"").unwrap();
        assert!(new.contains("nc=00000001") && new.contains("SHA-256"), "{new}");
    }

    #[test]
    fn only_a_digest_that_says_so_is_stale() {
        let stale = |field: &str| is_stale([field.as_bytes()].into_iter());
        assert!(stale("Basic realm=\"x\", Digest realm=\"r\", nonce=\"n\", stale=TRUE"));
        assert!(stale("Digest realm=\"r\", nonce=\"n\", stale=\"true\""));
        for fresh in ["Digest realm=\"r\", nonce=\"stale=true\"", "Digest nonce=\"n\", stale=false", "Other stale=true"]
        {
            assert!(!stale(fresh), "{fresh}");
        }
    }

    #[test]
    fn basic_credentials_are_base64_of_the_composed_form() {
        assert_eq!(basic_credentials("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic_credentials("u", "e\u{301}"), basic_credentials("u", "\u{e9}"));
        assert!(basic_credentials("a:b", "c").is_none() && basic_credentials("a", "b\n").is_none());
    }

    #[test]
    fn a_basic_login_never_answers_a_digest() {
        let login = Login::new("u", "p", AuthScheme::Basic).unwrap();
        assert_eq!(login.unasked().as_deref(), Some("Basic dTpw"));
        let challenge = &b"Digest realm=\"r\", nonce=\"n\""[..];
        assert_eq!(login.answer([challenge].into_iter(), "GET", "/", None), None);
        assert!(
            Login::new("a:b", "", AuthScheme::Basic).is_err() && Login::new("a", "\n", AuthScheme::Digest).is_err()
        );
    }
}
