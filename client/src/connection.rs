//! Connections: how an address becomes a tuned HTTP/2 channel.

use tonic::transport::{Channel, Endpoint};

use crate::config::{
    CONNECTION_WINDOW_BYTES, ClientConfig, FRAME_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    STREAM_WINDOW_BYTES,
};
use crate::error::{Error, ErrorKind};

/// The endpoint of `HOST:PORT`, tuned for large frames and many bytes in flight.
fn endpoint(config: &ClientConfig, address: &str) -> Result<Endpoint, Error> {
    let invalid = |source: tonic::transport::Error| {
        Error::new(ErrorKind::Invalid, format!("{address:?} is not HOST:PORT")).caused_by(source)
    };
    if address.is_empty() || address.contains(['/', '@', ' ']) {
        return Err(Error::new(ErrorKind::Invalid, format!("{address:?} is not HOST:PORT")));
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(invalid)?;
    if endpoint.uri().port().is_none() {
        return Err(Error::new(ErrorKind::Invalid, format!("{address:?} names no port: write HOST:PORT")));
    }
    let endpoint = endpoint.user_agent(config.client_id.clone()).map_err(invalid)?;
    Ok(endpoint
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// A new connection to `HOST:PORT`.
///
/// # Errors
/// [`ErrorKind::Invalid`] for what is no address, [`ErrorKind::Unreachable`] when nobody answers.
pub(crate) async fn connect(config: &ClientConfig, address: &str) -> Result<Channel, Error> {
    let endpoint = endpoint(config, address)?;
    // The endpoint's own limit covers TCP; this one also the name look-up.
    match tokio::time::timeout(config.connect_timeout, endpoint.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(source)) => {
            let why = root_cause(&source);
            Err(Error::new(ErrorKind::Unreachable, format!("{address} is not reached: {why}"))
                .caused_by(source))
        }
        Err(_) => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{address} is not reached within {:?}", config.connect_timeout),
        )),
    }
}

/// The innermost cause, which names what the system said.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether a call failed before it was sent: its connection could not be made again.
pub(crate) fn was_not_sent(status: &tonic::Status) -> bool {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
