//! How operators reach the room service, and that nobody else does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, builder::BoolishValueParser};
use room_service::AdminOptions;

use super::{Remark, values::Listen};

/// Fewer characters than this could be guessed.
const MIN_TOKEN: usize = 16;
/// How the secrets of `deploy/`'s example begin, which everybody can read.
const PLACEHOLDER: &str = "changeMe";

/// gRPC for operators.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Operators")]
pub(crate) struct AdminArgs {
    /// Address of gRPC for operators, or `off`
    #[arg(long, value_name = "ADDRESS|off", default_value = "127.0.0.1:9090")]
    admin_listen: Listen,
    /// File with the token that operators must show; needed off loopback
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Let everybody administer who reaches --admin-listen
    #[arg(long, value_parser = BoolishValueParser::new())]
    admin_insecure: bool,
}

impl AdminArgs {
    /// Where to listen and which token to want. Refuses an address that others reach without one.
    pub(crate) fn options(&self, remarks: &mut Vec<Remark>) -> Result<Option<AdminOptions>> {
        let Some(listen) = self.admin_listen.address() else {
            return Ok(None);
        };
        let token = self.admin_token_file.as_deref();
        let token = token
            .map(|file| read_token("--admin-token-file", file))
            .transpose()?;
        if token.is_none() {
            if listen.ip().is_loopback() {
                remarks.push(Remark::Info(
                    "no --admin-token-file: whoever is on this machine may administer".to_owned(),
                ));
            } else if self.admin_insecure {
                remarks.push(Remark::Warn(format!(
                    "--admin-insecure: whoever reaches {listen} may administer"
                )));
            } else {
                bail!(
                    "--admin-listen {listen} can be reached from other machines and has no \
                     --admin-token-file: name a file with a token of at least {MIN_TOKEN} \
                     characters, listen on 127.0.0.1, or accept the risk with --admin-insecure"
                );
            }
        }
        Ok(Some(AdminOptions { listen, token }))
    }
}

/// Reads a token; the value of `flag` is `file`.
pub(crate) fn read_token(flag: &str, file: &Path) -> Result<String> {
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| {
        format!("{flag} {shown} cannot be read; expected a file with one line, the token")
    })?;
    let token = text.trim();
    ensure!(
        !token.starts_with(PLACEHOLDER),
        "{flag} {shown} still holds the example's token: make one of your own with \
         deploy/make-secrets or `openssl rand -hex 32`"
    );
    let long_enough = token.len() >= MIN_TOKEN;
    ensure!(
        long_enough && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{flag} {shown}: expected one line of at least {MIN_TOKEN} visible ASCII characters, such as \
         `openssl rand -hex 32` makes"
    );
    Ok(token.to_owned())
}
