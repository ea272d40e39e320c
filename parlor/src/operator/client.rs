//! The way to an installation's gRPC, and its errors in words.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
use clap::Args;
use http::Uri;
use proto::admin::v1::{
    message_service_client::MessageServiceClient, room_service_client::RoomServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::config::admin::read_token;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Which server, and how it knows us.
#[derive(Args, Clone, Debug)]
pub(super) struct ServerArgs {
    /// Where a room service answers operators: its --admin-listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = server)]
    server: Uri,
    /// File with the token of the server's --admin-token-file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// The calls, and the address they go to.
pub(super) struct Client {
    pub(super) rooms: RoomServiceClient<InterceptedService<Channel, Token>>,
    pub(super) messages: MessageServiceClient<InterceptedService<Channel, Token>>,
    server: String,
}

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl ServerArgs {
    /// Connects with the first call.
    ///
    /// # Errors
    /// When the token file is none.
    pub(super) fn client(&self) -> Result<Client> {
        let token = self.token_file.as_deref();
        let token = token
            .map(|file| read_token("--token-file", file))
            .transpose()?;
        let token = token
            .map(|token| format!("Bearer {token}").parse())
            .transpose()?;
        let channel = Endpoint::from(self.server.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .connect_lazy();
        let token = Token(token);
        let rooms = RoomServiceClient::with_interceptor(channel.clone(), token.clone());
        let messages = MessageServiceClient::with_interceptor(channel, token);
        let server = self
            .server
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(Client {
            rooms,
            messages,
            server,
        })
    }
}

impl Client {
    /// A refused call as one line for a person.
    pub(super) fn explain(&self, status: &Status) -> anyhow::Error {
        explain(&self.server, status)
    }
}

fn explain(server: &str, status: &Status) -> anyhow::Error {
    if let Some(info) = status.get_details_error_info() {
        return anyhow!("{} ({})", status.message(), info.reason);
    }
    match status.code() {
        // The transport's own words are about sockets; nobody answered.
        Code::Unavailable | Code::Unknown => anyhow!(
            "no answer from {server}: {}; is a `parlor` or a `parlor room-service` running with this \
             --admin-listen? --server names another address",
            root_cause(status)
        ),
        Code::DeadlineExceeded | Code::Cancelled => {
            anyhow!(
                "no answer from {server} within {} s",
                CALL_TIMEOUT.as_secs()
            )
        }
        Code::Unimplemented => {
            anyhow!("{server} does not know this call: it is no Parlor, or an older one")
        }
        code => anyhow!("{server}: {} ({code:?})", status.message()),
    }
}

/// The innermost words: `Connection refused` rather than `transport error`.
fn root_cause(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => cause.to_string(),
    }
}

/// `host:port` or `http://host:port`.
fn server(text: &str) -> Result<Uri, String> {
    let expected = "expected host:port or http://host:port, such as 127.0.0.1:9090";
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let uri: Uri = full.parse().map_err(|_| expected.to_owned())?;
    let whole = uri.port_u16().is_some() && uri.host().is_some_and(|host| !host.is_empty());
    if uri.scheme_str() == Some("http") && whole && uri.path() == "/" {
        Ok(uri)
    } else {
        Err(expected.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for good in [
            "127.0.0.1:9090",
            "http://parlor:9090",
            "[::1]:9090",
            "rooms.internal:80",
        ] {
            assert!(server(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "https://x:1",
            "x:y",
            "http://x:1/path",
            ":9090",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_have_the_servers_words_and_its_reason() {
        let details = ErrorDetails::with_error_info("ROOM_NOT_FOUND", "parlor", HashMap::new());
        let status = Status::with_error_details(Code::NotFound, "room \"x\" not found", details);
        let words = explain("h:1", &status).to_string();
        assert_eq!(words, "room \"x\" not found (ROOM_NOT_FOUND)");
    }

    #[test]
    fn nobody_there_names_the_address_and_what_to_check() {
        let words = explain("h:1", &Status::unavailable("tcp connect error")).to_string();
        assert!(
            words.contains("h:1") && words.contains("--admin-listen"),
            "{words}"
        );
    }
}
