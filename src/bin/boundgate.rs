//! The companion on the command line. In: files. Out: what is wrong in them, in the words the filter would use when the
//! proxy loads them; or the JSON Schema; or a token to try them with. Not here: any rule about configurations
//! (`boundgate::config`).

#[path = "boundgate/signer.rs"]
mod signer;
#[path = "boundgate/token.rs"]
mod token;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use boundgate::config::documents::documents;
use boundgate::config::schema;
use boundgate::policy::ForwardRule;
use clap::{Parser, Subcommand};

use crate::token::{TokenOptions, token};

#[derive(Parser)]
#[command(
    name = "boundgate",
    version,
    about = "Checks configurations of the Boundgate filter before a proxy loads them, and makes tokens to try them with"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check configurations: bare ones, Istio WasmPlugins, Envoy bootstraps; YAML or JSON
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the JSON Schema of a configuration
    Schema,
    /// Print the headers that no caller gets past the filter, unless a configuration keeps them
    Headers,
    /// Make a token for trying a configuration by hand: never for production
    ///
    /// The token is signed with a new key, whose public half --jwks writes for the configuration's `keys`, or with --key.
    Token(Box<TokenOptions>),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Check { files } => check_all(&files, &mut io::stdout().lock(), &mut io::stderr().lock()),
        Command::Token(options) => token(&options, &mut io::stdout().lock(), &mut io::stderr().lock()),
        Command::Schema => writeln!(io::stdout(), "{:#}", schema()).map(|()| true),
        Command::Headers => headers(&mut io::stdout().lock()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // A closed pipe is the reader's decision.
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

/// The built-in lists of `forward`.
fn headers(out: &mut impl Write) -> io::Result<bool> {
    writeln!(out, "Removed from every request, in this spelling and with _ for -; names with … are beginnings:")?;
    for (what, names) in ForwardRule::never_passing() {
        writeln!(out, "{what}: {}", names.replace('`', ""))?;
    }
    Ok(true)
}

/// Whether all configurations of all files are good.
fn check_all(files: &[PathBuf], out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let mut good = true;
    for file in files {
        good &= check(file, out, err)?;
    }
    Ok(good)
}

fn check(file: &Path, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let file_name = file.display();
    let documents =
        match std::fs::read_to_string(file).map_err(|fault| fault.to_string()).and_then(|text| documents(&text)) {
            Ok(documents) => documents,
            Err(fault) => {
                writeln!(err, "{file_name}: {fault}")?;
                return Ok(false);
            }
        };
    let mut good = true;
    for document in documents {
        let place =
            document.place.as_ref().map_or_else(|| file_name.to_string(), |place| format!("{file_name}: {place}"));
        match document.policy() {
            Ok(policy) => {
                for warning in policy.warnings() {
                    writeln!(err, "{place}: warning: {warning}")?;
                }
                writeln!(out, "{place}: good. {}", policy.summary())?;
                for profile in policy.profiles() {
                    writeln!(out, "{place}: {profile}")?;
                }
            }
            Err(findings) => {
                good = false;
                let inside = document.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
                for finding in findings.iter() {
                    let position = document.position(finding).map_or_else(String::new, |at| format!(":{at}"));
                    writeln!(err, "{file_name}{position}: {inside}{finding}")?;
                }
            }
        }
    }
    Ok(good)
}
