//! How much of the process's memory large requests and large answers may fill together, whoever makes them. What is small
//! (most of what there is) is not counted: it costs less than its connection.
//!
//! A service gets half at most, so that nobody's files keep anybody else's waiting for more than their own turn.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};
use domain::id::ServiceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Problem;

/// Up to here a body, or an answer, is small.
pub(crate) const SMALL: usize = 64 * 1024;
/// How long somebody waits for room; then there is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is counted in.
const UNIT: usize = 1024;

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Service(ServiceId),
    /// The house's own front end and operators.
    Internal,
}

/// See the module.
pub(crate) struct Budget {
    all: Arc<Semaphore>,
    /// In units, of each owner.
    share: usize,
    shares: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

/// Memory that may be filled until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
    /// As long as somebody has a part of it, it is the same share for all.
    _share: Arc<Semaphore>,
}

impl Budget {
    /// In bytes.
    pub(crate) fn new(all: usize) -> Self {
        let units = (all / UNIT).clamp(2, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(units)), share: units / 2, shares: Mutex::default() }
    }

    /// Waits for room for so many bytes; what is larger than a share is taken for one.
    pub(crate) async fn room(&self, owner: Owner, bytes: usize) -> Result<Room, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.share)).unwrap_or(u32::MAX);
        let share = self.share_of(owner);
        let room = async {
            let own = share.clone().acquire_many_owned(units).await.ok()?;
            let of_all = self.all.clone().acquire_many_owned(units).await.ok()?;
            Some(Room { _own: own, _of_all: of_all, _share: share.clone() })
        };
        let room = tokio::time::timeout(PATIENCE, room).await.ok().flatten();
        room.ok_or_else(|| {
            Problem::Unavailable("large requests fill the memory that there is for them".into())
        })
    }

    fn share_of(&self, owner: Owner) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&owner).and_then(Weak::upgrade) {
            return share;
        }
        // Those that nobody uses any more go when another comes.
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(owner, Arc::downgrade(&share));
        share
    }
}

/// An answer that has its room until it is written, or given up.
pub(crate) fn held(answer: HttpResponse, room: Option<Room>) -> HttpResponse {
    match room {
        Some(room) => answer.map_body(|_, body| BoxBody::new(Held { body, _room: room })),
        None => answer,
    }
}

struct Held {
    body: BoxBody,
    _room: Room,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use uuid::Uuid;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn owner(n: u128) -> Owner {
        Owner::Service(ServiceId(Uuid::from_u128(n)))
    }

    #[tokio::test]
    async fn a_service_waits_for_its_own_and_not_for_anybody_elses_half() {
        let budget = Budget::new(8 * MIB);
        let first = budget.room(owner(1), 3 * MIB).now_or_never().unwrap().unwrap();
        assert!(budget.room(owner(1), 2 * MIB).now_or_never().is_none());
        let others = budget.room(owner(2), 4 * MIB).now_or_never();
        assert!(others.is_some_and(|room| room.is_ok()));
        drop(first);
        let more_than_there_is = budget.room(owner(1), 100 * MIB).now_or_never();
        assert!(more_than_there_is.is_some_and(|room| room.is_ok()), "a whole share");
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_leaves_nothing_behind() {
        let budget = Budget::new(8 * MIB);
        let rooms =
            [budget.room(owner(1), 4 * MIB).await.unwrap(), budget.room(owner(2), 4 * MIB).await.unwrap()];
        assert!(budget.room(owner(3), 4 * MIB).now_or_never().is_none());
        drop(rooms);
        assert!(budget.room(owner(3), 4 * MIB).now_or_never().is_some());
        assert_eq!(budget.all.available_permits(), 8 * MIB / UNIT);
        budget.room(owner(4), 1).await.unwrap();
        assert_eq!(budget.shares.lock().unwrap().len(), 1, "and no share");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let budget = Budget::new(8 * MIB);
        let _all = budget.room(owner(1), 4 * MIB).await.unwrap();
        let none = budget.room(owner(1), 1).await;
        assert!(matches!(none, Err(Problem::Unavailable(_))));
    }
}
