use crate::catalogue::{published, sample, sell, variant};
use crate::support::given;
use domain::ProductId;
use domain::product::ProductEvent;
use projections::Limit;
use projections::catalogue::{self, ProductFilter, ProductSort};
use sqlx::PgPool;
use testkit::{Journal, id, name};

async fn found(pool: &PgPool, text: &str) -> Vec<i32> {
    let filter = ProductFilter { text: Some(text.to_owned()), ..published() };
    let page = catalogue::list(pool, &filter, ProductSort::Relevance, None, Limit::MAX).await;
    let mut numbers: Vec<i32> =
        page.expect("a query").items.iter().map(|product| product.number).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn words_are_found_whatever_their_case_form_and_joints() {
    let pool = given(&sample()).await;
    for text in ["notebook", "NoteBook", "notebooks", "  notebook!  ", "note"] {
        assert_eq!(found(&pool, text).await, [1], "{text}");
    }
    for text in ["mouse-pad", "mouse pad", "pad mouse", "mousepad", "mouse"] {
        assert_eq!(found(&pool, text).await, [2], "{text}");
    }
    for text in ["t-shirt", "tshirt", "shirts"] {
        let all = found(&pool, text).await;
        assert!([3, 4, 6].iter().all(|number| all.contains(number)), "{text}: {all:?}");
    }
}

#[tokio::test]
async fn typing_errors_are_forgiven() {
    let pool = given(&sample()).await;
    for (text, expected) in [
        ("notebok", 1),
        ("ntoebook", 1),
        ("nootebok", 1),
        ("motebook", 1),
        ("mosue", 2),
        ("muose pda", 2),
        ("swaetshirt", 5),
        ("sweatshrit", 5),
        ("mascto", 7),
    ] {
        assert!(found(&pool, text).await.contains(&expected), "{text}");
    }
    // Every word has to be there, and nonsense finds nothing.
    for text in ["notebook mouse", "notebook xylophone", "qqqqqq", "!!!", "no"] {
        let expected: &[i32] = if text == "no" { &[1] } else { &[] };
        assert_eq!(found(&pool, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn an_empty_search_finds_everything() {
    let pool = given(&sample()).await;
    assert_eq!(found(&pool, "").await.len(), 7);
    assert_eq!(found(&pool, "   ").await.len(), 7);
}

#[tokio::test]
async fn a_text_that_means_something_to_postgresql_is_only_text() {
    let pool = given(&sample()).await;
    for text in ["'", "'':*", "note\\book", "a & | ! (b", "notebook<->mouse", ":*", "it's o'clock"]
    {
        assert!(found(&pool, text).await.len() <= 7, "{text}");
    }
}

#[tokio::test]
async fn a_match_in_the_name_comes_before_one_in_the_description() {
    let history = Journal::default();
    sell(&history, 1, "Pencil", "Office", 100);
    sell(&history, 2, "Office", "Space", 100);
    let pool = given(&history).await;
    let filter = ProductFilter { text: Some("office".to_owned()), ..published() };
    let page = catalogue::list(&pool, &filter, ProductSort::Relevance, None, Limit::MAX).await;
    let order: Vec<i32> = page.expect("a query").items.iter().map(|found| found.number).collect();
    assert_eq!(order, [2, 1]);
}

#[tokio::test]
async fn names_without_spaces_are_found_by_their_parts() {
    let history = Journal::default();
    sell(&history, 1, "笔记本电脑", "Sticker", 100);
    sell(&history, 2, "鼠标垫 Pro", "Sticker", 100);
    let pool = given(&history).await;
    assert_eq!(found(&pool, "电脑").await, [1]);
    assert_eq!(found(&pool, "笔记本").await, [1]);
    assert_eq!(found(&pool, "鼠标").await, [2]);
    assert_eq!(found(&pool, "鼠标 pro").await, [2]);
    assert_eq!(found(&pool, "电视").await, [0; 0]);
}

/// Products that are called so, numbered from 1.
fn called(names: &[&str]) -> Journal {
    let history = Journal::default();
    for (number, name) in (1..).zip(names) {
        sell(&history, number, name, "Things", 100);
    }
    history
}

#[tokio::test]
async fn search_is_blind_to_case_accents_width_and_composition() {
    let pool = given(&called(&[
        "Cafe mug",
        "Café cup",
        "Cílios postiços",
        "Öl",
        "Caf\u{65}\u{301} tray",
        "Carry bag",
        "ﾊﾞｯｸﾞ",
        "Straßenlampe",
    ]))
    .await;
    for (text, expected) in [
        ("cafe", &[1, 2, 5][..]),
        ("café", &[1, 2, 5]),
        ("CAFE\u{301}", &[1, 2, 5]),
        ("cilios", &[3]),
        ("cílios", &[3]),
        ("ol", &[4]),
        ("ｃａｒｒｙ", &[6]),
        ("バッグ", &[7]),
        ("ﾊﾞｯｸﾞ", &[7]),
        ("STRASSENLAMPE", &[8]),
        ("strassen", &[8]),
    ] {
        assert_eq!(found(&pool, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn typing_errors_are_forgiven_after_folding_and_while_a_word_is_being_typed() {
    let pool = given(&called(&["Café crème", "Notebook", "Wärmflasche"])).await;
    for (text, expected) in [
        ("cfae", 1),
        ("creem", 1),
        ("noteb", 2),
        ("motebo", 2),
        ("ntoe", 2),
        ("waermflasche", 3),
        ("warmflsche", 3),
        ("wramfl", 3),
    ] {
        assert_eq!(found(&pool, text).await, [expected], "{text}");
    }
    // A word that is not the last one is not being typed, and a number is what it is.
    assert_eq!(found(&pool, "motebo notebook").await, [0; 0]);
    assert_eq!(found(&pool, "SKU-4").await, [0; 0]);
}

#[tokio::test]
async fn a_single_character_of_a_script_without_spaces_is_found() {
    let pool = given(&called(&["书包", "기차표", "가방", "本", "かばん"])).await;
    for (text, expected) in [
        ("包", 1),
        ("书", 1),
        ("书包", 1),
        ("표", 2),
        ("\u{1111}\u{116d}", 2),
        ("차표", 2),
        ("방", 3),
        ("本", 4),
        ("ば", 5),
    ] {
        assert_eq!(found(&pool, text).await, [expected], "{text}");
    }
    assert_eq!(found(&pool, "包书").await, [0; 0]);
}

#[tokio::test]
async fn a_sku_is_found_whole_and_by_its_beginning() {
    let history = called(&["Poster", "Shirt", "Shirt"]);
    let revised = |name_of: &str, code: &str, number| ProductEvent::ProductRevised {
        name: name(name_of),
        description: String::new(),
        picture: None,
        categories: vec![],
        variants: vec![variant("plain", 100 + number), variant(code, number)],
    };
    for (number, code) in [(2, "TS_Blue-0042"), (3, "TS_Red-0043")] {
        history.record("product", id::<ProductId>(number), &revised("Shirt", code, 9));
    }
    let pool = given(&history).await;
    let ids = async |text: &str| {
        let filter = ProductFilter { text: Some(text.to_owned()), ..published() };
        let page = catalogue::list(&pool, &filter, ProductSort::Relevance, None, Limit::MAX).await;
        let items = page.expect("a query").items.into_iter();
        let mut ids: Vec<ProductId> = items.map(|product| product.product_id).collect();
        ids.sort();
        ids
    };
    for text in ["TS_Blue-0042", "ts_blue-0042", "TS_Blue-00", "ts_blue", "tsblue00", "0042"] {
        assert_eq!(ids(text).await, [id(2)], "{text}");
    }
    assert_eq!(ids("ts_").await, [id(2), id(3)]);
    assert_eq!(ids("SKU-1").await, [id(1)]);
    // What was sold under it before is not found by it.
    assert_eq!(ids("SKU-2").await, [] as [ProductId; 0]);
}

#[tokio::test]
async fn decoration_is_passed_over_on_both_sides() {
    let pool = given(&called(&["★ ★ ★ ★ Lamp", "Carry bag", "Red carpet"])).await;
    for (text, expected) in [
        ("--------carry", &[2][..]),
        ("★ ★ ★ ★ Lamp", &[1]),
        ("★★★★★★★★★★ lamp", &[1]),
        ("lamp ★", &[1]),
        ("red         carpet", &[3]),
        ("red         bag", &[]),
        ("★", &[]),
    ] {
        assert_eq!(found(&pool, text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn the_vocabulary_holds_words_of_published_products_only() {
    let history = sample();
    for number in [3, 4, 5, 6] {
        history.record("product", id::<ProductId>(number), &ProductEvent::ProductRetired {});
    }
    let pool = given(&history).await;
    let words: Vec<(String, i64)> =
        sqlx::query_as("select word, uses from catalogue_words order by word")
            .fetch_all(&pool)
            .await
            .expect("a query");
    let words: Vec<(&str, i64)> = words.iter().map(|(word, uses)| (word.as_str(), *uses)).collect();
    let expected = [
        ("fine", 3),
        ("mascot", 1),
        ("mouse", 1),
        ("mousepad", 1),
        ("notebook", 1),
        ("pad", 1),
        ("sku", 3),
        ("sticker", 3),
    ];
    assert_eq!(words, expected);
}
