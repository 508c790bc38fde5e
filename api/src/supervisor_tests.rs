use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

async fn until(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A supervisor with one task, `shaky`, that says how often it was started.
struct Shaky {
    supervisor: Supervisor,
    tasks: Tasks,
    stop: CancellationToken,
    starts: Arc<AtomicU32>,
}

impl Shaky {
    /// `run` is told which start it is, from 0.
    fn new<T>(run: impl Fn(u32, CancellationToken) -> T + Send + 'static) -> Self
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone());
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        supervisor
            .watch("shaky", true, move |stop| run(counted.fetch_add(1, Ordering::Relaxed), stop));
        Self { tasks: supervisor.tasks(), supervisor, stop, starts }
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Relaxed)
    }

    async fn started(&self, times: u32) {
        until(|| self.starts() >= times).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_is_shown_and_started_again_with_longer_and_longer_pauses() {
    let begun = Instant::now();
    let mut shaky = Shaky::new(|start, stop| async move {
        match start {
            0 => panic!("by the test"),
            1 => {}
            _ => stop.cancelled().await,
        }
    });
    shaky.supervisor.watch("elsewhere", false, |_| async { unreachable!("it is not for here") });
    shaky.started(3).await;
    let paused = begun.elapsed();
    assert!((300..400).contains(&paused.as_millis()), "{paused:?}");
    assert_eq!((shaky.tasks.restarts("shaky"), shaky.tasks.names()), (2, vec!["shaky"]));
    assert_eq!(shaky.tasks.unsound(), ["shaky"], "it was started again a moment ago");
    tokio::time::sleep(SOUND_AFTER).await;
    assert!(shaky.tasks.unsound().is_empty());
    let ended = Instant::now();
    shaky.tasks.end("shaky");
    shaky.started(4).await;
    let paused = ended.elapsed();
    assert!((100..200).contains(&paused.as_millis()), "it was sound in between: {paused:?}");
    assert!(!shaky.tasks.lost().is_cancelled());
    shaky.stop.cancel();
    shaky.supervisor.finish().await;
    assert_eq!(shaky.starts(), 4, "an end that was asked for is the last");
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_for_good_is_tried_every_half_minute_until_the_stop() {
    let mut shaky = Shaky::new(|_, _| async {});
    // After 51 seconds the pauses are the longest.
    tokio::time::sleep(Duration::from_secs(51) + 20 * LONGEST_PAUSE).await;
    let starts = shaky.starts();
    assert!((28..32).contains(&starts), "{starts}");
    assert_eq!(shaky.tasks.unsound(), ["shaky"]);
    let told = Instant::now();
    shaky.stop.cancel();
    shaky.supervisor.finish().await;
    assert!(told.elapsed() < FIRST_PAUSE, "nobody waits for a pause");
    assert_eq!(shaky.starts(), starts);
}

#[tokio::test(start_paused = true)]
async fn who_is_down_and_how_often_it_was_is_counted() {
    let shaky = Shaky::new(|start, stop| async move {
        if start > 0 {
            stop.cancelled().await;
        }
    });
    let metrics = Metrics::new().expect("a registry of its own");
    shaky.tasks.show(&metrics);
    let shows = |up: u8, restarts: u8| {
        let shown = metrics.render().expect("it can be shown");
        shown.contains(&format!("gomall_worker_up{{worker=\"shaky\"}} {up}\n"))
            && shown
                .contains(&format!("gomall_worker_restarts_total{{worker=\"shaky\"}} {restarts}\n"))
    };
    until(|| !shaky.tasks.unsound().is_empty()).await;
    assert!(shows(0, 0));
    shaky.started(2).await;
    assert!(shows(1, 1));
}

#[tokio::test]
async fn a_vital_task_that_ends_takes_the_process_with_it() {
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());
    let tasks = supervisor.tasks();
    supervisor.vital("heart", tokio::spawn(std::future::pending()));
    assert!(tasks.unsound().is_empty());
    tasks.end("heart");
    tasks.lost().cancelled().await;
    assert_eq!(tasks.unsound(), ["heart"]);
}

#[tokio::test]
async fn who_was_told_to_stop_is_waited_for_and_takes_nobody_with_it() {
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());
    let done = Arc::new(AtomicU32::new(0));
    let finishes = |stop: CancellationToken| {
        let done = Arc::clone(&done);
        async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    supervisor.vital("heart", tokio::spawn(finishes(stop.clone())));
    let mut how = Some(finishes(stop.clone()));
    supervisor.watch("worker", true, move |_| how.take().expect("it is started once"));
    until(|| supervisor.tasks().names().len() == 2).await;
    stop.cancel();
    supervisor.finish().await;
    supervisor.finish_vital().await;
    assert_eq!(done.load(Ordering::Relaxed), 2);
    assert!(!supervisor.tasks().lost().is_cancelled());
}
