//! When to try again. The only place with these numbers.

use std::time::Duration;

use crate::status::Status;

/// Why a send did not succeed, decided in the vendor's own file, and so what is to be done next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The provider did not take it, and may another time: it could not be reached, or said no. One step of the ladder.
    #[error("transient: {0}")]
    Transient(String),
    /// It may have taken it: it was asked, and no answer came that can be read. One step of the ladder. Only after this is a
    /// receipt of a provider that we have no yes from to be believed.
    #[error("unanswered: {0}")]
    Unanswered(String),
    /// The provider asks for patience. Burns no step.
    #[error("throttled: {reason}")]
    Throttled { reason: String, after: Option<Duration> },
    /// The provider is in order and cannot reach the recipient. How it ends is then theirs, as a receipt would have it.
    #[error("recipient: {reason}")]
    Recipient { trouble: RecipientTrouble, reason: String },
    /// The provider will never take this message. Final.
    #[error("rejected: {0}")]
    Rejected(String),
    /// Our side is set up wrongly (no active provider, key refused). One step, and a louder log line.
    #[error("misconfigured: {0}")]
    Misconfigured(String),
}

/// What keeps a message from its recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientTrouble {
    /// Nobody there, or nobody who may be written to. Final: `permanent-failure`.
    Unknown,
    /// The mailbox has no room, says the provider, who tries no more. Final: `temporary-failure`.
    Full,
    /// Full or busy, and may be tried again: a step of the ladder; after the last one `temporary-failure`.
    Busy,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again after `after`; `failures` is the new count of burnt steps.
    Retry { after: Duration, failures: u16 },
    /// It ends in this status.
    GiveUp(Status),
}

/// The ladder of the wire contract: 10 s, 1 min, 5 min, 1 h, 4 h, then the end; six attempts over about five hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    ladder: Vec<Duration>,
}

/// A provider that throttles without saying for how long is left alone for this long.
const THROTTLED: Duration = Duration::from_secs(10);
/// No provider's `Retry-After` may park a message for longer than the longest step.
const LONGEST_PATIENCE: Duration = Duration::from_secs(4 * 3600);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { ladder: [10, 60, 300, 3600, 14_400].map(Duration::from_secs).to_vec() }
    }
}

impl RetryPolicy {
    /// A ladder with other steps (tests, and deployments that know their provider).
    #[must_use]
    pub fn new(ladder: Vec<Duration>) -> Self {
        Self { ladder }
    }

    /// The delays, shortest first.
    #[must_use]
    pub fn ladder(&self) -> &[Duration] {
        &self.ladder
    }

    /// What follows `failure`, after `failures` earlier attempts that burnt a step.
    #[must_use]
    pub fn after(&self, failures: u16, failure: &SendFailure) -> Next {
        match failure {
            SendFailure::Rejected(_) => Next::GiveUp(Status::TechnicalFailure),
            SendFailure::Recipient { trouble: RecipientTrouble::Unknown, .. } => {
                Next::GiveUp(Status::PermanentFailure)
            }
            SendFailure::Recipient { trouble: RecipientTrouble::Full, .. } => {
                Next::GiveUp(Status::TemporaryFailure)
            }
            SendFailure::Recipient { trouble: RecipientTrouble::Busy, .. } => {
                self.step(failures, Status::TemporaryFailure)
            }
            SendFailure::Throttled { after, .. } => {
                Next::Retry { after: after.unwrap_or(THROTTLED).min(LONGEST_PATIENCE), failures }
            }
            SendFailure::Transient(_) | SendFailure::Unanswered(_) | SendFailure::Misconfigured(_) => {
                self.step(failures, Status::TechnicalFailure)
            }
        }
    }

    fn step(&self, failures: u16, end: Status) -> Next {
        match self.ladder.get(usize::from(failures)) {
            Some(&after) => Next::Retry { after, failures: failures + 1 },
            None => Next::GiveUp(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient() -> SendFailure {
        SendFailure::Transient("503".into())
    }

    #[test]
    fn six_attempts_over_about_five_hours_then_the_end() {
        let policy = RetryPolicy::default();
        let (mut failures, mut delays) = (0, Vec::new());
        while let Next::Retry { after, failures: next } = policy.after(failures, &transient()) {
            delays.push(after.as_secs());
            failures = next;
        }
        assert_eq!(delays, [10, 60, 300, 3600, 14_400]);
        assert_eq!(policy.after(5, &transient()), Next::GiveUp(Status::TechnicalFailure));
    }

    #[test]
    fn throttling_burns_no_step_and_a_refusal_ends_it() {
        let policy = RetryPolicy::default();
        let throttled = |after| SendFailure::Throttled { reason: "429".into(), after };
        let seconds = Duration::from_secs;
        assert_eq!(policy.after(5, &throttled(None)), Next::Retry { after: seconds(10), failures: 5 });
        assert_eq!(
            policy.after(5, &throttled(Some(seconds(90)))),
            Next::Retry { after: seconds(90), failures: 5 }
        );
        assert_eq!(
            policy.after(0, &throttled(Some(seconds(86_400)))),
            Next::Retry { after: seconds(14_400), failures: 0 }
        );
        let rejected = SendFailure::Rejected("no".into());
        assert_eq!(policy.after(0, &rejected), Next::GiveUp(Status::TechnicalFailure));
    }

    #[test]
    fn what_the_recipient_is_to_blame_for_ends_as_the_recipients_failure() {
        let policy = RetryPolicy::default();
        let after = |failures, trouble| {
            policy.after(failures, &SendFailure::Recipient { trouble, reason: "550".into() })
        };
        assert_eq!(after(0, RecipientTrouble::Unknown), Next::GiveUp(Status::PermanentFailure));
        assert_eq!(after(0, RecipientTrouble::Full), Next::GiveUp(Status::TemporaryFailure));
        let first_step = Next::Retry { after: Duration::from_secs(10), failures: 1 };
        assert_eq!(after(0, RecipientTrouble::Busy), first_step);
        assert_eq!(after(5, RecipientTrouble::Busy), Next::GiveUp(Status::TemporaryFailure));
    }
}
