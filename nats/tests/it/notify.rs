use crate::smtp_sink::{Mood, Sink};
use crate::support::{Running, Shop};
use compose::testing::eventually;
use domain::order::{OrderEvent, OrderLine, PaymentEnd, Totals};
use domain::{
    Currency, EmailAddress, Locale, Money, Name, OrderId, Position, Sku, Timestamp, UserId,
    encode_event,
};
use nats::PublicEvent;
use nats::consumer::{Delivery, Handler, Settled};
use nats::notify::{
    AccountMail, AccountNews, Directory, DirectoryError, Mailer, Notifier, NotifyConfig, OrderMail,
    Sender,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::new_id;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PLACED: &str = r#"{"number":7,"contact":{"$sealed":"c2VjcmV0"}}"#;

/// Everybody's address is `<order id>@example.com`.
#[derive(Clone, Default)]
struct People {
    erased: Arc<Mutex<HashSet<OrderId>>>,
    away: Arc<AtomicBool>,
    chinese: bool,
    /// Where mails about some orders go instead.
    addresses: Arc<Mutex<HashMap<OrderId, EmailAddress>>>,
    /// All orders are for one mailbox, as far as the hour is concerned.
    one_recipient: bool,
}

impl Directory for People {
    async fn order_mail(
        &self,
        order_id: OrderId,
        _position: Position,
    ) -> Result<Option<OrderMail>, DirectoryError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(DirectoryError("the read model is behind".into()));
        }
        if self.erased.lock().expect("not poisoned").contains(&order_id) {
            return Ok(None);
        }
        let usd = |minor| Money::new(minor, Currency::USD).expect("a small amount");
        let email = self.addresses.lock().expect("not poisoned").get(&order_id).cloned();
        let email =
            email.unwrap_or_else(|| EmailAddress::parse(address(order_id)).expect("an address"));
        Ok(Some(OrderMail {
            recipient: if self.one_recipient { "all".to_owned() } else { email.folded() },
            email,
            locale: Locale::parse(if self.chinese { "zh" } else { "en" }).expect("a language"),
            name: Some(Name::parse("Ada").expect("a name")),
            number: 7,
            lines: vec![OrderLine {
                sku: Sku::parse("notebook").expect("a SKU"),
                product_id: Uuid::nil().into(),
                name: Name::parse("Notebook").expect("a name"),
                variant: None,
                picture: None,
                quantity: 1,
                unit_price: usd(990),
                total: usd(990),
            }],
            totals: Totals {
                items: usd(990),
                discount: usd(0),
                shipping: usd(0),
                tax: usd(0),
                total: usd(990),
            },
            pay_by: Timestamp::EPOCH,
        }))
    }

    async fn account_mail(
        &self,
        _news: AccountNews,
        user_id: UserId,
        _position: Position,
    ) -> Result<Option<AccountMail>, DirectoryError> {
        Ok(Some(AccountMail {
            email: EmailAddress::parse(format!("{}@example.com", user_id.uuid().simple()))
                .expect("an address"),
            recipient: user_id.to_string(),
            locale: Locale::parse("en").expect("a language"),
            name: None,
            token: None,
        }))
    }
}

fn address(order: OrderId) -> String {
    format!("{}@example.com", order.uuid().simple())
}

struct Office {
    shop: Shop,
    people: People,
    _relay: Running,
}

struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends in order");
    }
}

impl Office {
    async fn open() -> Self {
        let shop = Shop::open().await;
        let relay = shop.start_relay();
        Self { shop, people: People::default(), _relay: relay }
    }

    fn start(&self, mailer: Mailer) -> Worker {
        self.start_with(mailer, Duration::from_secs(10))
    }

    fn start_with(&self, mailer: Mailer, lease: Duration) -> Worker {
        let notifier = self.notifier(mailer, lease);
        let stop = CancellationToken::new();
        let journal = Arc::clone(&self.shop.journal);
        let task =
            tokio::spawn(Arc::new(notifier).run(journal, self.shop.client.clone(), stop.clone()));
        Worker { stop, task }
    }

    fn notifier(&self, mailer: Mailer, lease: Duration) -> Notifier<People> {
        self.notifier_with(mailer, |config| config.lease = lease)
    }

