//! Lets calls in that carry the admin token. Health is open: probes carry none.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;
use tonic::{Request, Status, service::Interceptor};

use super::errors;

/// Checks the bearer token of a call.
#[derive(Clone)]
pub(super) struct Auth {
    token: Option<Arc<str>>,
}

impl Auth {
    pub(super) fn new(token: Option<String>) -> Self {
        Self {
            token: token.map(Into::into),
        }
    }
}

impl Interceptor for Auth {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(expected) = &self.token else {
            return Ok(request);
        };
        let header = request.metadata().get("authorization");
        let Some(given) = header.and_then(|value| value.to_str().ok()) else {
            return Err(errors::token_missing());
        };
        let given = given
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match given {
            Some((_, token)) if token.trim().as_bytes().ct_eq(expected.as_bytes()).into() => {
                Ok(request)
            }
            Some(_) => Err(errors::token_wrong()),
            None => Err(errors::token_missing()),
        }
    }
}
