//! What the simulator remembers: the newest messages for the inbox, counters of all calls, and, when asked for, every reference.
//! Everything is bounded except that last one.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{control::Provider, scenario::Fate};

/// Bytes of content that the inbox keeps, whatever the number of messages.
const INBOX_BYTES: usize = 64 * 1024 * 1024;

/// References for magic recipients whose calls are told apart; the oldest are forgotten beyond that.
const TRIED_REFERENCES: usize = 10_000;

/// How a call to hand a message over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Accepted,
    Refused,
    Throttled,
    /// Answered with something that is not in the protocol.
    Gibberish,
    /// Not a request that this provider understands.
    Malformed,
    /// Without the right key.
    Unauthorised,
    /// The connection was closed instead of an answer.
    Dropped,
}

impl Outcome {
    const COUNT: usize = 7;

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Gibberish => "gibberish",
            Self::Malformed => "malformed",
            Self::Unauthorised => "unauthorised",
            Self::Dropped => "dropped",
        }
    }
}

/// Where a message's receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Receipt {
    /// None will come.
    None,
    /// Not posted yet.
    Waiting,
    /// Posted, and answered with that HTTP status; `posts` receipts so far.
    Posted { fate: Fate, answered: u16, posts: u32 },
    /// The endpoint is down, or refused; it is tried again.
    Retrying { fate: Fate, attempts: u32 },
    /// Never arrived.
    Lost,
}

/// A text or mail that a provider was given.
#[derive(Clone, PartialEq, Serialize)]
pub struct Message {
    /// Counts up from 1 in the order of arrival.
    pub id: u64,
    pub received_at: DateTime<Utc>,
    pub provider: Provider,
    pub outcome: Outcome,
    /// MMG's `cid`, Firetext's `reference`, a mail's `Message-ID` without angle brackets.
    pub reference: String,
    /// As given by the caller; a mail's envelope recipients, joined with `, `.
    pub to: String,
    /// A text's sender; a mail's `From` header.
    pub from: String,
    /// Of mail only.
    pub subject: Option<String>,
    /// A text's content; a mail's plain part.
    pub text: Option<String>,
    pub html: Option<String>,
    /// A mail's headers, in their order and decoded only as far as unfolding.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    pub receipt: Receipt,
}

impl Message {
    /// The first header of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn bytes(&self) -> usize {
        let content =
            [&self.subject, &self.text, &self.html].into_iter().flatten().map(String::len).sum::<usize>();
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        content + headers + self.reference.len() + self.to.len() + self.from.len()
    }
}

/// Without recipient and content.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("received_at", &self.received_at)
            .field("provider", &self.provider)
            .field("outcome", &self.outcome)
            .field("reference", &self.reference)
            .field("receipt", &self.receipt)
            .finish_non_exhaustive()
    }
}

/// Calls of one provider. `calls` counts when a request comes in, the rest when it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    pub calls: u64,
    pub accepted: u64,
    pub refused: u64,
    pub throttled: u64,
    pub gibberish: u64,
    pub malformed: u64,
    pub unauthorised: u64,
    pub dropped: u64,
}

/// Receipts of all providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipts {
    /// Taken by their endpoint.
    pub posted: u64,
    /// Attempts that failed and were, or will be, made again.
    pub retried: u64,
    /// Given up.
    pub lost: u64,
}

/// What `GET /counts.json` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub mmg: Calls,
    pub firetext: Calls,
    pub email: Calls,
    pub receipts: Receipts,
    /// Different references seen; `None` unless [`Options::record_all`](crate::Options::record_all) is on.
    pub references: Option<usize>,
    /// References accepted more than once; `None` like `references`.
    pub duplicates: Option<u64>,
}

/// Calls about one reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReferenceCalls {
    pub calls: u32,
    pub accepted: u32,
}

/// Which messages of the inbox to read.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) to: String,
    pub(crate) reference: String,
    /// Only messages older than the one with this id.
    pub(crate) before: Option<u64>,
    pub(crate) limit: Option<usize>,
}

impl Filter {
    /// A number is found however it is written: `07700 900123` finds `447700900123`.
    fn recipient(&self) -> String {
        let to = self.to.trim().to_lowercase();
        if to.contains('@') {
            return to;
        }
        let joined: String = to.chars().filter(|letter| !letter.is_whitespace()).collect();
        joined.trim_start_matches(['+', '0']).to_owned()
    }
}

/// The simulator's memory.
#[derive(Debug)]
pub(crate) struct Record {
    book: Mutex<Book>,
    keep: usize,
}

#[derive(Debug, Default)]
struct Book {
    /// Oldest first; ids are consecutive.
    inbox: VecDeque<Message>,
    inbox_bytes: usize,
    last_id: u64,
    calls: [(u64, [u64; Outcome::COUNT]); 3],
    receipts: Receipts,
    references: Option<HashMap<String, ReferenceCalls>>,
    duplicates: u64,
    tried: HashMap<String, u32>,
    tried_order: VecDeque<String>,
}

