//! Large messages: where their work is done, and how much memory they get.
//!
//! To render and compose an e-mail of two megabytes takes a tenth of a second and many times its size. Done among the others,
//! it would hold up everything that its thread serves; and a hundred of them at once, as many as there are connections to the
//! relay, would fill the machine. So whatever is large waits for each of these, in order:
//!
//! ```text
//! claim ─► in hand: loaded from the database ─► a thread: rendered and composed ─► ready: with the provider ─► settle
//!            no room: back, to come again          a few at a time                    its turn, in bytes
//!            at an appointment                     too late for its lease: back
//! ```
//!
//! What is small passes by all of it, at no cost. Nothing here burns a step of the ladder.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::template::{Lists, Missing, Template};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout},
};

use crate::{
    message::Message,
    send::{Time, Unsent},
};

/// In bytes, of template and personalisation, and of what they come to. It is rendered in less than a millisecond.
pub(crate) const SMALL: usize = 32 * 1024;
/// Of template and personalisation, in all: some eight of the largest messages.
const IN_HAND: usize = 16 * MIB;
/// More than a message of ours can be. What another team stores may be larger, and counts as this.
const LARGEST: usize = 4 * MIB;
/// Rendered and composed at the same time. It is a matter of computing: more would take longer each, and more memory.
const THREADS: usize = 2;
/// What is with providers or about to be, in all, and twice: the connection encodes a copy.
const READY: usize = 48 * MIB;
/// How fast they are expected to get through, in KiB a second: who finds no room comes again after all that did so before.
const PACE: u32 = 16 * 1024;
/// Who finds no room waits for something between these.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(60);

const MIB: usize = 1024 * KIB;
/// Permits are for so many bytes each: there are not enough for single ones.
const KIB: usize = 1024;

/// One per process. Clones share everything.
#[derive(Clone, Debug)]
pub struct Large {
    in_hand: Arc<Semaphore>,
    threads: Arc<Semaphore>,
    ready: Arc<Semaphore>,
    /// The end of the queue of those that were sent away.
    queue_ends: Arc<Mutex<Instant>>,
}

/// What a large message holds of the memory, until it is dropped.
pub(crate) type Held = OwnedSemaphorePermit;

impl Default for Large {
    fn default() -> Self {
        let semaphore = |bytes: usize| Arc::new(Semaphore::new(bytes / KIB));
        Self {
            in_hand: semaphore(IN_HAND),
            threads: Arc::new(Semaphore::new(THREADS)),
            ready: semaphore(READY),
            queue_ends: Arc::new(Mutex::new(Instant::now())),
        }
    }
}

impl Large {
    /// Room for a message of this size, if there is any.
    pub(crate) fn take_in_hand(&self, size: usize) -> Option<Held> {
        Arc::clone(&self.in_hand).try_acquire_many_owned(permits(size, LARGEST)).ok()
    }

    /// When whoever found no room for `size` bytes is to come again, from now.
    pub(crate) fn appointment(&self, size: usize) -> Duration {
        let now = Instant::now();
        let mut queue_ends = self.queue_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = (*queue_ends).max(now);
        let takes = Duration::from_secs(1) * permits(size, LARGEST) / PACE;
        *queue_ends = (begins + takes).min(now + LATEST);
        (begins - now).clamp(SOONEST, LATEST)
    }

    /// Does `work` on a message: here and now if it is small, else on a thread of its own when it is its turn. What comes of it
    /// may be kept for as long as what is answered with it; `size` says how large it is.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        message: &mut Message,
        time: &Time,
        size: impl FnOnce(&T) -> usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Option<Held>), Unsent> {
        let expected = size_when_filled(message);
        if expected <= SMALL {
            return Ok((work(), None));
        }
        if message.held.is_none() {
            let held = self.take_in_hand(expected);
            message.held = Some(held.ok_or_else(|| Unsent::NotBegun(self.appointment(expected)))?);
        }
        let thread = in_turn(&self.threads, 1, time).await?;
        let done = spawn_blocking(work).await.map_err(|_| Unsent::panicked())?;
        let ready = in_turn(&self.ready, permits(2 * size(&done), READY), time).await?;
        drop(thread);
        Ok((done, Some(ready)))
    }
}

async fn in_turn(semaphore: &Arc<Semaphore>, permits: u32, time: &Time) -> Result<Held, Unsent> {
    match timeout(time.to_begin(), Arc::clone(semaphore).acquire_many_owned(permits)).await {
        Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
        Err(_) => Err(Unsent::NotBegun(SOONEST)),
    }
}

/// What is larger than all there is gets all there is.
fn permits(bytes: usize, most: usize) -> u32 {
    u32::try_from(bytes.min(most).div_ceil(KIB)).unwrap_or(u32::MAX)
}

