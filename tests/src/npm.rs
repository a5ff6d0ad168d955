//! Packages of npm's registry. In: a name and a version. Out: the folder it is in, where it is fetched to once; or what this
//! machine lacks for that.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::envoy_config::root;

/// The folder below `.run/tools` that holds `package` in its `node_modules`; fetched if it is not there yet.
pub(crate) fn installed(package: &str, version: &str) -> Result<PathBuf, String> {
    let folder = root().join(format!(".run/tools/{package}-{version}"));
    if folder.join("complete").is_file() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // Tests side by side want the same: one fetches it. The lock ends with the file's handle.
    let turn = File::create(folder.join("turn")).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if folder.join("complete").is_file() {
        return Ok(folder);
    }
    let install = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    let mut npm = Command::new("npm");
    npm.args(install).arg("--prefix").arg(&folder).arg(format!("{package}@{version}"));
    match npm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(_) => return Err(format!("npm could not fetch {package} {version}")),
        Err(error) => return Err(format!("npm: {error}")),
    }
    fs::write(folder.join("complete"), version).map_err(|error| error.to_string())?;
    Ok(folder)
}

/// The major version of the `node` on the path.
pub(crate) fn node_version() -> Result<u32, String> {
    let node = Command::new("node").arg("--version").output().map_err(|error| format!("node: {error}"))?;
    let version = String::from_utf8_lossy(&node.stdout);
    let major = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    major.parse().map_err(|_| format!("node: no version: {version}"))
}
