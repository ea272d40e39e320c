//! Who browsers may be.

use clap::{Args, ValueEnum};

use super::values::Switch;

/// Who browsers may be.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Browsers")]
pub(crate) struct IdentityArgs {
    /// How browsers say who they are
    #[arg(
        long,
        value_name = "guest",
        default_value = "guest",
        hide_possible_values = true
    )]
    auth: Auth,
    /// Whether guests may come in
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        hide_possible_values = true
    )]
    guests: Switch,
}

/// The ways that exist. Tokens of an identity provider come in a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// A token that Parlor signs.
    Guest,
}

impl IdentityArgs {
    pub(crate) fn guests(self) -> bool {
        self.auth == Auth::Guest && self.guests.is_on()
    }
}