    fn notifier_with(
        &self,
        mailer: Mailer,
        change: impl FnOnce(&mut NotifyConfig),
    ) -> Notifier<People> {
        let sender = Sender::parse("GoMall <shop@shop.test>").expect("an address");
        let mut config = NotifyConfig {
            stream: self.shop.stream.clone(),
            lease: Duration::from_secs(10),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_millis(200),
            longest_mailbox_pause: Duration::from_millis(200),
            mails_an_hour: u32::MAX,
            ..NotifyConfig::new(sender, mailer)
        };
        change(&mut config);
        Notifier::new(self.shop.pool.clone(), self.people.clone(), config)
    }

    fn place(&self) -> OrderId {
        let order = new_id();
        self.shop.append(order, "OrderPlaced", PLACED);
        order
    }

    fn payment_ended(&self, order: OrderId, end: PaymentEnd) {
        let event = OrderEvent::OrderPaymentEnded { payment_id: new_id(), end };
        let payload = encode_event(&event).expect("it can be written");
        self.shop.append(order, "OrderPaymentEnded", &payload);
    }

    async fn count(&self, state: &str) -> i64 {
        sqlx::query_scalar("select count(*) from mails where state = $1")
            .bind(state)
            .fetch_one(&self.shop.pool)
            .await
            .expect("the table is there")
    }

    async fn settle(&self, sent: i64) {
        eventually("every mail is recorded as sent", async || self.count("sent").await == sent)
            .await;
    }

    /// The dead letters that nobody is at: id, status, attempts, reason.
    async fn letters(&self) -> String {
        let letters: Option<String> = sqlx::query_scalar(
            "select string_agg(concat_ws(' ', consumer || '.' || position, status, attempts, \
                                         reason), ', ') \
             from dead_letters having not coalesce(bool_or(retry), false)",
        )
        .fetch_optional(&self.shop.pool)
        .await
        .expect("a query")
        .unwrap_or(Some("one is tried again".to_owned()));
        letters.unwrap_or_default()
    }

    /// Does to all dead letters what a decision of somebody's does.
    async fn decide(&self, what: &str) {
        sqlx::query(&format!("update dead_letters set {what}"))
            .execute(&self.shop.pool)
            .await
            .expect("it is valid");
    }

    /// Everything that the mails' rows say.
    async fn rows(&self) -> String {
        sqlx::query_scalar("select coalesce(string_agg(to_json(mails)::text, ' '), '') from mails")
            .fetch_one(&self.shop.pool)
            .await
            .expect("the table is there")
    }
}

fn smtp(sink: &Sink) -> Mailer {
    Mailer::smtp(&sink.url()).expect("an address")
}

fn subjects(sink: &Sink) -> Vec<String> {
    let mails = sink.mails();
    let mut subjects: Vec<_> =
        mails.iter().map(|mail| mail.header("Subject").unwrap_or_default().to_owned()).collect();
    subjects.sort();
    subjects
}

#[tokio::test]
async fn each_step_of_an_order_sends_its_mail_to_the_customer() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let worker = office.start(smtp(&sink));
    let order = office.place();
    office.shop.append(order, "OrderPaymentStarted", "{}");
    office.payment_ended(order, PaymentEnd::Declined);
    office.payment_ended(order, PaymentEnd::Failed);
    office.shop.append(order, "OrderPaid", r#"{"payment_id":"p"}"#);
    office.settle(3).await;
    assert_eq!(
        subjects(&sink),
        [
            "We received your payment for order 7",
            "Your order 7",
            "Your payment for order 7 was declined",
        ]
    );
    for mail in sink.mails() {
        assert_eq!(mail.recipient, address(order));
        assert_eq!(mail.header("From"), Some("GoMall <shop@shop.test>"));
        assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
        assert!(mail.text.contains("Hello Ada,"), "{}", mail.text);
    }
    let confirmation = office.shop.journal.events()[0].event_id;
    let message_id = format!("<{confirmation}@shop.test>");
    assert!(sink.mails().iter().any(|mail| mail.header("Message-ID") == Some(&message_id)));
    assert!(!office.rows().await.contains("example.com"), "no address is kept");
    worker.stop().await;
}

