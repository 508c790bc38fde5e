//! What is kept of requests that hold a secret.

use super::Scene;
use super::keyed::assert_replays;
use crate::support::key;
use api::http::Fingerprint;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use commands::bus::{FingerprintKey, RequestKey};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

/// The fingerprints leave it out. Whoever knows a key and an address does not come in by them.
pub(crate) async fn a_password_is_part_of_the_request(scene: &Scene) {
    let account =
        json!({"email": format!("{}@example.com", key()), "password": "a quite long password"});
    let mut other = account.clone();
    other["password"] = json!("another quite long password");
    let (visitor, key) = (&scene.visitor, key());
    let register =
        async |body: &Value| visitor.post_keyed("/api/v1/auth/register", &key, body).await;
    let registered = register(&account).await;
    registered.expect(StatusCode::CREATED);
    register(&other).await.refused(422, "idempotency_key_reused");
    assert_replays(&registered, &register(&account).await, "register");
    let login = async |body: &Value| visitor.post_keyed("/api/v1/auth/login", &key, body).await;
    let signed_in = login(&account).await;
    signed_in.expect(StatusCode::OK);
    login(&other).await.refused(401, "bad_credentials");
    assert_replays(&signed_in, &login(&account).await, "login");
    what_is_kept_is_nothing_to_guess_by(scene, &account).await;
}

/// Of a registration the database holds something that nobody can compute without the shop's
/// secret, and that is the same for any password.
async fn what_is_kept_is_nothing_to_guess_by(scene: &Scene, account: &Value) {
    let url = scene.shop.stack.postgres.url("gomall");
    let mut connection = PgConnection::connect(&url).await.expect("the database is up");
    let kept: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("select key, fingerprint from command_outcomes")
            .fetch_all(&mut connection)
            .await
            .expect("the outcomes are readable");
    let path = scene.shop.data_dir.path().join("keys/refresh-token-secret");
    let secret = std::fs::read_to_string(path).expect("the shop has made it");
    let secret = BASE64_STANDARD.decode(secret.trim()).expect("base64");
    for password in ["a quite long password", "a wrong guess"] {
        let mut guess = account.clone();
        guess["password"] = json!(password);
        let Fingerprint(fingerprint) = Fingerprint::of(&guess);
        let plain: [u8; 32] = Sha256::digest(guess.to_string()).into();
        let ours = |secret: &[u8]| {
            let ours = FingerprintKey::new(secret);
            let found = |(key, kept): &&(Uuid, Vec<u8>)| {
                *kept == ours.of(&RequestKey { key: *key, fingerprint })
            };
            kept.iter().filter(found).count()
        };
        assert_eq!(ours(&secret), 3, "{password}: sign-up, its session, and that of the sign-in");
        assert_eq!(ours(&[0; 32]), 0, "{password}: without the secret");
        assert!(kept.iter().all(|(_, kept)| *kept != fingerprint && *kept != plain), "{password}");
    }
}
