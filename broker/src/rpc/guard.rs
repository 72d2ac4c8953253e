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

use super::incoming::{Incoming, Measured};
use super::status::status;
use crate::refusal::Refusal;
use crate::runtime::connections::{Closer, Connection};
use crate::runtime::stalls::{Outstanding, Progress, Stalls};

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
    /// Where its responses and requests are watched.
    pub stalls: Arc<Stalls>,
    /// Where its requests are counted.
    pub incoming: Arc<Incoming>,
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
        let Some(counted) = self.incoming.admit() else {
            let refusal = Refusal::Throttled { limit: "the number of requests of one shard" };
            return Box::pin(async move { Ok(status(&refusal).into_http()) });
        };
        let watch = || self.stalls.watch(Arc::clone(&client.outstanding), Arc::clone(&client.closer));
        let (sending, taking) = (watch(), watch());
        let response =
            self.service.call(request.map(|body| Body::new(Measured::new(body, counted, sending))));
        Box::pin(async move {
            let response = response.await?;
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
