use super::*;
use crate::testing::{eur, facts_at, given, name, sku, slug, state, text, usd};
use crate::{Description, Money, Rejection, RejectionKind};

fn variant(of: &str, number: i32) -> Variant {
    Variant { sku: sku(of), number, name: None }
}

fn description(prose: &str) -> Description {
    Description::parse(prose).expect("a valid description")
}

fn create(variants: Vec<(Variant, Money)>) -> ProductCommand {
    ProductCommand::Create {
        name: name("Mug"),
        description: description("Holds tea."),
        picture: Some(text("/static/image/mug.jpeg")),
        categories: vec![slug("kitchen")],
        variants,
    }
}

/// The command that makes the product what `create` made it, with other variants.
fn revise(variants: Vec<(Variant, Money)>) -> ProductCommand {
    ProductCommand::Revise {
        name: name("Mug"),
        description: description("Holds tea."),
        picture: Some(text("/static/image/mug.jpeg")),
        categories: vec![slug("kitchen")],
        variants,
    }
}

fn created(variants: Vec<Variant>) -> ProductEvent {
    ProductEvent::ProductCreated {
        name: name("Mug"),
        description: "Holds tea.".to_owned(),
        picture: Some(text("/static/image/mug.jpeg")),
        categories: vec![slug("kitchen")],
        variants,
    }
}

fn revised(variants: Vec<Variant>) -> ProductEvent {
    ProductEvent::ProductRevised {
        name: name("Mug"),
        description: "Holds tea.".to_owned(),
        picture: Some(text("/static/image/mug.jpeg")),
        categories: vec![slug("kitchen")],
        variants,
    }
}

fn priced(of: &str, price: Money) -> ProductEvent {
    ProductEvent::ProductPriced { sku: sku(of), price }
}

/// A draft with the variants RED (number 1, 9.90) and BLUE (number 2, 8.80).
fn draft() -> Vec<ProductEvent> {
    vec![
        created(vec![variant("RED", 1), variant("BLUE", 2)]),
        priced("RED", usd(990)),
        priced("BLUE", usd(880)),
    ]
}

fn and(mut events: Vec<ProductEvent>, next: ProductEvent) -> Vec<ProductEvent> {
    events.push(next);
    events
}

const PUBLISHED: ProductEvent = ProductEvent::ProductPublished {};
const RETIRED: ProductEvent = ProductEvent::ProductRetired {};

#[test]
fn creating_writes_a_draft_with_a_price_for_every_variant() {
    given::<Product>(vec![])
        .when(create(vec![(variant("RED", 1), usd(990)), (variant("BLUE", 2), usd(880))]))
        .then_expect_events(draft());
    let product: Product = state(draft());
    assert_eq!(product.status, ProductStatus::Draft);
    assert_eq!(product.price(&sku("BLUE")), Some(usd(880)));
    assert_eq!(product.price(&sku("GREEN")), None);
}

#[test]
fn a_product_is_created_once() {
    given::<Product>(draft())
        .when(create(vec![(variant("RED", 1), usd(990))]))
        .then_expect_error(ProductRejection::AlreadyExists);
}

#[test]
fn a_product_that_was_never_created_is_absent() {
    for command in
        [revise(vec![(variant("RED", 1), usd(1))]), ProductCommand::Publish, ProductCommand::Retire]
    {
        given::<Product>(vec![]).when(command).then_expect_error(ProductRejection::NotFound);
    }
    assert_eq!(ProductRejection::NotFound.kind(), RejectionKind::Absent);
    assert_eq!(ProductRejection::NotFound.code(), "not_found");
}

#[test]
fn a_product_has_one_to_a_hundred_variants() {
    let variants = |count: i32| -> Vec<_> {
        (1..=count).map(|number| (variant(&format!("S{number}"), number), usd(1))).collect()
    };
    for count in [0, 101] {
        given::<Product>(vec![])
            .when(create(variants(count)))
            .then_expect_error(ProductRejection::VariantsOutOfRange);
    }
    let events = given::<Product>(vec![]).when(create(variants(100))).inspect_result();
    assert_eq!(events.map(|events| events.len()), Ok(101));
}

#[test]
fn a_product_is_in_at_most_twenty_categories_each_once() {
    let create_in = |categories| ProductCommand::Create {
        name: name("Mug"),
        description: description(""),
        picture: None,
        categories,
        variants: vec![(variant("RED", 1), usd(1))],
    };
    let many = (0..21).map(|number| slug(&format!("c{number}"))).collect();
    given::<Product>(vec![])
        .when(create_in(many))
        .then_expect_error(ProductRejection::TooManyCategories);
    let twice = create_in(vec![slug("Lampe"), slug("b"), slug("lampe")]);
    let events = given::<Product>(vec![]).when(twice).inspect_result().expect("it is a product");
    assert!(
        matches!(&events[0], ProductEvent::ProductCreated { categories, .. }
            if *categories == [slug("lampe"), slug("b")]),
        "{events:?}"
    );
    let product = state::<Product>(events);
    let revise = |categories| ProductCommand::Revise {
        name: name("Mug"),
        description: description(""),
        picture: None,
        categories,
        variants: vec![(variant("RED", 1), usd(1))],
    };
    let again = revise(vec![slug("LAMPE"), slug("b"), slug("B")]);
    assert_eq!(product.decide(again, &facts_at(0)), Ok(vec![]), "it is so already");
}

#[test]
fn a_product_of_before_that_is_in_a_category_twice_is_in_it_once() {
    let stored = r#"{"name":"Mug","description":"","picture":null,"categories":["Lampe","lampe","Tea"],
        "variants":[{"sku":"RED","number":1,"name":null}]}"#;
    let created = crate::decode_event::<ProductEvent>("ProductCreated", "1", stored);
    let product = state::<Product>(vec![created.expect("it is one of ours")]);
    assert_eq!(product.categories, [slug("lampe"), slug("tea")]);
}

