//! What holds for any e-mail at all: it renders, and nothing from outside becomes HTML.

use std::sync::LazyLock;

use domain::email;
use domain::template::Personalisation;
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value};

/// What Markdown, HTML and typography react to.
const MARKS: &[&str] = &[
    "a",
    "word ",
    " ",
    "    ",
    "\n",
    "\n\n",
    "\n\n\n",
    "* ",
    "\n- ",
    "• ",
    "\n1. ",
    "12.",
    "# ",
    "\n## ",
    "^ ",
    "\n^",
    "> ",
    "---",
    "\n===\n",
    "[",
    "](",
    ")",
    "[a](b \"c\")",
    "[k]",
    "\n[k]: u \"t\" onclick=\"x\"\n",
    "[^1]",
    "\n[^1]: f\n  g\n",
    "!",
    "\"",
    "'",
    "<",
    ">",
    "</",
    "<b>",
    "<div>\n\n",
    "<script>alert(1)</script>",
    "<!--",
    "-->",
    "<a href=\"",
    "javascript:",
    "http://",
    "https://x.y?a=b&c=d",
    "&",
    "&lt;",
    "&#60;",
    "&quot;",
    "&nbsp;",
    "\\",
    "`",
    "\n```\n",
    "\n~~~~",
    "|",
    "a|b\n--|--\n",
    "GOV.UK",
    " ,",
    " -- ",
    "\t",
    "\r\n",
    "\u{a0}",
    "\u{200b}",
    "\u{2028}",
    "\u{2424}",
    "é",
    "٣. ",
    "😀",
    "@",
    "_",
    ":",
    "(",
    "\n  * ",
    "\n    1. ",
    "onmouseover=\"x\"",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![9 => prop::sample::select(MARKS).prop_map(str::to_owned), 1 => ".{0,3}"];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn values(value: String) -> Personalisation {
    let items = vec![Value::from(value.clone()), Value::from("b")];
    Personalisation::new(Map::from_iter([
        ("a".to_owned(), Value::from(value)),
        ("l".to_owned(), Value::from(items)),
    ]))
}

/// Everything that may stand between `<` and `>`.
static OURS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"^(?:/?(?:h2|h3|p|ul|ol|li|table|tr|td|div|blockquote|a)|hr|br)"#,
        r#"(?: (?:style|role|href|title)="[^"<>]*")*$"#
    ))
    .expect("a constant pattern")
});

fn foreign_tag(html: &str) -> Option<&str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag))
        .find(|tag| !OURS.is_match(tag))
}

