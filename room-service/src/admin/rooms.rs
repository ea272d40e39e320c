//! `parlor.admin.v1.RoomService`.

use std::{collections::HashMap, sync::Arc};

use broker::Broker;
use prost_types::Timestamp;
use proto::{
    Code, RoomId,
    admin::v1::{
        GetRoomRequest, ListRoomsRequest, ListRoomsResponse, Room, room, room_service_server,
    },
    bus::v1::{Describe, RoomSummary, reply, request},
};
use tonic::{Request, Response, Status};

use super::{errors, owners, page_token};
use crate::service::Shared;

const DEFAULT_PAGE: usize = 50;
const LARGEST_PAGE: usize = 1_000;

/// The service, over the owners of rooms.
pub(super) struct Rooms<B> {
    shared: Arc<Shared<B>>,
}

impl<B: Broker> Rooms<B> {
    pub(super) fn new(shared: Arc<Shared<B>>) -> Self {
        Self { shared }
    }

    /// A page of the rooms of all partitions, whoever owns them; whether there are more, and how many
    /// there are in all.
    async fn page(
        &self,
        after: Option<&RoomId>,
        count: usize,
    ) -> Result<(Vec<RoomSummary>, bool, u64), Status> {
        let partitions = owners::partitions(&self.shared)?.rooms();
        let lists = partitions.map(|pp| owners::list(&self.shared, pp, after, count));
        let lists = futures_util::future::try_join_all(lists).await?;
        let total = lists.iter().map(|list| list.total).sum();
        // Beyond the last room of a list that was cut, that partition's rooms are not known.
        let known_to = lists
            .iter()
            .filter(|list| list.more)
            .filter_map(|list| list.rooms.last())
            .map(|last| last.room.clone())
            .min();
        let mut rooms: Vec<_> = lists.into_iter().flat_map(|list| list.rooms).collect();
        rooms.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        let found = rooms.len();
        if let Some(known_to) = &known_to {
            rooms.retain(|room| room.room <= *known_to);
        }
        rooms.truncate(count);
        let more = rooms.len() < found || known_to.is_some();
        Ok((rooms, more, total))
    }
}

pub(super) fn check_ready<B: Broker>(shared: &Shared<B>) -> Result<(), Status> {
    shared
        .unready()
        .map_or(Ok(()), |why| Err(errors::not_ready(&why)))
}

fn room(summary: RoomSummary) -> Room {
    Room {
        name: format!("rooms/{}", summary.room),
        uid: summary.r#gen.clone(),
        display_name: summary.display_name,
        kind: room::Kind::Group.into(),
        state: room::State::Active.into(),
        visibility: room::Visibility::Unlisted.into(),
        head_seq: signed(summary.head),
        message_count: signed(summary.messages),
        bytes: signed(summary.bytes),
        online_count: signed(summary.online),
        create_time: Some(timestamp(summary.create_ms)),
        last_message_time: (summary.messages > 0).then(|| timestamp(summary.last_message_ms)),
        labels: HashMap::new(),
        // No setting can change yet, so the numbering is all there is to tell apart.
        etag: format!("\"{}-0\"", summary.r#gen),
    }
}

#[tonic::async_trait]
impl<B: Broker> room_service_server::RoomService for Rooms<B> {
    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let request = request.into_inner();
        let (after, count) = check_list(&request)?;
        check_ready(&self.shared)?;
        let (rooms, more, total) = self.page(after.as_ref(), count).await?;
        let last = rooms.last().and_then(|last| RoomId::parse(&last.room).ok());
        let next_page_token = match last {
            Some(last) if more => page_token::encode(&last, &fingerprint(&request)),
            _ => String::new(),
        };
        Ok(Response::new(ListRoomsResponse {
            rooms: rooms.into_iter().map(room).collect(),
            next_page_token,
            total_size: i32::try_from(total).unwrap_or(i32::MAX),
        }))
    }

    async fn get_room(&self, request: Request<GetRoomRequest>) -> Result<Response<Room>, Status> {
        let name = request.into_inner().name;
        let id = parse_name(&name)?;
        check_ready(&self.shared)?;
        let describe = request::Op::Describe(Describe {});
        match owners::ask(&self.shared, &id, describe).await? {
            reply::Result::Summary(summary) => Ok(Response::new(room(summary))),
            reply::Result::Refused(refused) if refused.code == Code::RoomUnknown.as_str() => {
                Err(errors::room_not_found(&id))
            }
            reply::Result::Refused(refused) => Err(errors::refused(&refused)),
            _ => Err(errors::not_ready("the owner answered something else")),
        }
    }
}

/// Where a page begins and how many rooms it has.
fn check_list(request: &ListRoomsRequest) -> Result<(Option<RoomId>, usize), Status> {
    let invalid = errors::invalid;
    let count = match usize::try_from(request.page_size) {
        Ok(0) => DEFAULT_PAGE,
        Ok(count) => count.min(LARGEST_PAGE),
        Err(_) => {
            let words = format!("expected 0 to {LARGEST_PAGE}, got {}", request.page_size);
            return Err(invalid("PAGE_SIZE_INVALID", "page_size", words));
        }
    };
    if !request.filter.is_empty() {
        let words = "filters are not supported yet: leave it empty".to_owned();
        return Err(invalid("FILTER_UNSUPPORTED", "filter", words));
    }
    if !matches!(request.order_by.trim(), "" | "name" | "name asc") {
        let words = format!("expected `name` or nothing, got {:?}", request.order_by);
        return Err(invalid("ORDER_BY_UNSUPPORTED", "order_by", words));
    }
    if request.page_token.is_empty() {
        return Ok((None, count));
    }
    match page_token::decode(&request.page_token, &fingerprint(request)) {
        Some(after) => Ok((Some(after), count)),
        None => {
            let words = "expected the next_page_token of a call with the same filter and order_by";
            Err(invalid(
                "PAGE_TOKEN_INVALID",
                "page_token",
                words.to_owned(),
            ))
        }
    }
}

/// What must stay the same from page to page. Every accepted order is the same one at present.
fn fingerprint(request: &ListRoomsRequest) -> String {
    format!("filter={}&order=name", request.filter)
}

pub(super) fn parse_name(name: &str) -> Result<RoomId, Status> {
    let invalid = |words: String| errors::invalid("NAME_INVALID", "name", words);
    let Some(typed) = name.strip_prefix("rooms/") else {
        return Err(invalid(format!("expected `rooms/<room id>`, got {name:?}")));
    };
    RoomId::parse(typed).map_err(|error| invalid(error.to_string()))
}

pub(super) fn timestamp(unix_ms: u64) -> Timestamp {
    Timestamp {
        seconds: signed(unix_ms / 1_000),
        nanos: i32::try_from(unix_ms % 1_000 * 1_000_000).unwrap_or(0),
    }
}

/// Counts and seqs stay under 2^53 (PROTOCOL section 1).
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