#[test]
fn two_skus_that_differ_in_case_only_are_one_unless_the_product_has_both_already() {
    let both = || vec![(variant("Red", 1), usd(1)), (variant("RED", 2), usd(1))];
    given::<Product>(vec![])
        .when(create(both()))
        .then_expect_error(ProductRejection::DuplicateSku { sku: sku("RED") });
    let of_before = ProductEvent::ProductCreated {
        name: name("Mug"),
        description: String::new(),
        picture: None,
        categories: vec![],
        variants: both().into_iter().map(|(variant, _)| variant).collect(),
    };
    let product = state::<Product>(vec![of_before]);
    let revise = |variants| ProductCommand::Revise {
        name: name("Cup"),
        description: description(""),
        picture: None,
        categories: vec![],
        variants,
    };
    assert!(product.decide(revise(both()), &facts_at(0)).is_ok());
    let three = both().into_iter().chain([(variant("red", 3), usd(1))]).collect();
    assert_eq!(
        product.decide(revise(three), &facts_at(0)),
        Err(ProductRejection::DuplicateSku { sku: sku("red") })
    );
}

#[test]
fn a_sku_is_given_once() {
    given::<Product>(vec![])
        .when(create(vec![(variant("RED", 1), usd(1)), (variant("RED", 2), usd(1))]))
        .then_expect_error(ProductRejection::DuplicateSku { sku: sku("RED") });
}

#[test]
fn a_number_is_positive_and_given_once() {
    for (first, second, bad) in [(1, 1, 1), (0, 1, 0), (1, -4, -4)] {
        given::<Product>(vec![])
            .when(create(vec![(variant("RED", first), usd(1)), (variant("BLUE", second), usd(1))]))
            .then_expect_error(ProductRejection::BadNumber { number: bad });
    }
}

#[test]
fn revising_to_what_it_is_changes_nothing() {
    given::<Product>(draft())
        .when(revise(vec![(variant("RED", 1), usd(990)), (variant("BLUE", 2), usd(880))]))
        .then_expect_events(vec![]);
}

#[test]
fn revising_only_a_price_only_prices() {
    given::<Product>(draft())
        .when(revise(vec![(variant("RED", 1), usd(990)), (variant("BLUE", 2), eur(800))]))
        .then_expect_events(vec![priced("BLUE", eur(800))]);
}

#[test]
fn revising_prices_a_new_variant_and_keeps_the_prices_of_the_others() {
    let events =
        vec![revised(vec![variant("RED", 1), variant("GREEN", 3)]), priced("GREEN", usd(5))];
    given::<Product>(draft())
        .when(revise(vec![(variant("RED", 1), usd(990)), (variant("GREEN", 3), usd(5))]))
        .then_expect_events(events.clone());
    let product: Product = state(draft().into_iter().chain(events));
    assert_eq!(product.price(&sku("RED")), Some(usd(990)));
    assert_eq!(product.price(&sku("GREEN")), Some(usd(5)));
    assert_eq!(product.variant(&sku("BLUE")), None);
}

#[test]
fn revising_keeps_the_number_of_a_sku() {
    given::<Product>(draft())
        .when(revise(vec![(variant("RED", 77), usd(990)), (variant("BLUE", 78), usd(880))]))
        .then_expect_events(vec![]);
}

#[test]
fn a_variant_that_comes_back_is_priced_anew() {
    let only_red = and(draft(), revised(vec![variant("RED", 1)]));
    given::<Product>(only_red)
        .when(revise(vec![(variant("RED", 1), usd(990)), (variant("BLUE", 2), usd(880))]))
        .then_expect_events(vec![
            revised(vec![variant("RED", 1), variant("BLUE", 2)]),
            priced("BLUE", usd(880)),
        ]);
}

#[test]
fn publishing_puts_a_draft_on_sale_once() {
    given::<Product>(draft()).when(ProductCommand::Publish).then_expect_events(vec![PUBLISHED]);
    given::<Product>(and(draft(), PUBLISHED))
        .when(ProductCommand::Publish)
        .then_expect_events(vec![]);
}

#[test]
fn a_product_without_a_price_is_not_published() {
    given::<Product>(vec![
        created(vec![variant("RED", 1), variant("BLUE", 2)]),
        priced("RED", usd(1)),
    ])
    .when(ProductCommand::Publish)
    .then_expect_error(ProductRejection::HasNoPrice { sku: sku("BLUE") });
    let rejection = ProductRejection::HasNoPrice { sku: sku("BLUE") };
    assert_eq!(rejection.code(), "product_has_no_price");
}

#[test]
fn retiring_takes_it_off_sale_once() {
    given::<Product>(and(draft(), PUBLISHED))
        .when(ProductCommand::Retire)
        .then_expect_events(vec![RETIRED]);
    given::<Product>(and(draft(), RETIRED)).when(ProductCommand::Retire).then_expect_events(vec![]);
}

#[test]
fn a_retired_product_can_be_published_again() {
    given::<Product>(and(draft(), RETIRED))
        .when(ProductCommand::Publish)
        .then_expect_events(vec![PUBLISHED]);
}

#[test]
fn revising_leaves_the_status_alone() {
    let events = and(and(draft(), PUBLISHED), revised(vec![variant("RED", 1)]));
    assert_eq!(state::<Product>(events).status, ProductStatus::Published);
}

#[test]
fn a_status_reads_the_same_in_json() {
    for status in [ProductStatus::Draft, ProductStatus::Published, ProductStatus::Retired] {
        assert_eq!(serde_json::to_value(status).ok(), Some(status.as_str().into()));
    }
}
