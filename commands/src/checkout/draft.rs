//! What a plan is made from: a cart with the products of its lines, read at one time.

use super::holds;
use super::rejection::{CheckoutRejection, PriceChange, Shortage};
use super::{Checkout, PAY_WITHIN_SECONDS};
use crate::bus::{Bus, Context, ExecuteError, Loaded, Plan};
use domain::cart::{Cart, CartCommand, CartLine, CartRejection};
use domain::order::{Order, OrderCommand, OrderLine, Totals};
use domain::payment::{Payment, PaymentCommand};
use domain::product::{Product, ProductStatus};
use domain::stock::{StockCommand, StockItem};
use domain::{CartId, Money, Name, ProductId, Quantity, Rejection, Sku, Timestamp};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A cart with the products of its lines, as they were read for one plan.
pub(super) struct Draft {
    cart: Loaded<Cart>,
    products: BTreeMap<ProductId, Loaded<Product>>,
}

impl Draft {
    pub(super) async fn read(bus: &Bus, cart: Loaded<Cart>) -> Result<Self, ExecuteError> {
        let mut products = BTreeMap::new();
        for line in &cart.state.lines {
            if let Entry::Vacant(place) = products.entry(line.product_id) {
                place.insert(bus.peek::<Product>(&line.product_id).await?);
            }
        }
        Ok(Self { cart, products })
    }

    /// The price of one piece today; none when it is not sold any more.
    fn price(&self, product_id: ProductId, sku: &Sku) -> Option<Money> {
        let product = &self.products.get(&product_id)?.state;
        (product.status == ProductStatus::Published).then(|| product.price(sku)).flatten()
    }

    /// What tells the variant from its siblings; today's, where the line is older than its naming it.
    fn variant(&self, line: &CartLine) -> Option<Name> {
        let product = &self.products.get(&line.product_id)?.state;
        let sold = || product.variants.iter().find(|sold| sold.variant.sku == line.sku);
        line.variant.clone().or_else(|| sold().and_then(|sold| sold.variant.name.clone()))
    }

    /// Is everything still sold, at the price that the customer saw?
    pub(super) fn check(&self, expected_total: Option<Money>) -> Result<(), Box<dyn Rejection>> {
        let cart = &self.cart.state;
        if cart.lines.is_empty() {
            return Err(Box::new(CartRejection::CartIsEmpty));
        }
        let not_sold: Vec<Shortage> = cart
            .lines
            .iter()
            .filter(|line| self.price(line.product_id, &line.sku).is_none())
            .map(|line| Shortage {
                sku: line.sku.clone(),
                requested: line.quantity.get(),
                available: 0,
            })
            .collect();
        if !not_sold.is_empty() {
            return Err(Box::new(CheckoutRejection::OutOfStock { lines: not_sold }));
        }
        self.check_currency()?;
        let (_, totals) = self.priced()?;
        let agreed = match expected_total {
            Some(expected) => expected == totals.total,
            None => cart.total().ok().flatten() == Some(totals.total),
        };
        if agreed {
            return Ok(());
        }
        let lines = self.changes().filter(|change| change.now != change.seen).collect();
        Err(Box::new(CheckoutRejection::PriceChanged { total: totals.total, lines }))
    }

    /// Has every line a price in the cart's currency still?
    fn check_currency(&self) -> Result<(), Box<dyn Rejection>> {
        let Some(cart) = self.cart.state.currency() else { return Ok(()) };
        let lines: Vec<PriceChange> =
            self.changes().filter(|change| change.now.currency() != cart).collect();
        match lines.is_empty() {
            true => Ok(()),
            false => Err(Box::new(CheckoutRejection::CurrencyUnavailable { cart, lines })),
        }
    }

    /// What each line that is sold cost when it was written, and what it costs now.
    fn changes(&self) -> impl Iterator<Item = PriceChange> {
        self.cart.state.lines.iter().filter_map(|line| {
            let now = self.price(line.product_id, &line.sku)?;
            Some(PriceChange { sku: line.sku.clone(), seen: line.unit_price, now })
        })
    }