impl Record {
    pub(crate) fn new(keep: usize, record_all: bool) -> Self {
        let book = Book { references: record_all.then(HashMap::new), ..Book::default() };
        Self { book: Mutex::new(book), keep }
    }

    /// No code panics while it holds the lock half-way through a change that matters, so a poisoned lock is still good.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a call has come in.
    pub(crate) fn call(&self, provider: Provider) {
        self.book().calls[provider as usize].0 += 1;
    }

    /// Notes that a call is about a reference.
    pub(crate) fn about(&self, reference: &str) {
        if let Some(calls) = self.book().reference(reference) {
            calls.calls += 1;
        }
    }

    /// Which call for this reference it is, counted from 1. Only for recipients where that matters.
    pub(crate) fn nth_try(&self, reference: &str) -> u32 {
        let mut book = self.book();
        if let Some(tries) = book.tried.get_mut(reference) {
            *tries = tries.saturating_add(1);
            return *tries;
        }
        if book.tried_order.len() == TRIED_REFERENCES
            && let Some(oldest) = book.tried_order.pop_front()
        {
            book.tried.remove(&oldest);
        }
        book.tried.insert(reference.to_owned(), 1);
        book.tried_order.push_back(reference.to_owned());
        1
    }

    /// Notes how a call ended that brought no message.
    pub(crate) fn ended(&self, provider: Provider, outcome: Outcome) {
        self.book().calls[provider as usize].1[outcome as usize] += 1;
    }

    /// Notes how a call with a message ended, puts the message into the inbox and returns its id.
    pub(crate) fn keep(&self, mut message: Message) -> u64 {
        let mut book = self.book();
        book.calls[message.provider as usize].1[message.outcome as usize] += 1;
        if message.outcome == Outcome::Accepted
            && let Some(calls) = book.reference(&message.reference)
        {
            calls.accepted += 1;
            let again = calls.accepted == 2;
            book.duplicates += u64::from(again);
        }
        book.last_id += 1;
        message.id = book.last_id;
        book.inbox_bytes += message.bytes();
        book.inbox.push_back(message);
        while book.inbox.len() > self.keep || book.inbox_bytes > INBOX_BYTES {
            let Some(oldest) = book.inbox.pop_front() else { break };
            book.inbox_bytes -= oldest.bytes();
        }
        book.last_id
    }

    /// Notes what became of the receipt of a message, which may have left the inbox meanwhile.
    pub(crate) fn receipt(&self, id: u64, receipt: Receipt) {
        let mut book = self.book();
        match receipt {
            Receipt::Posted { .. } => book.receipts.posted += 1,
            Receipt::Retrying { .. } => book.receipts.retried += 1,
            Receipt::Lost => book.receipts.lost += 1,
            Receipt::None | Receipt::Waiting => {}
        }
        let Some(oldest) = book.inbox.front().map(|message| message.id) else { return };
        let place = id.checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(message) = place.and_then(|place| book.inbox.get_mut(place)) {
            message.receipt = receipt;
        }
    }

    /// The messages that pass, newest first.
    pub(crate) fn newest(&self, filter: &Filter) -> Vec<Message> {
        let to = filter.recipient();
        let reference = filter.reference.trim();
        self.book()
            .inbox
            .iter()
            .rev()
            .filter(|message| filter.before.is_none_or(|before| message.id < before))
            .filter(|message| to.is_empty() || message.to.to_lowercase().contains(&to))
            .filter(|message| reference.is_empty() || message.reference == reference)
            .take(filter.limit.unwrap_or(usize::MAX))
            .cloned()
            .collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        let book = self.book();
        let [mmg, firetext, email] = book.calls.map(|(calls, outcomes)| {
            let [accepted, refused, throttled, gibberish, malformed, unauthorised, dropped] = outcomes;
            Calls { calls, accepted, refused, throttled, gibberish, malformed, unauthorised, dropped }
        });
        let references = book.references.as_ref().map(HashMap::len);
        let duplicates = references.map(|_| book.duplicates);
        Counts { mmg, firetext, email, receipts: book.receipts, references, duplicates }
    }

    /// Calls about a reference; `None` when references are not recorded.
    pub(crate) fn reference_calls(&self, reference: &str) -> Option<ReferenceCalls> {
        let book = self.book();
        book.references.as_ref().map(|all| all.get(reference).copied().unwrap_or_default())
    }

    /// Forgets everything, but goes on counting ids, so that a receipt still under way finds no stranger's message.
    pub(crate) fn clear(&self) {
        let mut book = self.book();
        let references = book.references.as_ref().map(|_| HashMap::new());
        *book = Book { last_id: book.last_id, references, ..Book::default() };
    }
}

