//! Durable sends: how many a second, and how long each takes.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use broker::Broker;
use proto::RoomId;
use tokio::time::Instant;

use crate::{
    load::{Plan, send_all},
    report::Report,
    stage::Stage,
};

/// Rooms in turn, until the time is over.
pub(crate) struct InTurn {
    rooms: Vec<RoomId>,
    sent: u64,
    run: u64,
    until: Instant,
}

impl InTurn {
    pub(crate) fn new(rooms: u32, until: Instant) -> Result<Self> {
        let names = (0..rooms).map(|number| RoomId::parse(&format!("room-{number}")));
        Ok(Self {
            rooms: names.collect::<Result<_, _>>()?,
            sent: 0,
            run: rand::random(),
            until,
        })
    }
}

impl Plan for InTurn {
    fn next(&mut self) -> Option<(RoomId, String)> {
        if Instant::now() >= self.until {
            return None;
        }
        let count = self.rooms.len() as u64;
        let at = usize::try_from(self.sent % count).unwrap_or(0);
        self.sent += 1;
        Some((
            self.rooms[at].clone(),
            format!("{:x}-{}", self.run, self.sent),
        ))
    }
}

/// Sends to so many rooms for a while, `in_flight` at a time.
pub(crate) async fn run<B: Broker>(
    stage: &Arc<Stage<B>>,
    rooms: u32,
    in_flight: u32,
    during: Duration,
    report: &mut Report,
) -> Result<()> {
    let plan = InTurn::new(rooms, Instant::now() + during)?;
    let started = Instant::now();
    let took = send_all(stage, plan, in_flight).await?;
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    let what = format!("{rooms} rooms, {in_flight} in flight");
    report.row(&what, &format!("{rate:.0} sends/s"), took);
    Ok(())
}
