use super::*;

#[test]
fn keys_of_different_principals_methods_paths_and_clients_never_meet() {
    let base = CommandKey::new("user:1", "POST", "/api/v1/orders", "k");
    assert_eq!(base, CommandKey::new("user:1", "POST", "/api/v1/orders", "k"));
    for other in [
        CommandKey::new("user:2", "POST", "/api/v1/orders", "k"),
        CommandKey::new("user:1", "PUT", "/api/v1/orders", "k"),
        CommandKey::new("user:1", "POST", "/api/v1/order", "sk"),
        CommandKey::new("user:1", "POST", "/api/v1/orders", "l"),
        CommandKey::new("user:1P", "OST", "/api/v1/orders", "k"),
    ] {
        assert_ne!(base, other);
        assert_ne!(base.uuid(), other.uuid());
        assert_ne!(base.id("order"), other.id("order"));
    }
}

#[test]
fn a_retry_comes_to_the_same_ids_and_steps() {
    let key = || CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k");
    assert_eq!(key().id("order"), key().id("order"));
    assert_eq!(key().step("pay").uuid(), key().step("pay").uuid());
    assert_ne!(key().id("order"), key().id("payment"));
    assert_ne!(key().step("pay"), key().step("ship"));
    assert_ne!(key().step("pay").uuid(), key().uuid());
    // An id is shown to the client; it must not give away the name that the journal records.
    assert_ne!(key().id("pay"), key().step("pay").uuid());
}

#[test]
fn ids_have_the_form_of_every_other_id() {
    let id = CommandKey::new("user:1", "POST", "/", "k").id("order");
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
}
