//! Magic recipients: what the recipient's number or address makes a simulated provider do. The two tables here are the only
//! place that knows; the inbox page and `--help` print them.

use std::fmt::Write as _;

/// What the call that hands a message over gets for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accept,
    /// A refusal in the vendor's words: HTTP 500, or SMTP 550 to `RCPT`.
    Refuse,
    /// A refusal that asks to come back: HTTP 503, or SMTP 451 to `RCPT`.
    Defer,
    /// Too much at once: HTTP 429 with `Retry-After`, or SMTP 454 after `DATA`.
    Throttle,
    /// A success that is not in the vendor's protocol.
    Gibberish,
    /// A refusal so late that the caller has hung up.
    TooLate,
    /// The connection is closed instead of an answer; nothing was accepted.
    Drop,
    /// Accepted, but the connection is closed instead of an answer.
    AcceptThenDrop,
    /// Accepted, and the receipt is posted before the answer.
    AfterReceipt,
}

/// On which calls for one reference the answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Always,
    /// On the first few ([`Options::refusals`](crate::Options::refusals)); then the message is accepted.
    AtFirst,
}

/// What a receipt says became of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    Delivered,
    PermanentFailure,
    TemporaryFailure,
    /// A status that the vendor's documentation does not know.
    Unknown,
    /// Delivered before, and then reported as spam; mail only.
    Complaint,
}

impl Fate {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::PermanentFailure => "permanent-failure",
            Self::TemporaryFailure => "temporary-failure",
            Self::Unknown => "unknown",
            Self::Complaint => "complaint",
        }
    }
}

/// What happens to messages for one magic recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The end of the number, or the local part of the address.
    pub recipient: &'static str,
    pub answer: Answer,
    pub times: Times,
    /// The receipts that follow an acceptance, in this order.
    pub receipts: &'static [Fate],
    /// The rule in words, for people.
    pub effect: &'static str,
}

impl Rule {
    /// The answer to the `nth` call for a reference, counted from 1.
    pub(crate) fn answer_to(&self, nth: u32, refusals: u32) -> Answer {
        match self.times {
            Times::AtFirst if nth > refusals => Answer::Accept,
            Times::AtFirst | Times::Always => self.answer,
        }
    }
}

/// Everybody else.
const ORDINARY: Rule = rule("anything else", Answer::Accept, &[Fate::Delivered], "accepted and delivered");

/// Texts, by the end of the number. The numbers are Ofcom's for fiction; `000`, `111` and `222` are left out because the
/// public API keeps those for itself and never sends to them.
pub const NUMBERS: &[Rule] = &[
    rule("7700900002", Answer::Accept, &[Fate::PermanentFailure], "accepted, then a permanent failure"),
    rule("7700900003", Answer::Accept, &[Fate::TemporaryFailure], "accepted, then a temporary failure"),
    rule("7700900004", Answer::Refuse, &[], "refused with 500, always"),
    at_first("7700900005", Answer::Refuse, "refused with 500 at first, then accepted and delivered"),
    at_first("7700900006", Answer::Throttle, "429 with Retry-After at first, then accepted and delivered"),
    rule("7700900007", Answer::Gibberish, &[], "answered 200, but not with JSON"),
    rule("7700900008", Answer::TooLate, &[], "refused, but later than anybody waits"),
    rule(
        "7700900009",
        Answer::Accept,
        &[Fate::Delivered, Fate::Delivered],
        "accepted and delivered, with the receipt twice",
    ),
    rule("7700900010", Answer::AfterReceipt, &[Fate::Delivered], "delivered, the receipt before the answer"),
    rule("7700900011", Answer::Accept, &[], "accepted, but never a receipt"),
    rule("7700900012", Answer::Drop, &[], "connection closed without an answer, not accepted"),
    rule(
        "7700900013",
        Answer::AcceptThenDrop,
        &[Fate::Delivered],
        "accepted and delivered, but the answer is lost",
    ),
    rule("7700900014", Answer::Accept, &[Fate::Unknown], "accepted, then a receipt with an unknown status"),
    rule(
        "7700900015",
        Answer::Accept,
        &[Fate::Delivered, Fate::PermanentFailure],
        "accepted and delivered, then a receipt that contradicts the first",
    ),
    rule("7700900016", Answer::Defer, &[], "refused with 503, always"),
];