/// What people could type for an address, most of it none.
fn typed() -> impl Strategy<Value = String> {
    let local = r##"[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}|[aé\u{308}\u{200b} @"]{1,4}"##;
    let domain =
        r"[a-zA-Z0-9äüßéÉ例子मن.-]{1,30}|([a-z0-9]{1,63}\.){1,4}[a-zéü]{2,20}|xn--[a-z0-9-]{1,20}";
    (local, domain).prop_map(|(local, domain)| format!(" {local}@{domain}\n"))
}

#[tokio::test]
async fn whatever_is_taken_for_an_address_is_written_to_at_a_server_without_smtputf8() {
    const ADDRESSES: usize = 100;
    let office = Office::open().await;
    let sink = Sink::start().await;
    let mut runner = TestRunner::deterministic();
    let mut any = || typed().new_tree(&mut runner).expect("a text").current();
    let mut expected = BTreeSet::from([
        EmailAddress::parse("anna@bücher.example").expect("one that people have"),
        EmailAddress::parse("Ann.O'Neil+shop@例子.测试").expect("one that people have"),
    ]);
    while expected.len() < ADDRESSES {
        expected.extend(EmailAddress::parse(any()));
    }
    for email in &expected {
        let order = new_id();
        office.people.addresses.lock().expect("not poisoned").insert(order, email.clone());
        office.shop.append(order, "OrderPlaced", PLACED);
    }
    let worker = office.start(smtp(&sink));
    office.settle(ADDRESSES as i64).await;
    let written: BTreeSet<_> = sink.mails().into_iter().map(|mail| mail.recipient).collect();
    let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
    assert_eq!(written, expected);
    assert!(written.contains("anna@xn--bcher-kva.example"), "{written:?}");
    worker.stop().await;
}

#[tokio::test]
async fn declines_of_one_order_are_told_once_an_hour_by_all_workers() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let workers = [office.start(smtp(&sink)), office.start(smtp(&sink))];
    let orders = [office.place(), office.place()];
    for _ in 0..6 {
        for order in orders {
            office.payment_ended(order, PaymentEnd::Declined);
        }
    }
    office.settle(4).await;
    eventually("the others are skipped", async || office.count("skipped").await == 10).await;
    let declined = |subject: &&String| subject.contains("declined");
    assert_eq!(subjects(&sink).iter().filter(declined).count(), orders.len());
    // An hour later it is news again.
    let later = "update mails_of_an_hour set began_at = began_at - interval '1 hour'";
    sqlx::query(later).execute(&office.shop.pool).await.expect("it is valid");
    office.payment_ended(orders[0], PaymentEnd::Declined);
    office.settle(5).await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_reader_of_chinese_gets_chinese() {
    let mut office = Office::open().await;
    office.people.chinese = true;
    let sink = Sink::start().await;
    let worker = office.start(smtp(&sink));
    office.place();
    office.settle(1).await;
    let mail = sink.mails().remove(0);
    assert!(mail.header("Subject").is_some_and(|it| it.starts_with("=?utf-8?b?")), "{}", mail.text);
    assert!(mail.text.contains("Content-Type: text/plain; charset=utf-8"), "{}", mail.text);
    worker.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_twice_by_two_workers_a_restart_or_a_refilled_stream() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let workers = [office.start(smtp(&sink)), office.start(smtp(&sink))];
    for _ in 0..20 {
        office.place();
    }
    office.settle(20).await;
    let [first, second] = workers;
    first.stop().await;

    // Whatever the cursor says, everything is delivered again.
    sqlx::query("delete from consumer_positions").execute(&office.shop.pool).await.expect("ours");
    office.shop.jetstream.delete_stream(&office.shop.stream.name).await.expect("it is there");
    office.shop.is_published().await;
    second.stop().await;
    sqlx::query("delete from consumer_positions").execute(&office.shop.pool).await.expect("ours");
    let stream =
        office.shop.jetstream.get_stream(&office.shop.stream.name).await.expect("a stream");
    let _there_or_not = stream.delete_consumer("notify").await;

    let worker = office.start(smtp(&sink));
    office.place();
    office.settle(21).await;
    eventually("everything was delivered again", async || {
        let info = stream.consumer_info("notify").await;
        info.is_ok_and(|it| it.ack_floor.stream_sequence == 21 && it.num_ack_pending == 0)
    })
    .await;
    assert_eq!(sink.mails().len(), 21);
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_is_down_gets_its_mails_later() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let (port, mailer) = (sink.port(), smtp(&sink));
    drop(sink);
    let worker = office.start(mailer);
    for _ in 0..5 {
        office.place();
    }
    eventually("they wait", async || office.rows().await.contains("smtp: no connection")).await;
    let sink = Sink::on_port(port).await;
    office.settle(5).await;
    assert_eq!(sink.mails().len(), 5);
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_says_later_is_asked_again_and_no_mail_is_given_up() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let order = new_id();
    let recipient = address(order);
    sink.set_mood(Mood::Refusing { recipient, answer: "450 greylisted, try later" });
    let worker = office.start(smtp(&sink));
    office.shop.append(order, "OrderPlaced", PLACED);
    office.place();
    office.settle(1).await;
    eventually("it is tried more often than a refusal is", async || sink.tries() > 10).await;
    assert_eq!(office.count("failed").await, 0);
    sink.set_mood(Mood::Accepting);
    office.settle(2).await;
    worker.stop().await;
}

