//! Representative mails, as whole pages. With `EMAIL_PAGES_DIR=/some/folder` they are written there, for
//! `scripts/email-page` to look at in a browser.

use domain::{email, template::Personalisation};
use serde_json::{Map, json};

const PAGES: &[(&str, &str, &str)] = &[
    (
        "headings",
        "Your permit is ready",
        "# Your permit is ready\n\nDear ((name)),\n\nyour resident’s permit has been approved. You can pick it up from \
         Monday.\n\n## What to bring\n\nA photo and \"proof of address\" -- see below.\nBoth have to be recent.\n\n---\n\n\
         Second heading, underlined\n===\n\nIt's the same as the first.\n",
    ),
    (
        "lists",
        "What you need",
        "You need: ((papers))\n\nThen:\n\n1. go to the town hall\n2. ask for the permit desk, which \
         is on the second floor, past the lift and to the left\n3. wait for your number\n\n* outer\n  * inner\n",
    ),
    (
        "links",
        "Links",
        "Go to https://www.example.gov.uk/permits/renew?step=2&lang=en to go on.\n\n[Renew your permit]\
         (https://www.example.gov.uk/renew \"Renew\")\n\nOr write to permits@example.gov.uk. See GOV.UK.\n\n* [one]\
         (https://example.com/1)\n* [two](https://example.com/2)\n",
    ),
    (
        "insets",
        "Please note",
        "Before.\n\n^ Your reference is 1234-5678.\n\n^ A second paragraph with a [link](https://example.com).\n\nAfter.\n\n\
         ^ # A heading\n\n^ * and a list\n* in an inset\n",
    ),
    (
        "long-words",
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
        "https://example.com/a-very-long-address/without-any-place-to-break/\
         0123456789012345678901234567890123456789012345678901234567890123456789?token=\
         abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n\n\
         Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft0123456789012345678901234567890\n\n\
         * Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft0123456789012345678901234567890\n\n\
         # Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft\n\n\
         ^ Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft0123456789012345678901234567890\n",
    ),
    (
        "code",
        "Your code",
        "Your code is\n\n    8154 4711\n\nIt is valid for 10 minutes. ((name)), do not tell it anybody.\n",
    ),
];

#[test]
fn every_page_is_whole_and_has_its_words() {
    let values = json!({"name": "Rosa & co", "papers": ["your passport", "a photo", "proof of <address>"]});
    let values = Personalisation::new(values.as_object().cloned().unwrap_or_else(Map::new));
    let folder = std::env::var_os("EMAIL_PAGES_DIR").map(std::path::PathBuf::from);
    for (name, subject, content) in PAGES {
        let unsubscribe = (*name == "headings").then_some("https://example.com/unsubscribe?token=x");
        let page = email::render(subject, content, &values, unsubscribe).unwrap().html;
        assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "{name}");
        assert!(page.contains(&format!("<title>{subject}</title>")), "{name}");
        assert!(!page.contains("((") && !page.contains("<address>"), "{name}");
        if let Some(folder) = &folder {
            std::fs::write(folder.join(format!("{name}.html")), page).unwrap();
        }
    }
}
