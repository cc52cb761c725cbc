//! Clients that stop in the middle of a chunked body.
//!
//! After an answer actix (actix-http 3.20) reads on for the rest of such a body, in order to use the connection again, and
//! waits for it without any limit of time. It does not when somebody still holds the body's reading end: then it closes
//! the connection, as it does for a body of a known length. So the answer holds that end while it is sent.

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    middleware::Next,
    web::Bytes,
};
use futures_util::{
    Stream,
    stream::{StreamExt, poll_fn},
};

pub(crate) async fn closes_connection(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !request.chunked()? {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let unread = Rc::new(RefCell::new(request.take_payload()));
    let reading = unread.clone();
    let handed_on = poll_fn(move |context| pin!(&mut *reading.borrow_mut()).poll_next(context));
    request.set_payload(Payload::Stream { payload: handed_on.boxed_local() });
    let answer = next.call(request).await?;
    Ok(answer.map_body(|_, body| BoxBody::new(Answer { body: body.boxed(), _unread: unread })))
}

/// The body of an answer, and what was not read of the request's.
struct Answer {
    body: BoxBody,
    _unread: Rc<RefCell<Payload>>,
}

impl MessageBody for Answer {
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