impl Book {
    fn reference(&mut self, reference: &str) -> Option<&mut ReferenceCalls> {
        let all = self.references.as_mut()?;
        // A second look-up for a known reference is cheaper than a new string for each call.
        if !all.contains_key(reference) {
            all.insert(reference.to_owned(), ReferenceCalls::default());
        }
        all.get_mut(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(reference: &str, to: &str) -> Message {
        Message {
            id: 0,
            received_at: DateTime::UNIX_EPOCH,
            provider: Provider::Mmg,
            outcome: Outcome::Accepted,
            reference: reference.to_owned(),
            to: to.to_owned(),
            from: "QUEUE".to_owned(),
            subject: None,
            text: Some("Your turn".to_owned()),
            html: None,
            headers: Vec::new(),
            receipt: Receipt::Waiting,
        }
    }

    fn references(record: &Record, filter: &Filter) -> Vec<String> {
        record.newest(filter).into_iter().map(|message| message.reference).collect()
    }

    #[test]
    fn the_inbox_keeps_the_newest() {
        let record = Record::new(2, false);
        for reference in ["a", "b", "c"] {
            record.keep(message(reference, "447700900123"));
        }
        assert_eq!(references(&record, &Filter::default()), ["c", "b"]);
        assert_eq!(record.counts().mmg.accepted, 3);
    }

    #[test]
    fn the_inbox_is_bounded_in_bytes_too() {
        let record = Record::new(1_000, false);
        for reference in ["a", "b", "c"] {
            record.keep(Message {
                html: Some("x".repeat(INBOX_BYTES / 2 - 1_000)),
                ..message(reference, "ada@example.com")
            });
        }
        assert_eq!(references(&record, &Filter::default()), ["c", "b"]);
    }

    #[test]
    fn a_filter_finds_a_number_however_it_is_written() {
        let record = Record::new(10, false);
        record.keep(message("a", "447700900123"));
        record.keep(message("b", "447700900124"));
        for to in ["447700900123", "+447700900123", "07700 900123", " 7700900123"] {
            assert_eq!(
                references(&record, &Filter { to: to.to_owned(), ..Filter::default() }),
                ["a"],
                "{to}"
            );
        }
        assert_eq!(references(&record, &Filter { reference: "b".to_owned(), ..Filter::default() }), ["b"]);
        assert_eq!(references(&record, &Filter { before: Some(2), ..Filter::default() }), ["a"]);
        assert_eq!(references(&record, &Filter { limit: Some(1), ..Filter::default() }), ["b"]);
    }

    #[test]
    fn a_receipt_finds_its_message_and_no_other() {
        let record = Record::new(2, false);
        let first = record.keep(message("a", "1"));
        let second = record.keep(message("b", "1"));
        record.keep(message("c", "1"));
        let posted = Receipt::Posted { fate: Fate::Delivered, answered: 200, posts: 1 };
        record.receipt(first, posted);
        record.receipt(second, posted);
        let states: Vec<_> =
            record.newest(&Filter::default()).iter().map(|message| message.receipt).collect();
        assert_eq!(states, [Receipt::Waiting, posted]);
        record.clear();
        record.keep(message("d", "1"));
        record.receipt(second, posted);
        assert_eq!(record.newest(&Filter::default())[0].receipt, Receipt::Waiting);
    }

    #[test]
    fn a_reference_accepted_twice_is_a_duplicate_once() {
        let record = Record::new(10, true);
        for reference in ["a", "b", "b", "b", "c"] {
            record.about(reference);
            record.keep(message(reference, "1"));
        }
        record.about("c");
        assert_eq!((record.counts().references, record.counts().duplicates), (Some(3), Some(1)));
        assert_eq!(record.reference_calls("b"), Some(ReferenceCalls { calls: 3, accepted: 3 }));
        assert_eq!(record.reference_calls("c"), Some(ReferenceCalls { calls: 2, accepted: 1 }));
        assert_eq!(record.reference_calls("d"), Some(ReferenceCalls::default()));
        let forgetful = Record::new(10, false);
        assert_eq!((forgetful.counts().duplicates, forgetful.reference_calls("a")), (None, None));
    }

    #[test]
    fn tries_are_counted_for_each_reference_and_forgotten_in_order() {
        let record = Record::new(10, false);
        assert_eq!([record.nth_try("a"), record.nth_try("b"), record.nth_try("a")], [1, 1, 2]);
        for number in 0..TRIED_REFERENCES {
            record.nth_try(&number.to_string());
        }
        assert_eq!(record.nth_try("a"), 1);
    }

    #[test]
    fn debug_hides_the_recipient_and_the_content() {
        let shown = format!("{:?}", message("a", "447700900123"));
        assert!(!shown.contains("447700900123") && !shown.contains("Your turn"), "{shown}");
    }
}
