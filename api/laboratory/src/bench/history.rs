//! A long history of a busy shop, written in bulk: what relays, rebuilds and growth are measured on.
//!
//! A thousand products, then one order after the other: fifteen events each, over a cart, an order,
//! a payment and two stock items. It is loaded past the write side, because how fast that is is
//! another question.

use super::targets::metadata;
use anyhow::Context as _;
use api::shop::world;
use cqrs_es::DomainEvent;
use domain::cart::{Cart, CartEvent};
use domain::order::{Order, OrderEvent, OrderLine, Totals};
use domain::payment::{Payment, PaymentEvent};
use domain::product::{Product, ProductEvent, Variant};
use domain::stock::{StockEvent, StockItem};
use domain::{
    CartId, Currency, Identified, Money, Name, OrderId, PaymentId, Position, ProductId, Quantity,
    Reason, Sealed, Sku, Slug, Timestamp, UserId, encode_event,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// Products of the shop.
const PRODUCTS: u128 = 1_000;

/// Events of one statement.
const ROWS: usize = 5_000;

/// As long as a sealed contact is.
const SEALED_BYTES: usize = 300;

const LOAD: &str = "insert into events \
        (position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, \
         metadata, event_id, recorded_at) \
    select $1 + row, type, id, sequence, name, '1', payload::json, metadata::json, event_id, now() \
      from unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[]) \
           with ordinality rows(type, id, sequence, name, payload, metadata, event_id, row)";

/// Adds `events` events at least to the journal, which nobody else writes to meanwhile; returns the
/// journal's last position.
pub(super) async fn load(database: &PgConnectOptions, events: u64) -> anyhow::Result<Position> {
    let mut connection =
        database.clone().options([("synchronous_commit", "off")]).connect().await?;
    let head: Option<i64> =
        sqlx::query_scalar("select max(position) from events").fetch_one(&mut connection).await?;
    let mut writer = Writer { position: head.unwrap_or(0), ..Writer::default() };
    let end = writer.position + i64::try_from(events)?;
    let products: Vec<Thing> = (0..PRODUCTS).map(|_| Thing::new()).collect();
    for product in &products {
        product.open(&mut writer)?;
    }
    let mut number = 0;
    while writer.written() < end {
        let index = usize::try_from(number)?;
        let first = &products[index % products.len()];
        let second = &products[(index * 7 + 1) % products.len()];
        number += 1;
        order(&mut writer, number, [first, second])?;
        if writer.rows.id.len() >= ROWS {
            writer.flush(&mut connection).await?;
        }
    }
    writer.flush(&mut connection).await?;
    // What the bulk load leaves to do must not be done while something else is measured.
    for tidy in ["vacuum (analyze) events", "checkpoint"] {
        sqlx::query(tidy).execute(&mut connection).await.context(tidy)?;
    }
    connection.close().await?;
    Ok(Position::try_from(writer.position)?)
}

/// A product with one variant, as the history needs it.
struct Thing {
    product_id: ProductId,
    sku: Sku,
    name: Name,
    price: Money,
}

impl Thing {
    fn new() -> Self {
        let product_id = ProductId::from((world().new_id)());
        Self {
            product_id,
            sku: Sku::parse(product_id.to_string()).expect("an id is letters, digits and dashes"),
            name: Name::parse("A thing of some use").expect("a short line is a name"),
            price: Money::new(990, Currency::USD).expect("a small amount"),
        }
    }

    fn open(&self, writer: &mut Writer) -> anyhow::Result<()> {
        let Self { product_id, sku, name, price } = self;
        let created = ProductEvent::ProductCreated {
            name: name.clone(),
            description: "Sold by the piece, sent within a day.".to_owned(),
            picture: None,
            categories: vec![Slug::parse("things")?],
            variants: vec![Variant { sku: sku.clone(), number: 1, name: None }],
        };
        let priced = ProductEvent::ProductPriced { sku: sku.clone(), price: *price };
        for event in [created, priced, ProductEvent::ProductPublished {}] {
            writer.add::<Product>(product_id, &event)?;
        }
        let received =
            StockEvent::StockReceived { quantity: 1_000_000, reason: Reason::parse("delivery")? };
        for event in [StockEvent::StockItemOpened { product_id: *product_id }, received] {
            writer.add::<StockItem>(sku, &event)?;
        }
        Ok(())
    }
}

/// A customer fills a cart, checks out and pays.
fn order(writer: &mut Writer, number: i32, products: [&Thing; 2]) -> anyhow::Result<()> {
    let customer_id = UserId::from((world().new_id)());
    let cart_id = CartId::of(customer_id);
    let order_id = OrderId::from((world().new_id)());
    let payment_id = PaymentId::from((world().new_id)());
    let pay_by = (world().now)().plus_seconds(900);
    writer.add::<Cart>(&cart_id, &CartEvent::CartOpened { owner_id: customer_id })?;
    for product in products {
        let added = CartEvent::ItemAdded {
            sku: product.sku.clone(),
            product_id: product.product_id,
            name: product.name.clone(),
            variant: None,
            picture: None,
            quantity: Quantity::new(1)?,
            unit_price: product.price,
        };
        writer.add::<Cart>(&cart_id, &added)?;
    }
    let changed = CartEvent::QuantityChanged {
        sku: products[0].sku.clone(),
        quantity: Quantity::new(2)?,
        unit_price: products[0].price,
    };
    writer.add::<Cart>(&cart_id, &changed)?;
    writer.add::<Cart>(&cart_id, &CartEvent::CartCheckedOut { order_id })?;
    let placed = placed(number, customer_id, products, pay_by)?;
    let OrderEvent::OrderPlaced { totals: Totals { total, .. }, .. } = &placed else {
        anyhow::bail!("an order begins with its placing")
    };
    let amount = *total;
    writer.add::<Order>(&order_id, &placed)?;
    for product in products {
        let reserved = StockEvent::StockReserved { order_id, quantity: 1, until: pay_by };
        writer.add::<StockItem>(&product.sku, &reserved)?;
    }
    let requested =
        PaymentEvent::PaymentRequested { order_id, customer_id, amount, method: "card".to_owned() };
    writer.add::<Payment>(&payment_id, &requested)?;
    writer.add::<Order>(&order_id, &OrderEvent::OrderPaymentStarted { payment_id })?;
    writer.add::<Payment>(&payment_id, &PaymentEvent::PaymentAuthorized {})?;
    writer.add::<Payment>(&payment_id, &PaymentEvent::PaymentCaptured { amount })?;
    writer.add::<Order>(&order_id, &OrderEvent::OrderPaid { payment_id })?;
    for product in products {
        let sold = StockEvent::StockCommitted { order_id, quantity: 1 };
        writer.add::<StockItem>(&product.sku, &sold)?;
    }
    Ok(())
}

fn placed(
    number: i32,
    customer_id: UserId,
    products: [&Thing; 2],
    pay_by: Timestamp,
) -> anyhow::Result<OrderEvent> {
    let zero = Money::zero(Currency::USD);
    let line = |product: &Thing| OrderLine {
        sku: product.sku.clone(),
        product_id: product.product_id,
        name: product.name.clone(),
        variant: None,
        picture: None,
        quantity: 1,
        unit_price: product.price,
        total: product.price,
    };
    let total = products[0].price.plus(products[1].price)?;
    Ok(OrderEvent::OrderPlaced {
        number,
        customer_id,
        cart_id: CartId::of(customer_id),
        lines: products.map(line).into(),
        totals: Totals { items: total, discount: zero, shipping: zero, tax: zero, total },
        contact: Sealed::from_ciphertext("x".repeat(SEALED_BYTES)),
        pay_by,
    })
}

/// Gathers rows and gives them their places.
#[derive(Default)]
struct Writer {
    /// The journal's last position.
    position: i64,
    sequences: HashMap<String, i64>,
    rows: Rows,
}

#[derive(Default)]
struct Rows {
    aggregate_type: Vec<&'static str>,
    id: Vec<String>,
    sequence: Vec<i64>,
    name: Vec<String>,
    payload: Vec<String>,
    metadata: Vec<String>,
    event_id: Vec<Uuid>,
}

impl Writer {
    /// The position that the journal has when everything is flushed.
    fn written(&self) -> i64 {
        self.position + i64::try_from(self.rows.id.len()).expect("a batch is small")
    }

    fn add<A: Identified>(&mut self, id: &A::Id, event: &A::Event) -> anyhow::Result<()> {
        let id = id.to_string();
        let sequence = self.sequences.entry(id.clone()).or_default();
        *sequence += 1;
        let event_id = (world().new_id)();
        let rows = &mut self.rows;
        rows.sequence.push(*sequence);
        rows.aggregate_type.push(A::TYPE);
        rows.id.push(id);
        rows.name.push(event.event_type());
        rows.payload.push(encode_event(event)?);
        rows.metadata.push(serde_json::to_string(&metadata(event_id))?);
        rows.event_id.push(event_id);
        Ok(())
    }

    async fn flush(&mut self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let written = self.written();
        let rows = std::mem::take(&mut self.rows);
        sqlx::query(LOAD)
            .bind(self.position)
            .bind(rows.aggregate_type)
            .bind(rows.id)
            .bind(rows.sequence)
            .bind(rows.name)
            .bind(rows.payload)
            .bind(rows.metadata)
            .bind(rows.event_id)
            .execute(connection)
            .await?;
        self.position = written;
        Ok(())
    }
}