/// Mail, by the local part of the address (whatever the host; a `+tag` is ignored).
pub const LOCAL_PARTS: &[Rule] = &[
    rule("perm-fail", Answer::Accept, &[Fate::PermanentFailure], "accepted, then a permanent bounce"),
    rule("temp-fail", Answer::Accept, &[Fate::TemporaryFailure], "accepted, then a transient bounce"),
    rule("bounce", Answer::Accept, &[Fate::PermanentFailure], "accepted, then a permanent bounce"),
    rule(
        "complaint",
        Answer::Accept,
        &[Fate::Delivered, Fate::Complaint],
        "delivered, then reported as spam",
    ),
    rule("refused", Answer::Refuse, &[], "recipient refused with 550, always"),
    rule("deferred", Answer::Defer, &[], "recipient deferred with 451, always"),
    at_first("retry", Answer::Defer, "deferred with 451 after DATA at first, then accepted and delivered"),
    at_first("throttled", Answer::Throttle, "454 after DATA at first, then accepted and delivered"),
    rule("gibberish", Answer::Gibberish, &[], "answered with a line that is not SMTP"),
    rule("too-late", Answer::TooLate, &[], "deferred, but later than anybody waits"),
    rule(
        "duplicate",
        Answer::Accept,
        &[Fate::Delivered, Fate::Delivered],
        "accepted and delivered, with the receipt twice",
    ),
    rule("early", Answer::AfterReceipt, &[Fate::Delivered], "delivered, the receipt before the answer"),
    rule("no-receipt", Answer::Accept, &[], "accepted, but never a receipt"),
    rule("drop", Answer::Drop, &[], "connection closed without an answer, not accepted"),
    rule(
        "lost-answer",
        Answer::AcceptThenDrop,
        &[Fate::Delivered],
        "accepted and delivered, but the answer is lost",
    ),
    rule("unknown", Answer::Accept, &[Fate::Unknown], "accepted, then a receipt of an unknown type"),
];

const fn rule(
    recipient: &'static str,
    answer: Answer,
    receipts: &'static [Fate],
    effect: &'static str,
) -> Rule {
    Rule { recipient, answer, times: Times::Always, receipts, effect }
}

const fn at_first(recipient: &'static str, answer: Answer, effect: &'static str) -> Rule {
    Rule { recipient, answer, times: Times::AtFirst, receipts: &[Fate::Delivered], effect }
}

/// The rule for a text to `number`.
#[must_use]
pub fn for_number(number: &str) -> &'static Rule {
    NUMBERS.iter().find(|rule| number.ends_with(rule.recipient)).unwrap_or(&ORDINARY)
}

/// The rule for a mail to `address`.
#[must_use]
pub fn for_address(address: &str) -> &'static Rule {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let name = local.split_once('+').map_or(local, |(name, _)| name);
    LOCAL_PARTS.iter().find(|rule| name.eq_ignore_ascii_case(rule.recipient)).unwrap_or(&ORDINARY)
}

/// Both tables as text, for `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = String::from("Magic recipients of texts, by the end of the number:\n");
    for rule in NUMBERS {
        let _ = writeln!(text, "  {:<14} {}", rule.recipient, rule.effect);
    }
    text.push_str("\nMagic recipients of mail, by the local part of the address:\n");
    for rule in LOCAL_PARTS {
        let _ = writeln!(text, "  {:<14} {}", format!("{}@", rule.recipient), rule.effect);
    }
    text.push_str("\nAny other recipient's message is accepted and delivered.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_its_end() {
        for number in ["447700900002", "+447700900002", "07700900002"] {
            assert_eq!(for_number(number).receipts, [Fate::PermanentFailure]);
        }
        assert_eq!(for_number("447700900123"), &ORDINARY);
        assert_eq!(for_number("0002"), &ORDINARY);
    }

    #[test]
    fn an_address_is_known_by_its_local_part() {
        assert_eq!(for_address("temp-fail@simulator.notify").receipts, [Fate::TemporaryFailure]);
        assert_eq!(for_address("Perm-Fail+17@example.com").receipts, [Fate::PermanentFailure]);
        assert_eq!(for_address("ada.refused@example.com"), &ORDINARY);
        assert_eq!(for_address("refused"), for_address("refused@example.com"));
    }

    #[test]
    fn some_rules_hold_for_the_first_calls_only() {
        let rule = for_number("447700900005");
        let answers: Vec<_> = (1..=4).map(|nth| rule.answer_to(nth, 2)).collect();
        assert_eq!(answers, [Answer::Refuse, Answer::Refuse, Answer::Accept, Answer::Accept]);
    }

    #[test]
    fn no_two_rules_are_for_one_recipient() {
        for table in [NUMBERS, LOCAL_PARTS] {
            let mut names: Vec<_> = table.iter().map(|rule| rule.recipient).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
    }
}
