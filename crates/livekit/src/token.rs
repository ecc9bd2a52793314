//! The access token that an ingress participant joins with: an HS256 JWT with LiveKit's claims.

use std::{fmt, time::Duration};

use livekit_token::{AccessToken, AccessTokenError, VideoGrants};

use crate::bus::Record;

/// A token is good for this long, as the Go worker's are. Past it a full rejoin needs a new one.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// LiveKit's name for the kind; the server turns it into `ParticipantInfo.kind` INGRESS.
const KIND: &str = "ingress";

/// The attribute that ties a participant to its ingress.
pub const INGRESS_ID: &str = "ingress.ingressID";

/// The attribute that ties a participant to one run of its ingress; set after the join.
pub const RESOURCE_ID: &str = "ingress.resourceID";

/// An API key pair. `Debug` hides the secret.
#[derive(Clone)]
pub struct Keys {
    /// The key's name, which is no secret.
    pub api_key: String,
    /// What tokens are signed with.
    pub api_secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("api_key", &self.api_key).finish_non_exhaustive()
    }
}

/// Who joins which room, as the ingress record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `participant_identity`, not empty.
    pub identity: String,
    /// `participant_name`.
    pub name: String,
    /// `participant_metadata`.
    pub metadata: String,
    /// `room_name`, not empty.
    pub room: String,
    /// `ingress_id`.
    pub ingress_id: String,
}

impl Claims {
    /// The participant that a record asks for.
    pub fn of(record: &Record) -> Self {
        Self {
            identity: record.identity.clone(),
            name: record.participant_name.clone(),
            metadata: record.participant_metadata.clone(),
            room: record.room.clone(),
            ingress_id: record.ingress_id.clone(),
        }
    }
}

/// A token that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Empty keys, an empty identity or an empty room name.
    #[error("token of room {room:?}, identity {identity:?}: {source}")]
    Claims {
        /// The room.
        room: String,
        /// The identity.
        identity: String,
        /// What is wrong.
        source: AccessTokenError,
    },
}

/// A token with which an ingress joins its room: may publish and update its own attributes, may not subscribe.
pub fn participant(keys: &Keys, claims: &Claims) -> Result<String, Error> {
    let grants = VideoGrants {
        room_join: true,
        room: claims.room.clone(),
        can_publish: Some(true),
        can_subscribe: Some(false),
        can_update_own_metadata: Some(true),
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(&keys.api_key, &keys.api_secret)
        .with_ttl(LIFETIME)
        .with_kind(KIND)
        .with_identity(&claims.identity)
        .with_name(&claims.name)
        .with_metadata(&claims.metadata)
        .with_attributes([(INGRESS_ID, claims.ingress_id.as_str())])
        .with_grants(grants)
        .to_jwt()
        .map_err(|source| Error::Claims {
            room: claims.room.clone(),
            identity: claims.identity.clone(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys { api_key: "devkey".into(), api_secret: "a secret of thirty-two characters".into() }
    }

    fn claims() -> Claims {
        Claims {
            identity: "obs".into(),
            name: "The stage".into(),
            metadata: "{}".into(),
            room: "studio".into(),
            ingress_id: "IN_1".into(),
        }
    }

    #[test]
    fn the_claims_are_those_of_the_go_worker() {
        let token = participant(&keys(), &claims()).unwrap();
        let verifier = livekit_token::TokenVerifier::with_api_key("devkey", &keys().api_secret);
        let got = verifier.verify(&token).unwrap();
        assert_eq!((got.iss.as_str(), got.sub.as_str(), got.name.as_str()), ("devkey", "obs", "The stage"));
        assert_eq!((got.metadata.as_str(), got.kind.as_str()), ("{}", "ingress"));
        assert_eq!(got.attributes.into_iter().collect::<Vec<_>>(), [(INGRESS_ID.into(), "IN_1".into())]);
        assert_eq!(got.exp - got.nbf, 24 * 3600);
        assert_eq!(
            serde_json::to_value(got.video).unwrap(),
            serde_json::json!({
                "roomJoin": true, "room": "studio", "canPublish": true, "canSubscribe": false,
                "canUpdateOwnMetadata": true,
            })
        );
    }

    #[test]
    fn a_token_without_identity_or_room_is_refused() {
        for bad in
            [Claims { identity: String::new(), ..claims() }, Claims { room: String::new(), ..claims() }]
        {
            assert!(participant(&keys(), &bad).is_err(), "{bad:?}");
        }
        let no_secret = Keys { api_secret: String::new(), ..keys() };
        assert!(participant(&no_secret, &claims()).is_err());
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(!format!("{:?}", keys()).contains("secret of"));
    }
}
