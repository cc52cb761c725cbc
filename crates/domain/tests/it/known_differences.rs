//! The cases in which we mean to differ from the vectors, each with its reason. Keep this list short.

/// (file, case, reason)
pub(crate) const KNOWN_DIFFERENCES: &[(&str, &str, &str)] = &[
    ("placeholders", "html-9c703cb4", ENTITY_MARK),
    ("placeholders", "html-4150d4f2", ENTITY_MARK),
    ("content_limits", "email-empty-55b4fc2e", NOTHING_TO_SEE),
    ("sms", "placeholder-b687bae1", VALUE_MARK),
    ("sms", "placeholder-d73e1f2b", VALUE_MARK),
    ("sms", "placeholder-prefix-8500bf8c", VALUE_MARK),
];

const ENTITY_MARK: &str =
    "upstream marks entities with three emoji while it escapes; typed, they are emoji to us";
const VALUE_MARK: &str =
    "upstream marks placeholders with emoji when there are no values; typed, they are sent";
const NOTHING_TO_SEE: &str =
    "upstream sends a mail that says nothing but U+200B; here it is as empty as a text that says so";
