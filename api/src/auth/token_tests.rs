use super::*;
use domain::{SessionId, UserId};

fn user() -> UserId {
    Uuid::from_u128(1).into()
}

fn session() -> SessionId {
    Uuid::from_u128(2).into()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::EPOCH.plus_seconds(1_800_000_000 + seconds)
}

fn issue(tokens: &AccessTokens) -> String {
    tokens.issue(user(), session(), at(0), Uuid::from_u128(3)).expect("the key signs")
}

/// A token with another header and other claims, signed by `key` where that is possible.
fn forged(header: &Value, claims: &Value, signature: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(signature(message.as_bytes()));
    format!("{message}.{signature}")
}

fn claims() -> Value {
    let now = at(0).unix_seconds();
    json!({
        "sub": user(), "sid": session(), "iat": now, "exp": now + 600,
        "iss": "gomall", "aud": "gomall", "jti": Uuid::from_u128(3),
    })
}

fn header(keys: &Keys) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": keys.signing.key_id})
}

fn signed_by(keys: &Keys) -> impl Fn(&[u8]) -> Vec<u8> {
    let pair =
        aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&keys.signing.pkcs8)
            .expect("a key");
    move |message| pair.sign(message).as_ref().to_vec()
}

#[test]
fn a_token_of_ours_says_who_and_in_which_session() {
    let tokens = AccessTokens::new(&Keys::for_tests());
    let token = issue(&tokens);
    for _ in 0..2 {
        let claims = tokens.verify(&token, at(1)).expect("it is good");
        assert_eq!((claims.user_id, claims.session_id), (user(), session()));
    }
}

#[test]
fn a_token_holds_no_permission_and_no_personal_data() {
    let tokens = AccessTokens::new(&Keys::for_tests());
    let token = issue(&tokens);
    let payload = token.split('.').nth(1).expect("three parts");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let payload: serde_json::Map<String, Value> =
        serde_json::from_slice(&payload).expect("an object");
    let mut names: Vec<_> = payload.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "sid", "sub"]);
}

#[test]
fn a_token_ends_also_when_its_signature_is_remembered() {
    let tokens = AccessTokens::new(&Keys::for_tests());
    let token = issue(&tokens);
    assert!(tokens.verify(&token, at(600)).is_ok());
    assert!(tokens.verify(&token, at(604)).is_ok(), "clocks may differ a little");
    assert_eq!(tokens.verify(&token, at(605)), Err(BadToken::Expired));
    assert_eq!(tokens.verify(&token, at(-6)), Err(BadToken::Invalid), "issued in the future");
}

#[test]
fn the_forger_of_these_tests_can_sign() {
    let keys = Keys::for_tests();
    let token = forged(&header(&keys), &claims(), signed_by(&keys));
    assert!(AccessTokens::new(&keys).verify(&token, at(0)).is_ok());
}

#[test]
fn a_token_under_another_algorithm_is_refused() {
    let keys = Keys::for_tests();
    let tokens = AccessTokens::new(&keys);
    let with = |member: &str, value: Value| {
        let mut header = header(&keys);
        header[member] = value;
        header
    };
    for alg in ["none", "None", "HS256", "RS256", "ES256", "Ed25519"] {
        for signature in [Vec::new(), vec![0; 64], signed_by(&keys)(b"x")] {
            let token = forged(&with("alg", json!(alg)), &claims(), |_| signature.clone());
            assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "{alg}");
        }
    }
    // The classic: the public key as the secret of an HMAC.
    let hmac = |message: &[u8]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &keys.signing.public);
        aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
    };
    let token = forged(&with("alg", json!("HS256")), &claims(), hmac);
    assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid));
    // A token of another kind, signed by our own key.
    let token = forged(&with("typ", json!("JWT")), &claims(), signed_by(&keys));
    assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid));
}