    /// Lines and totals at today's prices. Shipping and tax are nothing for now.
    pub(super) fn priced(&self) -> Result<(Vec<OrderLine>, Totals), Box<dyn Rejection>> {
        let out_of_range = |_| Box::new(CartRejection::TotalOutOfRange) as Box<dyn Rejection>;
        let mut lines = Vec::with_capacity(self.cart.state.lines.len());
        let mut items: Option<Money> = None;
        for line in &self.cart.state.lines {
            let unit_price = self.price(line.product_id, &line.sku).unwrap_or(line.unit_price);
            let total = unit_price.times(line.quantity.get()).map_err(out_of_range)?;
            items = Some(match items {
                Some(sum) => sum.plus(total).map_err(out_of_range)?,
                None => total,
            });
            lines.push(OrderLine {
                sku: line.sku.clone(),
                product_id: line.product_id,
                name: line.name.clone(),
                variant: self.variant(line),
                picture: line.picture.clone(),
                quantity: line.quantity.get(),
                unit_price,
                total,
            });
        }
        let Some(items) = items else { return Err(Box::new(CartRejection::CartIsEmpty)) };
        let nothing = Money::zero(items.currency());
        let totals =
            Totals { items, discount: nothing, shipping: nothing, tax: nothing, total: items };
        Ok((lines, totals))
    }

    /// A plan that changes nothing and succeeds if everything is as it was read.
    pub(super) fn unchanged(&self, cart_id: CartId, context: &Context) -> Plan {
        let plan = Plan::new(context).unchanged::<Cart>(&cart_id, self.cart.head);
        self.products_unchanged(plan)
    }

    fn products_unchanged(&self, plan: Plan) -> Plan {
        self.products.iter().fold(plan, |plan, (product_id, product)| {
            plan.unchanged::<Product>(product_id, product.head)
        })
    }

    /// Order, cart, stock and the first payment, all or nothing. Where the total is zero there is no payment.
    pub(super) fn plan(
        &self,
        checkout: &Checkout,
        context: &Context,
        now: Timestamp,
    ) -> Result<Plan, Box<dyn Rejection>> {
        if checkout.cart_version.is_some_and(|version| version != self.cart.sequence) {
            return Err(Box::new(CartRejection::CartChanged));
        }
        self.check(checkout.expected_total)?;
        let (lines, totals) = self.priced()?;
        let order_id = checkout.order_id;
        let pay_by = now.plus_seconds(PAY_WITHIN_SECONDS);
        let ordered: Vec<(Sku, Quantity)> =
            self.cart.state.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();

        let place = OrderCommand::Place {
            number: checkout.number,
            customer_id: checkout.customer_id,
            cart_id: checkout.cart_id,
            lines,
            totals,
            contact: checkout.contact.clone(),
            pay_by,
        };
        let mut plan = Plan::new(context).step::<Order>(&order_id, place).step::<Cart>(
            &checkout.cart_id,
            CartCommand::CheckOut { order_id, lines: ordered.clone() },
        );
        for (sku, quantity) in ordered {
            let reserve =
                StockCommand::Reserve { sku: sku.clone(), order_id, quantity, until: pay_by };
            plan = plan.step::<StockItem>(&sku, reserve);
        }
        let is_free = totals.is_free();
        if is_free {
            // Paid with being placed, so sold.
            for line in &self.cart.state.lines {
                plan = plan.step::<StockItem>(&line.sku, StockCommand::Commit { order_id });
            }
        }
        if let Some(payment) = checkout.payment.as_ref().filter(|_| !is_free) {
            let request = PaymentCommand::Request {
                order_id,
                customer_id: checkout.customer_id,
                amount: totals.total,
                method: payment.method.clone(),
            };
            plan = plan.step::<Payment>(&payment.payment_id, request).step::<Order>(
                &order_id,
                OrderCommand::StartPayment { payment_id: payment.payment_id },
            );
        }
        plan = holds::tagged(plan, checkout.customer_id, checkout.address.as_deref());
        if checkout.address.is_some() {
            plan = holds::bounded(plan, checkout.customer_id);
        }
        Ok(self.products_unchanged(plan))
    }
}
