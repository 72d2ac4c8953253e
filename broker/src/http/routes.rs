//! What is answered to which request.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::Response;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::http::{Method, StatusCode, Uri};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::page::{self, Detail};
use super::shown::Shown;
use crate::limits::HTTP_PAGES_MAX;

/// What a scraper is told that the metrics are.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What everything else is.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Answers requests.
#[derive(Debug)]
pub struct Routes {
    shown: Arc<Shown>,
    pages: Arc<Semaphore>,
}

impl Routes {
    /// For what is shown.
    pub fn new(shown: Arc<Shown>) -> Routes {
        Routes { shown, pages: Arc::new(Semaphore::new(HTTP_PAGES_MAX)) }
    }

    /// The answer to a request; its headers and its body do not matter.
    pub async fn answer(&self, method: &Method, uri: &Uri) -> Response<Whole> {
        let path = uri.path();
        if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
            let what = "there is nothing here: /metrics, /healthz and /readyz are what is shown\n";
            return text(StatusCode::NOT_FOUND, what);
        }
        if method != Method::GET {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            return refused;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match self.shown.readiness() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", one_line(&why))),
            },
            _ => self.metrics(uri.query()).await,
        }
    }

    async fn metrics(&self, query: Option<&str>) -> Response<Whole> {
        let Some(detail) = detail(query) else {
            let why = "the query is not known: partitions=no leaves out what is told of single partitions\n";
            return text(StatusCode::BAD_REQUEST, why);
        };
        let Ok(permit) = Arc::clone(&self.pages).try_acquire_owned() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many scrapes at a time: try again\n");
        };
        let page = page::make(&self.shown, detail).await;
        let whole = Whole { bytes: Some(page.into()), _permit: Some(permit) };
        answered(StatusCode::OK, METRICS_TYPE, whole)
    }
}

/// What a query asks for; `None` where it asks for something else.
fn detail(query: Option<&str>) -> Option<Detail> {
    match query {
        None | Some("" | "partitions=yes") => Some(Detail::Partitions),
        Some("partitions=no") => Some(Detail::Topics),
        Some(_) => None,
    }
}

/// Names and reasons may come from elsewhere; an answer is one line all the same.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn text(status: StatusCode, said: impl Into<Bytes>) -> Response<Whole> {
    answered(status, TEXT_TYPE, Whole { bytes: Some(said.into()), _permit: None })
}

fn answered(status: StatusCode, content_type: &'static str, whole: Whole) -> Response<Whole> {
    let mut response = Response::new(whole);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body that is there already. A page holds its place among the pages until it is sent.
#[derive(Debug)]
pub struct Whole {
    bytes: Option<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;
    use crate::runtime::life::Life;
    use crate::runtime::meters::Meters;

    fn routes() -> (Arc<Life>, Routes) {
        let life = Arc::<Life>::default();
        let meters = Arc::new(Meters::new(1, &["A"]));
        (Arc::clone(&life), Routes::new(Arc::new(Shown::new(life, meters, Clock::start()))))
    }

    async fn said(routes: &Routes, method: Method, uri: &str) -> (u16, String) {
        let mut answer = routes.answer(&method, &uri.parse().unwrap()).await;
        let bytes = answer.body_mut().bytes.take().unwrap();
        (answer.status().as_u16(), String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_what_is_shown_is_answered() {
        let (_, routes) = routes();
        for (method, uri, status) in [
            (Method::GET, "/healthz", 200),
            (Method::GET, "/healthz?a=b", 200),
            (Method::GET, "/metrics", 200),
            (Method::GET, "/metrics?partitions=no", 200),
            (Method::GET, "/metrics?partitions=maybe", 400),
            (Method::POST, "/metrics", 405),
            (Method::HEAD, "/healthz", 405),
            (Method::DELETE, "/readyz", 405),
            (Method::GET, "/", 404),
            (Method::POST, "/metrics/", 404),
            (Method::GET, "/../metrics", 404),
        ] {
            assert_eq!(said(&routes, method.clone(), uri).await.0, status, "{method} {uri}");
        }
        let refused = routes.answer(&Method::PUT, &"/metrics".parse().unwrap()).await;
        assert_eq!(refused.headers()[ALLOW], "GET");
    }

    #[tokio::test]
    async fn readiness_follows_the_brokers_life_and_says_why_in_one_line() {
        let (life, routes) = routes();
        life.wait_for("waiting for\r\nX-Evil: 10.0.0.3:7172".to_owned());
        let (status, why) = said(&routes, Method::GET, "/readyz").await;
        assert_eq!((status, why.as_str()), (503, "waiting for  X-Evil: 10.0.0.3:7172\n"));
        life.serve();
        assert_eq!(said(&routes, Method::GET, "/readyz").await, (200, "ready\n".to_owned()));
        life.stop();
        let (status, why) = said(&routes, Method::GET, "/readyz").await;
        assert!(status == 503 && why.contains("stop"), "{why}");
        assert_eq!(said(&routes, Method::GET, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn pages_in_memory_are_bounded() {
        let (_, routes) = routes();
        let uri: Uri = "/metrics".parse().unwrap();
        let mut pages = Vec::new();
        for _ in 0..HTTP_PAGES_MAX {
            let page = routes.answer(&Method::GET, &uri).await;
            assert_eq!(page.status(), StatusCode::OK);
            pages.push(page);
        }
        assert_eq!(routes.answer(&Method::GET, &uri).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        pages.pop();
        assert_eq!(routes.answer(&Method::GET, &uri).await.status(), StatusCode::OK);
    }
}
