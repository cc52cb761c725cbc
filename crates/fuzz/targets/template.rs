//! Templates and values: filled, measured, rendered as a text message and as an e-mail.
//!
//! The input is four texts with NULs between them: content, subject, and two values.
#![no_main]

use domain::{
    email,
    gsm,
    sms::Sms,
    template::{Lists, Missing, Personalisation, Template},
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|input: &str| {
    let mut texts = input.splitn(4, '\0').map(|text| text.replace('\0', ""));
    let mut next = || texts.next().unwrap_or_default();
    let (content, subject, a, b) = (next(), next(), next(), next());
    let list = b.split('|').map(Value::from).collect::<Vec<_>>();
    let values = [("a", Value::from(a)), ("b", Value::from(list)), ("c", Value::Null)];
    let values = Personalisation::new(Map::from_iter(values.map(|(name, value)| (name.to_owned(), value))));

    let template = Template::parse(&content);
    assert_eq!(template.fill(&Personalisation::default(), Lists::Bullets), content);
    for missing in [Missing::AsTyped, Missing::HiddenInHtml] {
        let filling = template.filling(&values, Lists::Bullets, missing);
        assert_eq!(filling.size(), filling.text().len());
        assert_eq!(filling.trimmed_size(), filling.trimmed().len());
    }
    for values in [&values, &Personalisation::default()] {
        let sms = Sms::render(&content, values, Some("Service"));
        assert_eq!(gsm::replaced(sms.text()), sms.text());
        assert_eq!(sms.length(), sms.text().encode_utf16().count());
        assert!(sms.length_without_prefix() <= sms.length() && sms.fragments() >= 1);

        let filled = email::fill(&subject, &content, values);
        assert_eq!(filled.size(), filled.body.len());
        let unsubscribe = Some("https://example.com/unsubscribe");
        let html = email::html_body(&content, values, unsubscribe).unwrap();
        assert!(!html.contains("<script") && !html.contains("href=\"javascript"));
        let mail = email::render(&subject, &content, values, unsubscribe).unwrap();
        assert!(mail.plain.ends_with('\n') && !mail.subject.contains('\n'));
        assert_eq!(mail.html.matches("</body>").count(), 1);
    }
});
