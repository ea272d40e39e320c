//! `parlor-model list` names the variants; `parlor-model <variant> [size]` explores one; `parlor-model
//! mutants [size]` explores all that must break. A third argument `harm` goes on until a user would notice.

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use parlor_model::{
    explore::{Until, explore},
    properties::HARM,
    state::Counts,
    variants::{self, SIZES, Variant},
};

/// What is explored when the command line names no size.
const DEFAULT_SIZE: &str = "small";

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |i: usize| arguments.get(i).map(String::as_str);
    let what = argument(0).unwrap_or("list");
    let size = argument(1).unwrap_or(DEFAULT_SIZE);
    let Some(max) = variants::size(size) else {
        let sizes = SIZES.map(|(name, _)| name).join(" ");
        return usage(&format!("no such size: {size}; the sizes are: {sizes}"));
    };
    let until = match argument(2) {
        None => Until::AnyBreaks,
        Some("harm") => Until::OneOf(&HARM),
        Some(other) => return usage(&format!("no such word here: {other}; it may be: harm")),
    };
    let is_right = match what {
        "list" => list(max)?,
        "mutants" => mutants(max, until)?,
        name => match variants::named(name, max) {
            Some(variant) => report(&variant, until)?,
            None => return usage(&format!("no such variant: {name}; `list` names them")),
        },
    };
    Ok(if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn usage(problem: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "parlor-model: {problem}")?;
    Ok(ExitCode::from(2))
}

fn list(max: Counts) -> io::Result<bool> {
    for variant in variants::all(max) {
        let fate = if variant.must_hold {
            "must hold"
        } else {
            "must break"
        };
        writeln!(io::stdout(), "{} ({fate})", variant.name)?;
    }
    Ok(true)
}

/// Two owners that both checkpoint need little else to break; what does not break in `zombie` needs the
/// crashes and unclear outcomes of a larger size.
fn mutants(max: Counts, until: Until<'_>) -> io::Result<bool> {
    let zombie = variants::size("zombie").expect("a size of ours");
    let mut is_right = true;
    for mut variant in variants::all(zombie)
        .into_iter()
        .filter(|variant| !variant.must_hold)
    {
        let mut broke = report(&variant, until)?;
        if !broke && max != zombie {
            variant.protocol.max = max;
            broke = report(&variant, until)?;
        }
        is_right &= broke;
    }
    Ok(is_right)
}

fn report(variant: &Variant, until: Until<'_>) -> io::Result<bool> {
    let report = explore(variant, until);
    writeln!(io::stdout(), "{report}")?;
    Ok(report.is_as_it_must_be())
}
