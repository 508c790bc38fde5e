//! What a new shop starts with: the default permission rules, and in `dev` an administrator and
//! the sample catalogue. Every part is done once and may be asked for again.

use crate::access::POLICY_ID;
use crate::application::App;
use crate::routes::default_policy as defaults;
use anyhow::Context as _;
use commands::bus::{Context, ExecuteError, Plan};
use commands::registration::{self, Registration};
use domain::policy::{Policy, PolicyChange, PolicyCommand};
use domain::product::{Product, ProductCommand, Variant};
use domain::stock::{StockCommand, StockItem};
use domain::user::{User, UserCommand};
use domain::{
    Currency, Description, EmailAddress, Locale, Money, Name, ProductId, Reason, RoleName, Sku,
    Slug, Text,
};
use uuid::Uuid;

/// Pieces of every sample product.
const SAMPLE_STOCK: u32 = 1_000;

/// The sample catalogue: name, description, cents, category, picture, SKU. The numbers 1 to 7
/// follow from the order, which clients of the old shop know by heart.
const SAMPLES: [(&str, &str, i64, &str, &str, &str); 7] = [
    (
        "Notebook",
        "A ruled notebook with a firm cover, for lists that are longer than a cart.",
        990,
        "sticker",
        "notebook.jpeg",
        "notebook",
    ),
    (
        "Mouse-Pad",
        "A thin, washable pad that stays where it is put.",
        880,
        "sticker",
        "mouse-pad.jpeg",
        "mouse-pad",
    ),
    ("T-Shirt", "Heavy cotton, cut straight.", 660, "t-shirt", "t-shirt.jpeg", "t-shirt"),
    ("T-Shirt", "Light cotton for warm days.", 220, "t-shirt", "t-shirt-1.jpeg", "t-shirt-1"),
    (
        "Sweatshirt",
        "Brushed inside, for evenings.",
        110,
        "t-shirt",
        "sweatshirt.jpeg",
        "sweatshirt",
    ),
    ("T-Shirt", "The one with the small print.", 180, "t-shirt", "t-shirt-2.jpeg", "t-shirt-2"),
    ("Mascot", "Our mascot as a sticker.", 480, "sticker", "logo.jpg", "mascot"),
];

/// Who writes what a new shop starts with.
pub const ACTOR: &str = "system:seed";

fn context(app: &App, actor: &str) -> Context {
    Context {
        actor: actor.to_owned(),
        correlation_id: (app.world.new_id)(),
        causation_id: None,
        traceparent: None,
    }
}

/// Puts the default rules in force if the shop has never had any.
///
/// # Errors
/// When the journal cannot be used.
pub async fn default_policy(app: &App) -> anyhow::Result<()> {
    if app.bus.load::<Policy>(POLICY_ID).await?.sequence > 0 {
        return Ok(());
    }
    let mut plan = Plan::new(&context(app, ACTOR));
    for (index, (rule_id, rule)) in defaults::rules().into_iter().enumerate() {
        // Whoever is first does it: another process that starts at once conflicts and is done.
        let version = (index == 0).then_some(0);
        let add = by_nobody(PolicyChange::AddRule { rule_id, rule });
        plan = plan.step_at::<Policy>(POLICY_ID, add, version);
    }
    for (public_path_id, entry) in defaults::public_paths() {
        let (methods, path) = (entry.methods, entry.path);
        let add = by_nobody(PolicyChange::AddPublicPath { public_path_id, methods, path });
        plan = plan.step::<Policy>(POLICY_ID, add);
    }
    match app.bus.execute(plan).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Rejected(rejections))
            if rejections.first().is_some_and(|first| first.code() == "version_conflict") =>
        {
            Ok(())
        }
        Err(error) => Err(error).context("the default permission rules could not be written"),
    }
}

/// There is nobody yet who could be locked out.
fn by_nobody(change: PolicyChange) -> PolicyCommand {
    PolicyCommand { changes: vec![change], way_back: None }
}

/// Makes sure that the seven sample products exist, published and in stock.
///
/// # Errors
/// When the journal cannot be used.
pub async fn sample_catalogue(app: &App) -> anyhow::Result<()> {
    for ((name, description, cents, category, picture, sku), number) in SAMPLES.into_iter().zip(1..)
    {
        // Known by their ids, so that a start that was cut off goes on where it stopped.
        let product_id = sample_id(number);
        if app.bus.load::<Product>(&product_id).await?.sequence > 0 {
            continue;
        }
        let sku = Sku::parse(sku)?;
        let variant = Variant { sku: sku.clone(), number, name: None };
        let create = ProductCommand::Create {
            name: Name::parse(name)?,
            description: Description::parse(description)?,
            picture: Some(Text::parse(format!("/static/image/{picture}"))?),
            categories: vec![Slug::parse(category)?],
            variants: vec![(variant, Money::new(cents, Currency::USD)?)],
        };
        let reason = Reason::parse("sample catalogue")?;
        let receive = StockCommand::Receive { quantity: SAMPLE_STOCK, reason };
        let plan = Plan::new(&context(app, ACTOR))
            .step::<Product>(&product_id, create)
            .step::<Product>(&product_id, ProductCommand::Publish)
            .step::<StockItem>(&sku, StockCommand::Open { product_id })
            .step::<StockItem>(&sku, receive);
        app.bus.execute(plan).await.context("the sample catalogue could not be written")?;
    }
    Ok(())
}

/// An id in the form of a UUIDv7 of the first millisecond of 1970, as the default rules have.
fn sample_id(number: i32) -> ProductId {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 + number.unsigned_abs() as u128)
        .into()
}

/// Registers an administrator under `email`, in the name of `actor`; false when the address has an account already, which
/// is then left as it is.
///
/// # Errors
/// When the journal cannot be used, or the password cannot be hashed.
pub async fn administrator(
    app: &App,
    email: &EmailAddress,
    password: &str,
    actor: &str,
) -> anyhow::Result<bool> {
    if registration::find_by_email(&app.pool, email).await?.is_some() {
        return Ok(false);
    }
    let hash = app.passwords.hash(password.to_owned()).await;
    let user_id = (app.world.new_id)().into();
    let registration = Registration {
        user_id,
        email: email.clone(),
        name: Some(Name::parse("Administrator")?),
        password_hash: hash.map_err(|problem| anyhow::anyhow!("{problem}"))?,
        locale: Locale::parse("en")?,
        role: RoleName::known("admin"),
        // Whoever has the database said so.
        verify_email: false,
        number: app.user_numbers.next().await?,
    };
    let context = context(app, actor);
    match registration::register(&app.bus, &app.vault, registration, &context, None).await {
        Ok(_) => {}
        Err(ExecuteError::Rejected(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let grant = UserCommand::GrantRole { role: RoleName::known("customer") };
    app.bus.execute(Plan::new(&context).step::<User>(&user_id, grant)).await?;
    Ok(true)
}