/// How long subject and content get with the values put in, in bytes: exactly where little can become much, and not below it
/// otherwise.
fn size_when_filled(message: &Message) -> usize {
    let Message { notification, size, .. } = message;
    let texts = [notification.subject.as_deref().unwrap_or_default(), &notification.content];
    let written: usize = texts.iter().map(|text| text.len()).sum();
    let placeholders: usize = texts.iter().map(|text| text.matches("((").count()).sum();
    // No value is larger than all that was loaded.
    let most = written.saturating_add(placeholders.saturating_mul(*size));
    if most <= SMALL || *size > SMALL {
        return most.max(*size);
    }
    let filled = |text: &&str| {
        Template::parse(text).filling(&notification.personalisation, Lists::Bullets, Missing::AsTyped).size()
    };
    texts.iter().map(filled).sum()
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use chrono::TimeDelta;
    use domain::{
        clock::Clock,
        id::{NotificationId, ServiceId},
        notification::{Notification, Sender},
        status::{Channel, KeyType},
        template::Personalisation,
    };

    use super::*;

    fn message(content: String, size: usize) -> Message {
        let created_at = Clock::System.now();
        let service =
            Sender { active: true, name: "Q".into(), prefix_sms: true, email_local_part: "q".into() };
        let notification = Notification {
            id: NotificationId::new(created_at),
            service_id: ServiceId::new(created_at),
            channel: Channel::Sms,
            key_type: KeyType::Normal,
            recipient: "07700900123".into(),
            normalised_recipient: "447700900123".into(),
            international: false,
            sender: None,
            subject: None,
            content,
            personalisation: Personalisation::default(),
            unsubscribe_url: None,
            unsubscribe_page_url: None,
            service,
            created_at,
        };
        Message::new(notification, size)
    }

    fn plenty() -> Time {
        let now = Clock::System.now();
        Time { clock: Clock::System, begin_by: now + TimeDelta::hours(1), over_by: now + TimeDelta::hours(2) }
    }

    async fn thread_of(large: &Large, mut message: Message) -> ThreadId {
        let time = plenty();
        let work = large.work(&mut message, &time, |_| 0, || thread::current().id());
        work.await.map(|(id, _)| id).map_err(|_| "not begun").unwrap()
    }

    #[tokio::test]
    async fn what_is_large_is_not_worked_on_among_the_others() {
        let (large, here) = (Large::default(), thread::current().id());
        assert_eq!(thread_of(&large, message("x".repeat(1000), 1000)).await, here);
        assert_ne!(thread_of(&large, message("x".repeat(40_000), 40_000)).await, here);
        assert_eq!(thread_of(&large, message("((a)) ".repeat(100), 6000)).await, here, "it only might have");
    }

    #[tokio::test]
    async fn only_so_many_are_worked_on_at_once_and_the_others_wait() {
        let large = Large::default();
        let (busy, most) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let works = (0..8).map(|_| async {
            let (busy, most) = (busy.clone(), most.clone());
            let work = move || {
                let now = {
                    let mut busy = busy.lock().unwrap();
                    *busy += 1;
                    *busy
                };
                let mut most = most.lock().unwrap();
                *most = now.max(*most);
                drop(most);
                thread::yield_now();
                *busy.lock().unwrap() -= 1;
            };
            let mut message = message("x".repeat(40_000), 40_000);
            large.work(&mut message, &plenty(), |()| 0, work).await.map(|_| ()).map_err(|_| "not begun")
        });
        let done = futures_util::future::join_all(works).await;
        assert!(done.iter().all(Result::is_ok));
        assert!(*most.lock().unwrap() <= THREADS);
        assert_eq!(large.in_hand.available_permits(), IN_HAND / KIB, "and all is given back");
        assert_eq!(large.ready.available_permits(), READY / KIB);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_comes_again_one_after_the_other_and_not_for_ever_later() {
        let large = Large::default();
        let waits: Vec<_> = (0..200).map(|_| large.appointment(2 * MIB).as_millis()).collect();
        assert_eq!(waits[..7], [500, 500, 500, 500, 500, 625, 750]);
        assert_eq!(waits[199], 24_875);
        for _ in 0..1000 {
            assert!(large.appointment(usize::MAX) <= LATEST);
        }
        tokio::time::advance(LATEST).await;
        assert_eq!(large.appointment(1), SOONEST);
    }

    #[test]
    fn what_is_taken_in_hand_has_a_bound_in_bytes_and_nothing_is_too_large_for_it() {
        let large = Large::default();
        let taken: Vec<_> = std::iter::from_fn(|| large.take_in_hand(2 * MIB)).collect();
        assert_eq!(taken.len(), 8);
        drop(taken);
        assert!(large.take_in_hand(usize::MAX).is_some());
    }
}
