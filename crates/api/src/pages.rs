//! Answers that may be large: pages of notifications, written a piece at a time as their reader takes them, and whatever else is
//! small as a rule. No more of a page is in memory than a piece of it, however large its messages are.

use std::{collections::VecDeque, io, sync::Arc};

use actix_web::{
    HttpResponse,
    http::header::ContentType,
    web::{Bytes, Data},
};
use db::notification::{self, StoredNotification};
use domain::id::NotificationId;
use futures_util::stream;
use serde::Serialize;

use crate::{
    App,
    budget::{self, Owner, Room, SMALL},
    error::Problem,
};

/// A piece is this long, and as much longer as one message is.
const PIECE: usize = 256 * 1024;
/// For a piece, the message that it ends with, and what that is made from.
const ROOM: usize = 6 * 1024 * 1024;

/// An answer that is there as a whole, and has its room until it is written.
pub(crate) async fn whole(app: &App, owner: Owner, answer: &impl Serialize) -> Result<HttpResponse, Problem> {
    let json = serde_json::to_vec(answer).map_err(|error| Problem::Internal(error.to_string()))?;
    let room = if json.len() > SMALL { Some(app.budget.room(owner, json.len()).await?) } else { None };
    Ok(budget::held(HttpResponse::Ok().content_type(ContentType::json()).body(json), room))
}

/// A page: `frame` is all of it, but with no notifications, and `show` what one of them looks like. Small ones are answered as a
/// whole.
pub(crate) async fn page<S: Serialize>(
    app: &Data<App>,
    owner: Owner,
    frame: &impl Serialize,
    notifications: Vec<StoredNotification>,
    show: impl Fn(&App, StoredNotification) -> S + Send + Sync + 'static,
) -> Result<HttpResponse, Problem> {
    let frame = serde_json::to_string(frame).map_err(|error| Problem::Internal(error.to_string()))?;
    let no_frame = || Problem::Internal("a page begins with its notifications".into());
    let at = frame.find("[]").ok_or_else(no_frame)? + 1;
    let (before, after) = frame.split_at(at);
    let rest = Rest {
        app: app.clone(),
        owner,
        notifications: notifications.into(),
        is_first: true,
        after: after.into(),
        show: Arc::new(move |app, stored| serde_json::to_vec(&show(app, stored))),
        room: None,
    };
    let mut answer = HttpResponse::Ok();
    answer.content_type(ContentType::json());
    let (piece, rest) = rest.piece(before.into()).await?;
    let Some(mut rest) = rest else { return Ok(answer.body(piece)) };
    rest.make_room().await?;
    let first = (Some(piece), Some(rest));
    Ok(answer.streaming(stream::try_unfold(first, |(piece, rest)| async move {
        match (piece, rest) {
            (Some(piece), rest) => Ok(Some((piece, (None, rest)))),
            (None, None) => Ok(None),
            (None, Some(rest)) => match rest.piece(Vec::new()).await {
                Ok((piece, rest)) => Ok(Some((piece, (None, rest)))),
                // The head is out: all that can be done is to break off, so that nobody takes it for whole.
                Err(problem) => {
                    tracing::warn!(?problem, "a page broke off");
                    Err(io::Error::other("the rest of the page cannot be read"))
                }
            },
        }
    })))
}

type Show = dyn Fn(&App, StoredNotification) -> serde_json::Result<Vec<u8>> + Send + Sync;

/// What of a page is not written yet.
struct Rest {
    app: Data<App>,
    owner: Owner,
    notifications: VecDeque<StoredNotification>,
    is_first: bool,
    after: Vec<u8>,
    show: Arc<Show>,
    room: Option<Room>,
}

impl Rest {
    /// The next piece, and what follows.
    async fn piece(mut self, mut piece: Vec<u8>) -> Result<(Bytes, Option<Self>), Problem> {
        while let Some(stored) = self.notifications.pop_front() {
            if !std::mem::take(&mut self.is_first) {
                piece.push(b',');
            }
            piece.extend(self.shown(stored).await?);
            if piece.len() >= PIECE && !self.notifications.is_empty() {
                return Ok((piece.into(), Some(self)));
            }
        }
        piece.extend(std::mem::take(&mut self.after));
        Ok((piece.into(), None))
    }

    async fn shown(&mut self, mut stored: StoredNotification) -> Result<Vec<u8>, Problem> {
        let large = stored.unread;
        if large > SMALL {
            self.make_room().await?;
        }
        if large > 0 {
            stored.personalisation = self.read(stored.id).await?;
        }
        let (app, show) = (self.app.clone(), self.show.clone());
        let shown = if large > SMALL {
            self.app.heavy.run(async move { show(&app, stored) }).await?
        } else {
            show(&app, stored)
        };
        shown.map_err(|error| Problem::Internal(error.to_string()))
    }

    /// Of a service's page, in the service's turn.
    async fn read(&self, id: NotificationId) -> Result<Option<Vec<u8>>, Problem> {
        let (query, read) = ("notification.personalisation", move |conn: &mut db::PgConnection| {
            notification::personalisation(conn, id)
        });
        match self.owner {
            Owner::Service(service) => self.app.reads.run(service, query, read).await,
            Owner::Internal => Ok(self.app.db.run(query, read).await?),
        }
    }

    async fn make_room(&mut self) -> Result<(), Problem> {
        if self.room.is_none() {
            self.room = Some(self.app.budget.room(self.owner, ROOM).await?);
        }
        Ok(())
    }
}
