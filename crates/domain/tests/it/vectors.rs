//! Recipients, placeholders and text messages against the vectors.

use domain::template::{Lists, Missing, Template};
use serde_json::json;

use crate::reader::{all, check, flag, personalisation, string};

#[test]
fn placeholders() {
    check("placeholders", all, |input, _| {
        let content = string(input, "content");
        let missing = match (
            string(input, "output").as_str(),
            flag(input, "redact_missing"),
            flag(input, "with_brackets"),
        ) {
            ("plain", true, _) => Missing::Hidden,
            ("plain", false, true) => Missing::AsTyped,
            ("plain", false, false) => Missing::WithoutBrackets,
            (_, true, _) => Missing::HiddenInHtml,
            (_, false, true) => Missing::AsTypedInHtml,
            (_, false, false) => Missing::WithoutBracketsInHtml,
        };
        let lists = if flag(input, "markdown_lists") { Lists::Bullets } else { Lists::Sentence };
        let template = Template::parse(&content);
        let rendered = if string(input, "html") == "escape" {
            Template::parse_for_html(&content).fill_marking(&personalisation(input), lists, missing)
        } else {
            template.fill_marking(&personalisation(input), lists, missing)
        };
        json!({"placeholders": template.placeholders(), "rendered": rendered})
    });
}
