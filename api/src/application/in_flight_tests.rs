use super::*;

#[test]
fn a_key_runs_once_at_a_time() {
    let in_flight = InFlight::default();
    let key = CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k");
    let running = in_flight.begin(key).expect("nothing runs yet");
    let second = in_flight.begin(key).expect_err("it runs");
    assert!(matches!(second, Failure::InProgress));
    assert!(in_flight.begin(key.step("other")).is_ok());
    drop(running);
    assert!(in_flight.begin(key).is_ok());
}

#[tokio::test]
async fn a_request_goes_on_and_holds_its_key_when_its_client_has_left() {
    let (in_flight, key) =
        (InFlight::default(), CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k"));
    let (writer, answer) = tokio::sync::oneshot::channel();
    let (done, is_done) = tokio::sync::oneshot::channel();
    let mut request = Box::pin(in_flight.run(key, async move {
        let _ = done.send(answer.await);
        Ok(())
    }));
    assert!(futures::poll!(&mut request).is_pending());
    drop(request);
    assert!(in_flight.begin(key).is_err(), "the writer has not answered yet");
    writer.send(7).expect("somebody waits");
    assert_eq!(is_done.await, Ok(Ok(7)));
    compose::testing::eventually("the key is free", || async { in_flight.begin(key).ok() }).await;
}

#[tokio::test]
async fn what_panics_on_the_way_panics_in_the_request() {
    let (in_flight, key) =
        (InFlight::default(), CommandKey::new("user:1", "POST", "/api/v1/checkouts", "k"));
    let panics = in_flight.clone();
    let request = tokio::spawn(async move {
        panics.run(key, async { if true { panic!("on purpose") } else { Ok(()) } }).await
    });
    assert!(request.await.expect_err("it has panicked").is_panic());
    assert!(in_flight.begin(key).is_ok());
}