/// More than the stream delivers without an answer.
const MANY: usize = 1_200;

#[tokio::test]
async fn a_full_mailbox_stands_in_nobodys_way_however_many_mails_wait_for_it() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let full = new_id();
    let recipient = address(full);
    sink.set_mood(Mood::Refusing { recipient, answer: "452 4.2.2 mailbox full" });
    let worker = office.start(smtp(&sink));
    for _ in 0..MANY {
        office.shop.append(full, "OrderPlaced", PLACED);
    }
    for _ in 0..5 {
        office.place();
    }
    office.settle(5).await;
    let (waiting, oldest) =
        nats::notify::waiting_mails(&office.shop.pool).await.expect("the database is up");
    assert_eq!(waiting, MANY as u64, "and it is shown");
    assert!(oldest > Duration::ZERO);
    assert_eq!(office.count("failed").await, 0);
    sink.set_mood(Mood::Accepting);
    office.settle(MANY as i64 + 5).await;
    assert_eq!(sink.mails().len(), MANY + 5, "each once");
    worker.stop().await;
}

#[tokio::test]
async fn a_mailbox_at_which_the_server_hangs_up_stands_in_nobodys_way() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let bad = new_id();
    let recipient = address(bad);
    // Of the server as a whole, or of this mailbox: nobody can tell from one mail.
    sink.set_mood(Mood::Refusing { recipient, answer: "421 4.7.0 closing the connection" });
    let worker = office.start(smtp(&sink));
    for _ in 0..3 {
        office.shop.append(bad, "OrderPlaced", PLACED);
    }
    eventually("the bad one is tried", async || sink.tries() > 0).await;
    for _ in 0..20 {
        let tries = sink.tries();
        office.place();
        eventually("the next one is sent", async || sink.tries() > tries).await;
    }
    office.settle(20).await;
    assert_eq!(office.count("failed").await, 0);
    let charged: i64 =
        sqlx::query_scalar("select count(*) from mails where soft_since is not null")
            .fetch_one(&office.shop.pool)
            .await
            .expect("a query");
    assert!(charged > 0, "it is given up one day");
    sink.set_mood(Mood::Accepting);
    office.settle(23).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_that_nobody_has_tried_goes_before_those_that_are_tried_again() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let new: OrderId = new_id();
    // All of them are due, the new one last.
    sqlx::query(
        "insert into mails (event_id, position, order_id, kind, state, lease_until, attempts, message_id) \
         select gen_random_uuid(), n, case when n = 300 then $1 else gen_random_uuid() end, 'order_confirmation', \
                'waiting', now() - interval '1 hour' + n * interval '1 second', (n < 300)::int, n::text \
           from generate_series(1, 300) n",
    )
    .bind(new.uuid())
    .execute(&office.shop.pool)
    .await
    .expect("the queue is empty");
    let worker = office.start(smtp(&sink));
    office.settle(300).await;
    let place = sink.mails().iter().position(|mail| mail.recipient == address(new));
    assert!(place.is_some_and(|place| place < 16), "it came as number {place:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_that_was_given_up_in_the_middle_answers_for_no_other() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let late: Vec<OrderId> = (0..6).map(|_| new_id()).collect();
    let recipients: Vec<String> = late.iter().map(|order| address(*order)).collect();
    // Longer than a mail may take, a quarter of the lease; and the mails of everybody else are refused.
    let (lease, after) = (Duration::from_secs(2), Duration::from_millis(800));
    let others = "452 4.3.1 no space";
    sink.set_mood(Mood::Late { recipients, after, others });
    let worker = office.start_with(smtp(&sink), lease);
    for order in &late {
        office.shop.append(*order, "OrderPlaced", PLACED);
    }
    for _ in 0..40 {
        office.place();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("each was offered", async || sink.tries() >= 46).await;
    assert_eq!(office.count("sent").await, 0, "the server has taken none");
    sink.set_mood(Mood::Accepting);
    office.settle(46).await;
    assert_eq!(sink.mails().len(), 46, "each once");
    worker.stop().await;
}

#[tokio::test]
async fn mailboxes_that_never_answer_stand_in_nobodys_way() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let late: Vec<OrderId> = (0..12).map(|_| new_id()).collect();
    let recipients: Vec<String> = late.iter().map(|order| address(*order)).collect();
    let (lease, after) = (Duration::from_secs(2), Duration::from_secs(60));
    sink.set_mood(Mood::Late { recipients, after, others: "250 accepted" });
    let worker = office.start_with(smtp(&sink), lease);
    for order in &late {
        office.shop.append(*order, "OrderPlaced", PLACED);
    }
    eventually("all of them were tried", async || sink.tries() >= 12).await;
    // While they are tried again and again, whoever orders hears of it soon.
    for _ in 0..20 {
        let order = office.place();
        let taken = Instant::now();
        let has_it = || sink.mails().iter().any(|mail| mail.recipient == address(order));
        eventually("the others get theirs", async || has_it()).await;
        assert!(taken.elapsed() < Duration::from_secs(2), "after {:?}", taken.elapsed());
    }
    office.settle(20).await;
    worker.stop().await;
}

