//! What carries and keeps the messages: the embedded broker, or NATS.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use proto::{PartitionCount, subject::Subjects};

/// How to reach NATS.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker")]
pub(crate) struct NatsArgs {
    /// NATS servers: nats://host:4222, several with commas
    #[arg(long, value_name = "URL", value_parser = nats_url)]
    nats: Option<String>,
    /// File with NATS credentials
    #[arg(long, value_name = "FILE")]
    nats_creds: Option<PathBuf>,
    /// Copies that NATS keeps of logs and rooms: 1 or 3
    #[arg(long, value_name = "N", default_value = "1", value_parser = replicas)]
    nats_replicas: u8,
    /// First token of all our subjects, so that installations may share a NATS
    #[arg(long, value_name = "NAME", default_value = "parlor", value_parser = Subjects::new)]
    nats_prefix: Subjects,
}

/// Where the embedded broker keeps its files.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Broker")]
pub(crate) struct EmbeddedArgs {
    /// Folder for everything that must outlive the process; not used with --nats
    #[arg(long, value_name = "FOLDER", default_value = "./parlor-data")]
    pub(crate) data_dir: PathBuf,
}

/// The NATS that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NatsChoice {
    pub(crate) url: String,
    pub(crate) creds: Option<PathBuf>,
    pub(crate) replicas: u8,
    pub(crate) subjects: Subjects,
}

impl NatsArgs {
    /// `None` when no NATS is named.
    pub(crate) fn choice(&self) -> Option<NatsChoice> {
        Some(NatsChoice {
            url: self.nats.clone()?,
            creds: self.nats_creds.clone(),
            replicas: self.nats_replicas,
            subjects: self.nats_prefix.clone(),
        })
    }

    /// The NATS that `verb` cannot do without.
    pub(crate) fn required(&self, verb: &str) -> Result<NatsChoice> {
        match self.choice() {
            Some(choice) => Ok(choice),
            None => bail!(
                "`parlor {verb}` needs --nats <URL>, such as --nats nats://127.0.0.1:4222; `parlor` \
                 alone runs everything in one process without NATS"
            ),
        }
    }

    /// Names on the bus.
    pub(crate) fn subjects(&self) -> &Subjects {
        &self.nats_prefix
    }

    /// Partitions of an installation made now.
    pub(crate) fn default_partitions(&self) -> PartitionCount {
        let replicated = self.nats.is_some() && self.nats_replicas == 3;
        if replicated {
            PartitionCount::DEFAULT_REPLICATED
        } else {
            PartitionCount::DEFAULT
        }
    }
}

fn nats_url(text: &str) -> Result<String, String> {
    let expected = "expected nats://host:port or tls://host:port, several separated by commas";
    for server in text.split(',') {
        let (scheme, address) = server.split_once("://").unwrap_or(("nats", server));
        let host = address.split(['/', ':']).next().unwrap_or_default();
        let bracketed = address.starts_with('[');
        let known = ["nats", "tls"].contains(&scheme);
        if !known || (host.is_empty() && !bracketed) || server.contains(char::is_whitespace) {
            return Err(expected.to_owned());
        }
    }
    Ok(text.to_owned())
}

fn replicas(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("expected 1 or 3".to_owned()),
    }
}
