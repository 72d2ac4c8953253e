//! Every service, guarded: what a client does not take, or sends in part, is bounded and ends its connection in the end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::transport::server::Connected;

use super::counted;
use super::incoming::{Incoming, Measured};
use super::status::status;
use crate::refusal::Refusal;
use crate::runtime::clock::Clock;
use crate::runtime::connections::{Closer, Connection};
use crate::runtime::meters::ShardMeter;
use crate::runtime::stalls::{Outstanding, Progress};

/// What a request knows of its connection.
#[derive(Debug, Clone)]
pub struct Client {
    closer: Arc<Closer>,
    outstanding: Arc<Outstanding>,
}

impl Connected for Connection {
    type ConnectInfo = Client;

    fn connect_info(&self) -> Client {
        Client { closer: self.closer(), outstanding: self.outstanding() }
    }
}

/// A service whose responses are watched.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    /// The service.
    pub service: S,
    /// Where its responses and requests are watched and counted.
    pub meter: Arc<ShardMeter>,
    /// What its requests have sent in part.
    pub incoming: Arc<Incoming>,
    /// For how long they take.
    pub clock: Clock,
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(client) = request.extensions().get::<Client>().cloned() else {
            return Box::pin(self.service.call(request));
        };
        let (meter, clock) = (Arc::clone(&self.meter), self.clock);
        let (method, since) = (counted::method(request.uri().path()), clock.micros());
        let Some(admitted) = self.incoming.admit() else {
            let refused = status(&Refusal::Throttled { limit: "the number of requests of one shard" });
            meter.requests.count(method, counted::outcome(Some(&refused)), None);
            return Box::pin(async move { Ok(refused.into_http()) });
        };
        let watch = || self.meter.stalls.watch(Arc::clone(&client.outstanding), Arc::clone(&client.closer));
        let (sending, taking) = (watch(), watch());
        let response =
            self.service.call(request.map(|body| Body::new(Measured::new(body, admitted, sending))));
        Box::pin(async move {
            let response = response.await?;
            // Who fails before its first answer leaves its status beside the head that is made of it.
            let outcome = counted::outcome(response.extensions().get::<tonic::Status>());
            let micros = clock.micros() - since;
            meter.requests.count(method, outcome, Some(micros).filter(|_| !counted::is_stream(method)));
            Ok(response.map(|body| Body::new(Watched { body, progress: taking })))
        })
    }
}

/// A response's body that tells how it gets on.
struct Watched {
    body: Body,
    progress: Arc<Progress>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.get_mut();
        if !this.progress.asked(cx.waker()) {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.progress.handed_out(data.len());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
