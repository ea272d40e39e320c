//! gRPC for operators: rooms, messages, health and reflection, behind one token.

mod auth;
mod errors;
mod messages;
mod owners;
mod page_token;
mod rooms;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use broker::Broker;
use proto::admin::v1::{
    message_service_server::MessageServiceServer, room_service_server::RoomServiceServer,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::interceptor::InterceptedService,
    transport::server::{Server as Grpc, TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::service::{Error, Shared};

/// How long open calls and watches may go on after shutdown; out of the 5 s that a supervisor gives
/// beyond the drain deadline.
const GRACE: Duration = Duration::from_secs(1);
/// Whose health is told: the whole server's, under the empty name, and the services'.
const HEALTH_NAMES: [&str; 3] = [
    "",
    "parlor.admin.v1.RoomService",
    "parlor.admin.v1.MessageService",
];

/// How operators reach the room service.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The token that calls must carry (`authorization: Bearer …`); `None` lets everybody in.
    pub token: Option<String>,
}

/// A gRPC server that has its listener.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<String>,
}

impl Server {
    pub(crate) async fn bind(options: AdminOptions) -> Result<Self, Error> {
        let failed = |error| Error::Listen {
            address: options.listen,
            error,
        };
        let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            token: options.token,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then lets open calls end.
    pub(crate) async fn run<B: Broker>(
        self,
        shared: Arc<Shared<B>>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Admin(error.to_string());
        let auth = auth::Auth::new(self.token);
        let rooms = RoomServiceServer::new(rooms::Rooms::new(Arc::clone(&shared)));
        let messages = MessageServiceServer::new(messages::Messages::new(Arc::clone(&shared)));
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let v1 = reflection().build_v1().map_err(|error| failed(&error))?;
        let v1alpha = reflection()
            .build_v1alpha()
            .map_err(|error| failed(&error))?;
        let (reporter, health) = tonic_health::server::health_reporter();
        // A new reporter says that the whole serves; nobody may hear that before it is true.
        tell(&reporter, ServingStatus::NotServing).await;
        let tell_health = tokio::spawn(tell_health(shared, reporter, shutdown.clone()));
        let incoming = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let serve = Grpc::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .add_service(health)
            .add_service(InterceptedService::new(v1, auth.clone()))
            .add_service(InterceptedService::new(v1alpha, auth.clone()))
            .add_service(InterceptedService::new(rooms, auth.clone()))
            .add_service(InterceptedService::new(messages, auth))
            .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
        let out_of_grace = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let served = tokio::select! {
            served = serve => served.map_err(|error| failed(&error)),
            () = out_of_grace => Ok(()),
        };
        tell_health.abort();
        served
    }
}

async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        reporter.set_service_status(name, status).await;
    }
}

/// Keeps the health service true to readiness; not serving was told already.
async fn tell_health<B: Broker>(
    shared: Arc<Shared<B>>,
    reporter: HealthReporter,
    shutdown: CancellationToken,
) {
    let mut unready = shared.watch_unready();
    let mut told = ServingStatus::NotServing;
    loop {
        let serving = unready.borrow_and_update().is_none() && !shutdown.is_cancelled();
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        // Whoever watches hears changes, not that the reason is another one now.
        if status != told {
            tell(&reporter, status).await;
            told = status;
        }
        tokio::select! {
            () = shutdown.cancelled(), if serving => {}
            changed = unready.changed() => if changed.is_err() { return },
        }
    }
}