#[test]
fn a_token_of_another_key_is_refused_whatever_name_it_gives_it() {
    let (keys, other) = (Keys::for_tests(), Keys::for_tests());
    let tokens = AccessTokens::new(&keys);
    let own_name = forged(&header(&other), &claims(), signed_by(&other));
    assert_eq!(tokens.verify(&own_name, at(0)), Err(BadToken::Invalid));
    let our_name = forged(&header(&keys), &claims(), signed_by(&other));
    assert_eq!(tokens.verify(&our_name, at(0)), Err(BadToken::Invalid));
    let nameless = forged(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims(), signed_by(&keys));
    assert_eq!(tokens.verify(&nameless, at(0)), Err(BadToken::Invalid));
}

#[test]
fn the_previous_keys_tokens_are_accepted_and_none_is_signed_with_it() {
    let old = Keys::for_tests();
    let token = issue(&AccessTokens::new(&old));
    let keys = Keys { previous: Some(old.signing), ..Keys::for_tests() };
    let tokens = AccessTokens::new(&keys);
    assert!(tokens.verify(&token, at(0)).is_ok());
    let fresh = issue(&tokens);
    let kid = jsonwebtoken::decode_header(&fresh).expect("a token").kid;
    assert_eq!(kid, Some(keys.signing.key_id));
    assert_eq!(tokens.jwks()["keys"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_token_with_a_claim_too_few_or_too_strange_is_refused() {
    let keys = Keys::for_tests();
    let tokens = AccessTokens::new(&keys);
    for name in ["sub", "sid", "iat", "exp", "iss", "aud", "jti"] {
        let mut without = claims();
        without.as_object_mut().expect("an object").remove(name);
        let token = forged(&header(&keys), &without, signed_by(&keys));
        assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "without {name}");
        let mut strange = claims();
        strange[name] = json!({"x": 1});
        let token = forged(&header(&keys), &strange, signed_by(&keys));
        assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "strange {name}");
    }
    for (name, value) in [("iss", "other"), ("aud", "other")] {
        let mut foreign = claims();
        foreign[name] = json!(value);
        let token = forged(&header(&keys), &foreign, signed_by(&keys));
        assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "foreign {name}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let tokens = AccessTokens::new(&Keys::for_tests());
    let good = issue(&tokens);
    let mut tampered = good.clone();
    let last = tampered.pop().expect("a token has characters");
    tampered.push(if last == 'A' { 'Q' } else { 'A' });
    let long = format!("{good}{}", "A".repeat(MAX_TOKEN_CHARS));
    for bad in ["", ".", "..", "a.b.c", &good[1..], &good[..good.len() - 4], &tampered, &long] {
        assert_eq!(tokens.verify(bad, at(0)), Err(BadToken::Invalid), "{bad:.40}");
    }
}

#[test]
fn a_token_that_lasts_longer_than_ours_is_not_valid_yet_or_wants_more_is_refused() {
    let keys = Keys::for_tests();
    let tokens = AccessTokens::new(&keys);
    let now = at(0).unix_seconds();
    let with = |member: &str, value: Value| {
        let mut claims = claims();
        claims[member] = value;
        forged(&header(&keys), &claims, signed_by(&keys))
    };
    for (member, value) in [
        ("exp", json!(now + 601)),
        ("exp", json!(now + 86_400)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
        ("iat", json!(now - 1)),
        ("nbf", json!(now + 60)),
    ] {
        let token = with(member, value.clone());
        assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "{member} {value}");
    }
    assert!(tokens.verify(&with("nbf", json!(now)), at(0)).is_ok());
    assert!(tokens.verify(&with("nbf", json!(now + 60)), at(60)).is_ok());
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("x"), Value::Null] {
        let mut extended = header(&keys);
        extended["crit"] = crit.clone();
        let token = forged(&extended, &claims(), signed_by(&keys));
        assert_eq!(tokens.verify(&token, at(0)), Err(BadToken::Invalid), "{crit}");
    }
}