#[tokio::test]
async fn mailboxes_that_hang_for_long_stand_aside() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let late: Vec<OrderId> = (0..100).map(|_| new_id()).collect();
    let recipients: Vec<String> = late.iter().map(|order| address(*order)).collect();
    let after = Duration::from_secs(60);
    sink.set_mood(Mood::Late { recipients, after, others: "250 accepted" });
    // Each of them would hang for the ten seconds that a mail server has for an answer.
    let worker = office.start_with(smtp(&sink), Duration::from_secs(60));
    for order in &late {
        office.shop.append(*order, "OrderPlaced", PLACED);
    }
    // The first time, and when they are tried again and the server may seem to be away.
    for tries in [0, 120] {
        eventually("they are tried", async || sink.tries() > tries).await;
        let order = office.place();
        let placed = Instant::now();
        let has_it = || sink.mails().iter().any(|mail| mail.recipient == address(order));
        eventually("the other gets theirs", async || has_it()).await;
        assert!(placed.elapsed() < Duration::from_secs(8), "after {:?}", placed.elapsed());
    }
    office.settle(2).await;
    worker.stop().await;
}

#[tokio::test]
async fn what_stands_still_is_said_until_it_goes_on() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let down = Sink::start().await;
    let away = smtp(&down);
    drop(down);
    for (mailer, is_away) in [(smtp(&sink), false), (away, true)] {
        let notifier = Arc::new(office.notifier(mailer, Duration::from_secs(10)));
        let status = notifier.status();
        let stop = CancellationToken::new();
        let journal = Arc::clone(&office.shop.journal);
        let task = tokio::spawn(notifier.run(journal, office.shop.client.clone(), stop.clone()));
        office.place();
        if is_away {
            let said = async || status.borrow().server.is_some();
            eventually("the mail server is said to be away", said).await;
        } else {
            office.settle(1).await;
            let mut locked = office.shop.pool.begin().await.expect("it is up");
            sqlx::query("lock table mails").execute(&mut *locked).await.expect("nobody keeps it");
            let said = async || status.borrow().queue.is_some();
            eventually("nobody can read the queue", said).await;
            office.place();
            let said = async || status.borrow().events.is_some();
            eventually("nobody can take events in", said).await;
            locked.rollback().await.expect("it is up");
            office.settle(2).await;
            let gets_on = async || {
                let status = status.borrow();
                status.queue.is_none() && status.events.is_none() && status.server.is_none()
            };
            eventually("everything goes on", gets_on).await;
        }
        stop.cancel();
        task.await.expect("it ends in order");
    }
}

