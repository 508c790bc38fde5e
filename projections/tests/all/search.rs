use crate::catalogue::{published, sample, sell};
use crate::support::given;
use domain::ProductId;
use domain::product::ProductEvent;
use projections::Limit;
use projections::catalogue::{self, ProductFilter, ProductSort};
use sqlx::PgPool;
use testkit::{Journal, id};

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
        ("sticker", 3),
    ];
    assert_eq!(words, expected);
}
