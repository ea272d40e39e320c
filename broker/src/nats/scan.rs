//! A scan of the store: names of keys a page at a time, their values a few at a time.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};
use proto::PartitionId;

use super::{
    Shared,
    store::{FILLER, check, unavailable, value_of},
};
use crate::{Scan, StoreError, Value};

/// Values fetched at once: enough to hide the round trip, few enough to hold when each is a megabyte.
const FETCH_AHEAD: usize = 32;
/// How far a page of names is moved back when keys before it were purged meanwhile.
const STEP_BACK: usize = 1_000;

type Fetched = Result<Option<(String, Value)>, StoreError>;

/// Keys and values of the NATS store.
pub struct NatsScan {
    shared: Arc<Shared>,
    pp: PartitionId,
    prefix: String,
    /// Subjects whose names are still to be asked for.
    filters: VecDeque<Names>,
    names: VecDeque<String>,
    values: FuturesOrdered<BoxFuture<'static, Fetched>>,
}

/// The names below one filter, in their order.
struct Names {
    filter: String,
    offset: usize,
    last: Option<String>,
}

impl NatsScan {
    pub(super) fn new(shared: Arc<Shared>, pp: PartitionId, prefix: &str) -> Self {
        let subjects = &shared.jetstream.subjects;
        let (names, below) = match prefix {
            "" => (VecDeque::new(), subjects.store(pp, ">")),
            prefix => {
                let at = subjects.store(pp, prefix);
                let below = format!("{at}.>");
                (VecDeque::from([at]), below)
            }
        };
        let below = Names {
            filter: below,
            offset: 0,
            last: None,
        };
        Self {
            pp,
            prefix: prefix.to_owned(),
            filters: VecDeque::from([below]),
            names,
            values: FuturesOrdered::new(),
            shared,
        }
    }

    /// Fetches the next page of names when there is none left of the last one.
    async fn more_names(&mut self) -> Result<(), StoreError> {
        while self.names.is_empty() && !self.filters.is_empty() {
            let Some(names) = self.filters.front_mut() else {
                return Ok(());
            };
            let page = names.page(&self.shared, self.pp).await?;
            if page.is_empty() {
                self.filters.pop_front();
            }
            self.names = page.into();
        }
        Ok(())
    }
}

impl Names {
    /// The next names, none after the last. The server counts from the beginning of the sorted names each
    /// time: when some before the last one seen are gone, the page begins beyond it, and one further back
    /// is asked for.
    async fn page(&mut self, shared: &Shared, pp: PartitionId) -> Result<Vec<String>, StoreError> {
        let jetstream = &shared.jetstream;
        let stream = jetstream.room_stream(pp);
        let mut offset = self.offset;
        loop {
            let asked = jetstream.subjects_of(&stream, &self.filter, offset).await;
            let found = asked.map_err(unavailable)?.state.subjects;
            let mut page: Vec<_> = found.unwrap_or_default().into_keys().collect();
            page.sort_unstable();
            let continues = match &self.last {
                Some(last) => page.first().is_some_and(|first| first <= last),
                None => true,
            };
            if !continues && offset > 0 {
                offset = offset.saturating_sub(STEP_BACK);
                continue;
            }
            // The next page begins with the last name of this one, to show that it continues.
            self.offset = (offset + page.len()).saturating_sub(1);
            if let Some(last) = &self.last {
                page.retain(|name| name > last);
            }
            if let Some(last) = page.last() {
                self.last = Some(last.clone());
            }
            return Ok(page);
        }
    }
}

impl Scan for NatsScan {
    async fn next(&mut self) -> Result<Option<(String, Value)>, StoreError> {
        if !self.prefix.is_empty() {
            check(&self.prefix)?;
        }
        let above = self.shared.jetstream.subjects.store(self.pp, "");
        loop {
            if self.values.len() < FETCH_AHEAD {
                self.more_names().await?;
            }
            while self.values.len() < FETCH_AHEAD
                && let Some(subject) = self.names.pop_front()
            {
                let key = subject.strip_prefix(&above).unwrap_or(&subject).to_owned();
                if key == FILLER {
                    continue;
                }
                let (shared, pp) = (Arc::clone(&self.shared), self.pp);
                let fetch = async move {
                    let value = value_of(&shared, pp, subject).await?;
                    Ok(value.map(|value| (key, value)))
                };
                self.values.push_back(fetch.boxed());
            }
            match self.values.next().await {
                Some(Ok(Some(found))) => return Ok(Some(found)),
                // Purged since its name was told.
                Some(Ok(None)) => {}
                Some(Err(error)) => return Err(error),
                None if self.names.is_empty() && self.filters.is_empty() => return Ok(None),
                None => {}
            }
        }
    }
}
