//! Parlor's contracts: what its processes, clients and operators say to each other, and nothing that
//! acts. gRPC (`admin`), records of the log (`log`), bus messages (`bus`), names and subjects, limits,
//! error codes, and the frames of the browser protocol.

pub mod code;
pub mod frame;
pub mod limits;
pub mod nick;
pub mod partition;
pub mod room_id;
pub mod subject;
pub mod text;
pub mod time;

pub use code::Code;
pub use limits::Limits;
pub use partition::{PartitionCount, PartitionId};
pub use room_id::RoomId;

/// gRPC services for operators, generated from `parlor/admin/v1`.
pub mod admin {
    /// Version 1.
    #[expect(
        missing_docs,
        clippy::all,
        clippy::allow_attributes,
        reason = "generated; the .proto file has the docs"
    )]
    pub mod v1 {
        tonic::include_proto!("parlor.admin.v1");
    }
}

/// Messages on the bus, generated from `parlor/bus/v1`.
pub mod bus {
    /// Version 1.
    #[expect(missing_docs, reason = "generated; the .proto file has the docs")]
    pub mod v1 {
        tonic::include_proto!("parlor.bus.v1");
    }
}

/// Records of the log, generated from `parlor/log/v1`.
pub mod log {
    /// Version 1.
    #[expect(missing_docs, reason = "generated; the .proto file has the docs")]
    pub mod v1 {
        tonic::include_proto!("parlor.log.v1");

        /// The newest [`CommitFrame::format`] that this build folds.
        pub const COMMIT_FORMAT: u32 = 3;
        /// The newest [`Installation::format`] that this build reads.
        pub const INSTALLATION_FORMAT: u32 = 1;
        /// The newest `format` of the other values of the store that this build reads.
        pub const VALUE_FORMAT: u32 = 1;
    }
}

/// The descriptors of all `.proto` files (`google.protobuf.FileDescriptorSet`, encoded), for gRPC
/// reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
