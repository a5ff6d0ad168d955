//! The companion on the command line. In: files. Out: what is wrong in them, in the words the filter would use when the
//! proxy loads them; or what they open, or make of a request; or the JSON Schema; or a token to try them with. Not here: any rule about configurations
//! (`boundgate::config`).

#[path = "boundgate/asked.rs"]
mod asked;
#[path = "boundgate/certificate.rs"]
mod certificate;
#[path = "boundgate/checks.rs"]
mod checks;
#[path = "boundgate/explain.rs"]
mod explain;
#[path = "boundgate/facts.rs"]
mod facts;
#[path = "boundgate/proxy.rs"]
mod proxy;
#[path = "boundgate/routes.rs"]
mod routes;
#[path = "boundgate/rules.rs"]
mod rules;
#[path = "boundgate/signer.rs"]
mod signer;
#[path = "boundgate/token.rs"]
mod token;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use boundgate::config::files::documents::{Document, documents};
use boundgate::config::{Finding, Position, schema};
use boundgate::policy::{ForwardRule, Policy};
use clap::{Parser, Subcommand};

use crate::explain::{ExplainOptions, NOT_ASKED, explain};
use crate::routes::{RoutesOptions, routes};
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
    /// Check configurations: bare ones, Istio WasmPlugins, Envoy bootstraps, ConfigMaps that have one of these; YAML or JSON
    Check {
        /// The files; `-` for what comes by standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print every route with what it demands, as it was compiled: what is open
    Routes(RoutesOptions),
    /// Print what becomes of one request: each check in its order, what it saw, and where its rule is written
    ///
    /// The filter's own code decides. Exit status: 0 it goes upstream, 1 it is refused, 2 it could not be asked.
    Explain(Box<ExplainOptions>),
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
        Command::Routes(options) => routes(&options, &mut io::stdout().lock(), &mut io::stderr().lock()),
        Command::Explain(options) => {
            let done = explain(&options, &mut io::stdout().lock(), &mut io::stderr().lock());
            return done.unwrap_or(ExitCode::from(NOT_ASKED));
        }
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
    let (file_name, text) = named_text(file);
    match text {
        Ok(text) => check_text(&file_name, &text, out, err),
        Err(fault) => {
            writeln!(err, "{file_name}: {fault}")?;
            Ok(false)
        }
    }
}

/// What a file is called, and what is in it.
fn named_text(file: &Path) -> (String, io::Result<String>) {
    match file == Path::new("-") {
        true => ("stdin".to_owned(), from_stdin()),
        false => (file.display().to_string(), std::fs::read_to_string(file)),
    }
}

/// One of a file, and what it means.
type Configuration = (Document, Rc<Policy>);

/// The configurations of a file, each with its policy. `None`, and what is wrong is told, if one of them is not good.
fn configurations(file: &Path, err: &mut impl Write) -> io::Result<Option<Vec<Configuration>>> {
    let (file_name, text) = named_text(file);
    let text = match text {
        Ok(text) => text,
        Err(fault) => {
            writeln!(err, "{file_name}: {fault}")?;
            return Ok(None);
        }
    };
    // What is wrong is told as `check` tells it.
    let mut told = Vec::new();
    if !check_text(&file_name, &text, &mut io::sink(), &mut told)? {
        err.write_all(&told)?;
        return Ok(None);
    }
    let documents = documents(&text).map(|file| file.documents).unwrap_or_default();
    let judged = documents.into_iter().filter_map(|document| Some((document.policy().ok()?, document)));
    Ok(Some(judged.map(|(policy, document)| (document, Rc::new(policy))).collect()))
}

fn from_stdin() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

fn check_text(file_name: &str, text: &str, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let file = match documents(text) {
        Ok(file) => file,
        Err(Finding { finding, remedy, position, .. }) => {
            writeln!(err, "{file_name}{}: {finding}. {remedy}", behind(position))?;
            return Ok(false);
        }
    };
    let mut good = true;
    for document in file.documents {
        let place =
            document.place.as_ref().map_or_else(|| file_name.to_owned(), |place| format!("{file_name}: {place}"));
        match document.policy() {
            Ok(policy) => {
                for warning in policy.warnings().into_iter().chain(document.warnings(&policy)) {
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
                    writeln!(err, "{file_name}{}: {inside}{finding}", behind(finding.position))?;
                }
            }
        }
    }
    for other in file.passed_over {
        writeln!(err, "{file_name}: {other}")?;
    }
    if file.is_envoys {
        writeln!(out, "{file_name}: {NOT_JUDGED}")?;
    }
    Ok(good)
}

/// What is said of each file with a filter of Envoy in it.
const NOT_JUDGED: &str = "only the configuration of the filter was judged. Not judged: whether an interlock stands behind it and asks \
                          for the right mark, whether the clusters it names exist and which of them check the TLS certificate of their \
                          server, and the rest of Envoy";

fn behind(position: Option<Position>) -> String {
    position.map_or_else(String::new, |position| format!(":{position}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is good, what goes to standard output, what to standard error.
    fn checked(text: &str) -> (bool, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let good = check_text("f.yaml", text, &mut out, &mut err).unwrap();
        (good, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_file_of_envoy_is_told_what_was_not_judged_and_a_document_alone_is_not() {
        let document = "resources: [{ hosts: [a], routes: [{ path: /, access: public }] }]";
        let (good, out, err) = checked(document);
        assert!(good && err.is_empty() && !out.contains("Not judged"), "{out} {err}");
        let filter = |name: &str, value: &str| {
            format!(
                "- \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm\n  config:\n    name: {name}\n    \
                 configuration: {{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: \"{value}\" }}\n"
            )
        };
        let (good, out, err) = checked(&[filter("gate", document), filter("stamp", "x")].concat());
        assert!(good && out.contains("filter gate: good") && out.contains("Not judged: whether an interlock"), "{out}");
        assert!(err.starts_with("f.yaml: filter stamp was not judged: "), "{err}");
    }

    #[test]
    fn a_text_that_is_no_yaml_is_told_with_line_column_and_remedy() {
        let (good, _, err) = checked("resources:\n- { path: /orders/{id} }\n");
        let expected = "f.yaml:2:19: no YAML that could be read: a comma or a closing bracket was to come. \
                        Put paths with braces in quotation marks, like \"/orders/{id}\".\n";
        assert_eq!((good, err.as_str()), (false, expected));
    }
}
