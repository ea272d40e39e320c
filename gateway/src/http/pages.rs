//! The pages and their assets. A room's page is the same for every room: its script reads the name from
//! the address, and the socket says whether it is one.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use percent_encoding::{PercentDecode, percent_decode_str};
use web::{Asset, Page};

pub(super) async fn root() -> Response {
    redirect(StatusCode::FOUND, "/chat/")
}

/// Leads to the same path with a slash at its end, the encoding as it came.
pub(super) async fn add_slash(uri: Uri) -> Response {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    redirect(
        StatusCode::PERMANENT_REDIRECT,
        &format!("{}/{query}", uri.path()),
    )
}

pub(super) async fn index(headers: HeaderMap) -> Response {
    page(Page::Index, &headers)
}

pub(super) async fn room(uri: Uri, headers: HeaderMap) -> Response {
    match room_name(&uri).decode_utf8().as_deref() {
        Err(_) => {
            let text = "The name of the room is not percent-encoded UTF-8.\n";
            (StatusCode::BAD_REQUEST, text).into_response()
        }
        Ok("") => super::not_found().await,
        Ok(_) => page(Page::Room, &headers),
    }
}

pub(super) async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    match web::asset(uri.path()) {
        Some(asset) => serve(asset, &headers),
        None => super::not_found().await,
    }
}

/// The room's name, percent-encoded, in a path that ends in `/<name>` or `/<name>/`.
pub(super) fn room_name(uri: &Uri) -> PercentDecode<'_> {
    let path = uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let (_, name) = path.rsplit_once('/').unwrap_or_default();
    percent_decode_str(name)
}

/// The language that a client would like best.
pub(super) fn language(headers: &HeaderMap) -> web::Lang {
    web::negotiate(
        headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok()),
    )
}

fn page(page: Page, headers: &HeaderMap) -> Response {
    let mut response = serve(web::page(page, language(headers)), headers);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(web::CSP),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept-language"));
    response
}

fn serve(asset: Asset, headers: &HeaderMap) -> Response {
    let mut response = if is_known(headers, asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from(asset.body));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(asset.content_type),
        );
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    // Asked for again each time, mostly answered by 304: after an upgrade no page runs old scripts.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether the client has this very version (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

fn redirect(status: StatusCode, to: &str) -> Response {
    let mut response = (status, "The page is elsewhere.\n").into_response();
    // A request's own path and query are always a header's value.
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}
