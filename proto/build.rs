//! Compiles the `.proto` files with protox, so that no `protoc` is needed on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "parlor/admin/v1/message_service.proto",
        "parlor/admin/v1/room_service.proto",
        "parlor/log/v1/log.proto",
        "parlor/bus/v1/bus.proto",
    ];
    println!("cargo:rerun-if-changed=parlor");
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".parlor.bus.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