#[tokio::test]
async fn a_mailbox_that_stays_full_for_too_long_is_a_dead_letter() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let order = new_id();
    sink.set_mood(Mood::Refusing { recipient: address(order), answer: "452 4.2.2 mailbox full" });
    let stop = CancellationToken::new();
    let notifier = office.notifier_with(smtp(&sink), |config| {
        config.soft_patience = Duration::from_millis(1_500);
    });
    let journal = Arc::clone(&office.shop.journal);
    let task =
        tokio::spawn(Arc::new(notifier).run(journal, office.shop.client.clone(), stop.clone()));
    office.shop.append(order, "OrderPlaced", PLACED);
    eventually("it is given up", async || office.letters().await == "notify.1 failed 1 smtp 452")
        .await;
    assert!(sink.tries() > 1, "it was tried for a while");
    sink.set_mood(Mood::Accepting);
    office.decide("retry = true").await;
    office.settle(1).await;
    stop.cancel();
    task.await.expect("it ends in order");
}

#[tokio::test]
async fn a_recipient_gets_so_many_mails_an_hour_from_all_workers_and_the_rest_later() {
    let mut office = Office::open().await;
    office.people.one_recipient = true;
    let sink = Sink::start().await;
    let stop = CancellationToken::new();
    let workers = [(); 2].map(|()| {
        let notifier = office.notifier_with(smtp(&sink), |config| config.mails_an_hour = 5);
        let journal = Arc::clone(&office.shop.journal);
        let client = office.shop.client.clone();
        tokio::spawn(Arc::new(notifier).run(journal, client, stop.clone()))
    });
    for _ in 0..12 {
        office.place();
    }
    let crowded = "select count(*) from mails where state = 'waiting' \
                    and problem = 'its recipient has had the mails of an hour'";
    let waiting = async || -> i64 {
        sqlx::query_scalar(crowded).fetch_one(&office.shop.pool).await.expect("a number")
    };
    eventually("the others wait", async || waiting().await == 7).await;
    office.settle(5).await;
    assert_eq!(sink.mails().len(), 5);
    let hour = "update mails_of_an_hour set began_at = began_at - interval '1 hour'";
    let due = "update mails set lease_until = clock_timestamp() where state = 'waiting'";
    for statement in [hour, due] {
        sqlx::query(statement).execute(&office.shop.pool).await.expect("time passes");
    }
    eventually("the next hour has its own", async || waiting().await == 2).await;
    office.settle(10).await;
    assert_eq!(sink.mails().len(), 10);
    // Whoever has waited for too long is a dead letter that somebody sees.
    sqlx::query("update mails set soft_since = now() - interval '2 days' where state = 'waiting'")
        .execute(&office.shop.pool)
        .await
        .expect("time passes");
    sqlx::query(due).execute(&office.shop.pool).await.expect("time passes");
    eventually("they are dead letters", async || office.count("failed").await == 2).await;
    let letters = office.letters().await;
    assert!(letters.contains("its recipient has had the mails of an hour"), "{letters}");
    stop.cancel();
    for worker in workers {
        worker.await.expect("it ends in order");
    }
}

