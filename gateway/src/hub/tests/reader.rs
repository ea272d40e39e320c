//! A client that reads by hand, as fast or slowly as a test wants, and holds every frame against rule 2
//! of PROTOCOL section 4: from its latest `joined` on, each event is the one after the last, or after a
//! gap.

use std::{collections::VecDeque, sync::Arc};

use serde_json::Value;

use crate::{close::Close, hub::Form, session::Session, testing};

pub(super) struct Reader {
    pub(super) session: Arc<Session>,
    /// The last seq it has, or was told that it will not get.
    pub(super) at: Option<u64>,
    /// The seqs of all events since the latest `joined`.
    pub(super) seqs: Vec<u64>,
    /// What it was told that it will not get, since the latest `joined`.
    pub(super) gaps: Vec<(u64, u64)>,
    pub(super) joins: usize,
    pub(super) others: Vec<Value>,
    pub(super) close: Option<Close>,
}

impl Reader {
    pub(super) fn new(id: u64) -> Self {
        Self::of(testing::session(id, Form::V1))
    }

    pub(super) fn of(session: Arc<Session>) -> Self {
        Self {
            session,
            at: None,
            seqs: Vec::new(),
            gaps: Vec::new(),
            joins: 0,
            others: Vec::new(),
            close: None,
        }
    }

    /// Reads all that is there, and that comes at once when it is taken.
    pub(super) async fn reads(&mut self) {
        loop {
            while self.reads_one_write() {}
            testing::settle().await;
            if !self.reads_one_write() {
                return;
            }
        }
    }

    /// Reads what one write carries; `false` when there is nothing.
    pub(super) fn reads_one_write(&mut self) -> bool {
        let mut batch = VecDeque::new();
        self.close = self.close.or(self.session.outbox.take(&mut batch));
        let has_read = !batch.is_empty();
        for frame in batch {
            let frame = serde_json::from_str(frame.text().unwrap()).unwrap();
            self.hears(frame);
        }
        has_read
    }

    fn hears(&mut self, frame: Value) {
        match frame["op"].as_str() {
            Some("joined") => self.hears_joined(&frame),
            Some("event") => self.hears_event(&frame),
            Some("gap") => {
                let (from, to) = range(&frame);
                assert_eq!(Some(from - 1), self.at, "{frame}");
                self.skips(from, to);
            }
            _ => self.others.push(frame),
        }
    }

    fn hears_joined(&mut self, joined: &Value) {
        self.joins += 1;
        self.seqs.clear();
        self.gaps.clear();
        self.at = None;
        if joined["gap"]["from"].is_u64() {
            let (from, to) = range(&joined["gap"]);
            self.skips(from, to);
        }
        for event in joined["events"].as_array().unwrap() {
            self.hears_event(event);
        }
        self.at = self.at.or(joined["head"].as_u64());
    }

    fn hears_event(&mut self, event: &Value) {
        let seq = event["seq"].as_u64().unwrap();
        assert!(
            self.at.is_none_or(|at| seq == at + 1),
            "after {:?}: {event}",
            self.at
        );
        self.at = Some(seq);
        self.seqs.push(seq);
    }

    fn skips(&mut self, from: u64, to: u64) {
        assert!(from <= to, "{from} to {to}");
        self.gaps.push((from, to));
        self.at = Some(to);
    }
}

fn range(gap: &Value) -> (u64, u64) {
    (gap["from"].as_u64().unwrap(), gap["to"].as_u64().unwrap())
}