fn closed_as_often_as_opened(html: &str) -> bool {
    ["h2", "h3", "p", "ul", "ol", "li", "table", "tr", "td", "div", "blockquote", "a"].iter().all(|element| {
        let opened =
            html.matches(&format!("<{element} ")).count() + html.matches(&format!("<{element}>")).count();
        opened == html.matches(&format!("</{element}>")).count()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_mail_renders_and_only_our_tags_are_in_it(
        before in text(),
        after in text(),
        value in text(),
        placeholder in prop::sample::select(vec!["", "((a))", "((l))"]),
        unsubscribe in prop::option::of(Just("https://example.com/unsubscribe?a=b&c=d")),
    ) {
        // Names without a value would be shown marked up.
        let content = format!("{}{placeholder}{}", before.replace("((", "("), after.replace("((", "("));
        let html = email::html_body(&content, &values(value.clone()), unsubscribe).unwrap();
        prop_assert_eq!(foreign_tag(&html), None, "{}", html);
        prop_assert!(closed_as_often_as_opened(&html), "{}", html);
        prop_assert!(!html.contains("href=\"javascript"), "{}", html);
        let plain = email::plain_text(&content, &values(value.clone()), unsubscribe).unwrap();
        prop_assert!(plain.ends_with('\n'));
        let preheader = email::preheader(&content, &values(value)).unwrap();
        prop_assert!(preheader.chars().count() <= 256);
        prop_assert!(!preheader.contains('<'), "{}", preheader);
    }

    #[test]
    fn the_link_to_unsubscribe_leads_where_it_should(token in "[A-Za-z0-9_-]{1,480}", words in "[a-z]{1,8}") {
        let url = format!("http://127.0.0.1:6011/unsubscribe/5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11/{token}");
        let html = email::html_body(&words, &Personalisation::default(), Some(&url)).unwrap();
        let link = format!("href=\"{url}\">Unsubscribe from these emails</a></p>");
        prop_assert!(html.ends_with(&link), "{}", html);
        let plain = email::plain_text(&words, &Personalisation::default(), Some(&url)).unwrap();
        let last = format!("\nUnsubscribe from these emails: {url}\n");
        prop_assert!(plain.ends_with(&last), "{}", plain);
    }

    #[test]
    fn the_page_has_one_title_and_one_body(subject in text(), content in text()) {
        let subject = subject.replace("((", "(");
        let content = content.replace("((", "(");
        let page = email::render(&subject, &content, &Personalisation::default(), None).unwrap().html;
        for once in ["<!DOCTYPE html>", "<html lang=\"en\">", "<title>", "</title>", "</head>", "<body ", "</body>", "</html>"] {
            prop_assert_eq!(page.matches(once).count(), 1, "{} in {}", once, page);
        }
        let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")).unwrap().0;
        prop_assert!(!title.contains('<'), "{}", title);
    }

    #[test]
    fn plain_words_are_one_paragraph(words in prop::collection::vec("[a-z]{1,8}", 1..20)) {
        let content = words.join(" ");
        let email = email::render("s", &content, &Personalisation::default(), None).unwrap();
        prop_assert_eq!(&email.plain, &format!("{content}\n"));
        let has_paragraph = email.html.contains(&format!(">{content}</p>"));
        prop_assert!(has_paragraph);
    }
}

/// Each of these takes for ever if any step looks far ahead, or back, again and again. (The limit is the test runner's.)
#[test]
fn hostile_mails_take_linear_time() {
    let definitions = "[k]: u\n\n[^1]: f\n\n";
    for part in [
        "[",
        "[a [b] ",
        "[a](<b ",
        "[a](b \"",
        "[k",
        "[\n",
        "[^\n",
        "![",
        "]",
        "<",
        "</",
        "<b ",
        "<b a=\"",
        "<a1>",
        "\n<div>\n\n",
        "<!--",
        "<!-- > ",
        "<a@",
        "\n```\n",
        "\n~~~~",
        "\n~~~x\n",
        " \n",
        "\u{a0}",
        "*",
        "* * ",
        "^ ",
        "\n    ",
        "\n* a\n\n",
        "a|b\n",
        "http://",
        "&",
        "\\",
        "\"' ",
        "- ",
        " .",
        "a@b ",
        "((",
        "((a))",
    ] {
        let content = format!("{definitions}{}", part.repeat(40_000 / part.len()));
        let email = email::render("s", &content, &values("x".to_owned()), None).unwrap();
        assert!(!email.html.is_empty() && !email.plain.is_empty(), "{part}");
    }
}

#[test]
fn depth_has_a_limit() {
    for part in ["* ", "^ ", "[", "* ^ ", "[[a](b)"] {
        let content = part.repeat(40_000 / part.len());
        let email = email::render("s", &content, &Personalisation::default(), None).unwrap();
        assert_eq!(
            foreign_tag(&email::html_body(&content, &Personalisation::default(), None).unwrap()),
            None
        );
        assert!(email.plain.ends_with('\n'));
    }
}

#[test]
fn short_mails_are_known_to_render_and_those_that_do_not_are_not_short() {
    let none = Personalisation::default();
    let by_reference = format!("[k]: {}\n\n{}", "é".repeat(512), "[k] ".repeat(760));
    for content in [by_reference, "*".repeat(19_000), "* ".repeat(9_000), "# a\n".repeat(40_000)] {
        assert!(email::fill("s", &content, &none).surely_renders());
        assert!(email::render("s", &content, &none, None).is_ok(), "{}", &content[..20]);
    }
    let by_reference = format!("[k]: {}\n\n{}", "é".repeat(2_000), "[k] ".repeat(2_000));
    for content in ["* * \n".repeat(40_000), by_reference] {
        assert!(!email::fill("s", &content, &none).surely_renders());
        assert_eq!(email::render("s", &content, &none, None), Err(email::TooLarge));
    }
}