#[tokio::test]
async fn a_mail_that_was_not_sent_takes_no_place_of_its_recipients_hour() {
    let mut office = Office::open().await;
    office.people.one_recipient = true;
    let sink = Sink::start().await;
    let full = new_id();
    sink.set_mood(Mood::Refusing { recipient: address(full), answer: "452 4.2.2 mailbox full" });
    let stop = CancellationToken::new();
    let notifier = office.notifier_with(smtp(&sink), |config| config.mails_an_hour = 2);
    let (journal, client) = (Arc::clone(&office.shop.journal), office.shop.client.clone());
    let worker = tokio::spawn(Arc::new(notifier).run(journal, client, stop.clone()));
    office.shop.append(full, "OrderPlaced", PLACED);
    eventually("it is tried a few times", async || sink.tries() > 3).await;
    office.place();
    office.settle(1).await;
    sink.set_mood(Mood::Accepting);
    office.settle(2).await;
    stop.cancel();
    worker.await.expect("it ends in order");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_a_dead_letter_until_it_is_taken_or_given_up() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let order = new_id();
    let refusing =
        || Mood::Refusing { recipient: address(order), answer: "550 5.1.1 no such user" };
    sink.set_mood(refusing());
    let worker = office.start(smtp(&sink));
    office.shop.append(order, "OrderPlaced", PLACED);
    office.place();
    office.settle(1).await;
    let letters = async |expected: &str| {
        eventually("the dead letters are what they should be", async || {
            office.letters().await == expected
        })
        .await;
    };
    letters("notify.1 failed 1 smtp 550").await;
    let rows = office.rows().await;
    assert!(rows.contains("smtp 550") && !rows.contains("no such user"), "{rows}");
    assert_eq!(sink.tries(), 9, "eight refusals and one mail");

    // Another round of refusals ends where it was.
    office.decide("retry = true").await;
    letters("notify.1 failed 2 smtp 550").await;
    // Its address takes mail again.
    sink.set_mood(Mood::Accepting);
    office.decide("retry = true").await;
    letters("").await;
    office.settle(2).await;

    // One that was given up is not offered again.
    sink.set_mood(refusing());
    office.shop.append(order, "OrderPaid", r#"{"payment_id":"x"}"#);
    letters("notify.3 failed 1 smtp 550").await;
    let tries = sink.tries();
    office.decide("status = 'given_up', retry = true").await;
    letters("notify.3 given_up 1 smtp 550").await;
    assert_eq!((sink.tries(), office.count("failed").await), (tries, 1));
    worker.stop().await;
}

#[tokio::test]
async fn an_erased_person_gets_no_mail() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    let order = new_id();
    office.people.erased.lock().expect("not poisoned").insert(order);
    let worker = office.start(smtp(&sink));
    office.shop.append(order, "OrderPlaced", PLACED);
    office.place();
    office.settle(1).await;
    eventually("it is recorded", async || office.count("skipped").await == 1).await;
    assert_eq!(sink.mails().len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_directory_that_cannot_answer_yet_is_asked_again() {
    let office = Office::open().await;
    office.people.away.store(true, Ordering::Relaxed);
    let sink = Sink::start().await;
    let worker = office.start(smtp(&sink));
    office.place();
    eventually("it waits", async || office.count("waiting").await == 1).await;
    office.people.away.store(false, Ordering::Relaxed);
    office.settle(1).await;
    worker.stop().await;
}

#[tokio::test]
async fn dying_between_acceptance_and_record_sends_once_more_with_the_same_message_id() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    sink.set_mood(Mood::Speechless);
    let lease = Duration::from_secs(2);
    let worker = office.start_with(smtp(&sink), lease);
    office.place();
    sink.accepted().await;
    worker.task.abort();
    sink.set_mood(Mood::Accepting);
    assert_eq!(office.count("sending").await, 1);

    let workers = [office.start_with(smtp(&sink), lease), office.start_with(smtp(&sink), lease)];
    office.settle(1).await;
    let mails = sink.mails();
    assert_eq!(mails.len(), 2, "one duplicate, not more");
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert!(mails[0].header("Message-ID").is_some());
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_mail_on_its_way_is_finished_although_the_durable_is_lost() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    sink.set_mood(Mood::Speechless);
    let worker = office.start_with(smtp(&sink), Duration::from_secs(60));
    office.place();
    sink.accepted().await;
    let stream = office.shop.jetstream.get_stream(&office.shop.stream.name).await.expect("it is");
    stream.delete_consumer("notify").await.expect("it was there");
    // Longer than it takes to notice, and than a stop waits; shorter than a mail server is waited for.
    let hung_up = tokio::time::timeout(Duration::from_secs(6), sink.hung_up()).await;
    assert!(hung_up.is_err(), "who hangs up does not know whether the mail went out");
    sink.set_mood(Mood::Accepting);
    office.settle(1).await;
    office.place();
    office.settle(2).await;
    assert_eq!(sink.mails().len(), 2, "one a mail, and the durable is there again");
    worker.stop().await;
}

#[tokio::test]
async fn a_mail_that_is_being_sent_is_not_touched_by_another_worker() {
    let office = Office::open().await;
    let sink = Sink::start().await;
    sink.set_mood(Mood::Speechless);
    let worker = office.start(smtp(&sink));
    office.place();
    sink.accepted().await;

    let event = PublicEvent::try_from(&*office.shop.journal.events()[0]).expect("JSON");
    let other = office.notifier(smtp(&sink), Duration::from_secs(10));
    let settled = other.handle(&Delivery { event, delivered: 1 }).await;
    assert_eq!(settled, Settled::Done, "it is in the queue");
    let other = office.start(smtp(&sink));
    // The other one is at work, as its first mail shows.
    office.place();
    eventually("the other one sends", async || sink.tries() == 2).await;
    assert_eq!(office.count("sending").await, 2);
    worker.task.abort();
    other.task.abort();
}

#[tokio::test]
async fn a_folder_holds_one_whole_file_for_each_mail() {
    let office = Office::open().await;
    let folder = std::env::temp_dir().join(format!("gomall-mails-{}", new_id::<Uuid>()));
    let worker = office.start(Mailer::Folder(folder.clone()));
    let order = office.place();
    office.settle(1).await;
    let event_id = office.shop.journal.events()[0].event_id;
    let text = std::fs::read_to_string(folder.join(format!("{event_id}.eml"))).expect("the mail");
    assert!(text.contains(&address(order)) && text.contains("Your order 7"), "{text}");
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 1);
    worker.stop().await;
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn settings_that_cannot_be_used_are_refused_without_repeating_them() {
    let refused = Mailer::smtp("ftp://user:secret@host").expect_err("not SMTP");
    assert!(!format!("{refused} {refused:?}").contains("secret"));
    Sender::parse("nobody").expect_err("no address");
}

#[tokio::test]
async fn mails_about_events_that_the_journal_lost_are_listed() {
    let pool = testkit::pool().await;
    let [kept, recorded, forgotten]: [OrderId; 3] = std::array::from_fn(|_| new_id());
    let rows = [
        "insert into events (position, aggregate_type, aggregate_id, sequence, event_type, \
           event_version, payload, metadata, event_id, recorded_at) \
         values (1, 'order', 'a', 1, 'OrderPlaced', '1', '{}', '{}', $1, now())",
        "insert into mails (event_id, position, order_id, kind, state, lease_until, message_id, sent_at) \
         select id, 1, id, 'order_confirmation', 'sent', now(), 'x', now() \
           from unnest(array[$1, $2]) id where $3::uuid is not null",
        "insert into lost_events (event_id, position, aggregate_type, aggregate_id, event_type, \
           recorded_at) \
         select id, 2, 'order', id::text, 'OrderPlaced', now() from unnest(array[$2, $3]) id \
           where $1::uuid is not null",
    ];
    for (number, row) in rows.into_iter().enumerate() {
        let ids = if number == 0 { vec![kept] } else { vec![kept, recorded, forgotten] };
        let query = ids.into_iter().fold(sqlx::query(row), |query, id| query.bind(id.uuid()));
        query.execute(&pool).await.expect("a statement");
    }
    let listed = nats::notify::lost_mails(&pool).await.expect("readable");
    let listed: Vec<_> = listed.iter().map(|mail| (mail.about, mail.sent_at.is_some())).collect();
    assert_eq!(listed, [(recorded.uuid(), true), (forgotten.uuid(), false)]);
}
