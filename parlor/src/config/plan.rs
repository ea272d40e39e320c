//! What the options of a serving command amount to. Still nothing listens or connects.

use std::path::PathBuf;

use anyhow::Result;

use super::{
    DrainArgs, GatewayArgs, IdentityArgs, LimitsArgs, LoggingArgs, NatsArgs, NatsChoice,
    NetworkArgs, RoomServiceArgs, RoomsArgs, ServeArgs, values::Listen,
};

/// Everything that a serving process is told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Name in traces: `service.name`.
    pub(crate) service: &'static str,
    /// What the process is on the bus; permissions on NATS go by it.
    pub(crate) role: &'static str,
    /// Name of this process among its like.
    pub(crate) id: String,
    pub(crate) broker: BrokerChoice,
    pub(crate) gateway: Option<gateway::Options>,
    pub(crate) rooms: Option<room_service::Options>,
    pub(crate) metrics: Listen,
    pub(crate) logging: LoggingArgs,
    /// To be logged once logs exist.
    pub(crate) remarks: Vec<Remark>,
}

/// What carries and keeps the messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BrokerChoice {
    /// Inside this process, with its files in this folder.
    Embedded(PathBuf),
    Nats(NatsChoice),
}

/// What a person should know about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remark {
    Info(String),
    Warn(String),
}

impl Plan {
    /// `parlor serve`.
    pub(crate) fn serve(args: ServeArgs) -> Result<Self> {
        let id = args.replica.id();
        let mut remarks = remarks(&args.limits);
        let broker = match args.nats.choice() {
            Some(nats) => BrokerChoice::Nats(nats),
            None => BrokerChoice::Embedded(args.embedded.data_dir),
        };
        let gateway = Browsers {
            network: args.network,
            identity: args.identity,
            drain: args.drain,
            limits: args.limits.clone(),
        };
        let admin = args.admin.options(&mut remarks)?;
        let rooms = room_service(&args.nats, args.rooms, &args.limits, &id, admin);
        let alone = matches!(broker, BrokerChoice::Embedded(_));
        Ok(Self {
            service: "parlor",
            role: "serve",
            gateway: Some(gateway.options(args.nats.subjects().clone(), id.clone())),
            rooms: Some(room_service::Options { alone, ..rooms }),
            id,
            broker,
            metrics: args.metrics.metrics_listen,
            logging: args.logging,
            remarks,
        })
    }

    /// `parlor gateway`.
    pub(crate) fn gateway(args: GatewayArgs) -> Result<Self> {
        let id = args.replica.id();
        let remarks = remarks(&args.limits);
        let gateway = Browsers {
            network: args.network,
            identity: args.identity,
            drain: args.drain,
            limits: args.limits,
        };
        Ok(Self {
            service: "parlor-gateway",
            role: "gateway",
            broker: BrokerChoice::Nats(args.nats.required("gateway")?),
            gateway: Some(gateway.options(args.nats.subjects().clone(), id.clone())),
            rooms: None,
            id,
            metrics: args.metrics.metrics_listen,
            logging: args.logging,
            remarks,
        })
    }

    /// `parlor room-service`.
    pub(crate) fn room_service(args: RoomServiceArgs) -> Result<Self> {
        let id = args.replica.id();
        let mut remarks = remarks(&args.limits);
        let admin = args.admin.options(&mut remarks)?;
        let rooms = room_service(&args.nats, args.rooms, &args.limits, &id, admin);
        Ok(Self {
            service: "parlor-room-service",
            role: "room-service",
            broker: BrokerChoice::Nats(args.nats.required("room-service")?),
            gateway: None,
            rooms: Some(rooms),
            id,
            metrics: args.metrics.metrics_listen,
            logging: args.logging,
            remarks,
        })
    }
}

/// The options that concern browsers.
struct Browsers {
    network: NetworkArgs,
    identity: IdentityArgs,
    drain: DrainArgs,
    limits: LimitsArgs,
}

impl Browsers {
    fn options(self, subjects: proto::subject::Subjects, gateway_id: String) -> gateway::Options {
        gateway::Options {
            listen: self.network.listen,
            subjects,
            limits: self.limits.limits,
            allowed_origins: self.network.allowed_origins,
            trusted_proxies: self.network.trusted_proxies,
            time_zone: self.network.time_zone,
            guests: self.identity.guests(),
            drain: self.drain.options(self.network.listen),
            gateway_id,
        }
    }
}

fn room_service(
    nats: &NatsArgs,
    rooms: RoomsArgs,
    limits: &LimitsArgs,
    id: &str,
    admin: Option<room_service::AdminOptions>,
) -> room_service::Options {
    room_service::Options {
        subjects: nats.subjects().clone(),
        limits: limits.limits.clone(),
        replica_id: id.to_owned(),
        partitions: rooms.partitions,
        default_partitions: nats.default_partitions(),
        auto_create: rooms.auto_create(),
        alone: false,
        admin,
        memory_bytes: room_service::Options::MEMORY_BYTES,
        wall_clock: room_service::WallClock::default(),
    }
}

fn remarks(limits: &LimitsArgs) -> Vec<Remark> {
    let warning = "--limits off: sends, operations and new connections have no rate limit";
    let lifted = !limits.limits.rates;
    lifted
        .then(|| Remark::Warn(warning.to_owned()))
        .into_iter()
        .collect()
}
