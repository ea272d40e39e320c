//! Parlor: self-hosted chat rooms. The one binary that people type: it serves, or asks a running
//! installation for operators.

mod config;
mod doctor;
mod failure;
mod operator;
mod ops_server;
mod run;
mod telemetry;

use std::{env, process::ExitCode, time::Duration};

use anyhow::Context as _;

use config::{Plan, Verb};
use failure::Failure;

/// How long blocking work may keep the process after its end; out of the same 5 s as the last traces.
const LINGER: Duration = Duration::from_millis(250);

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn start() -> Result<(), Failure> {
    let keys = env::vars_os().map(|(key, _)| key);
    match config::parse(env::args_os(), keys)? {
        Verb::Serve(args) => serve(Plan::serve(args)),
        Verb::Gateway(args) => serve(Plan::gateway(args)),
        Verb::RoomService(args) => serve(Plan::room_service(args)),
        Verb::Rooms(command) => once(operator::run_rooms(command)),
        Verb::Messages(command) => once(operator::run_messages(command)),
        Verb::Doctor(command) => once(doctor::run(command)),
    }
}

/// Runs what asks once and ends.
fn once(asking: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(asking)
}

fn serve(plan: anyhow::Result<Plan>) -> Result<(), Failure> {
    let plan = plan.map_err(Failure::Config)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run::run(plan));
    match result {
        Ok(()) => runtime.shutdown_timeout(LINGER),
        Err(_) => runtime.shutdown_background(),
    }
    result
}
