//! Writes throw-away certificates to `.run/pki`: the CA, the server, and the clients alice and bob. For running Envoy
//! with `envoy/boundgate.yaml` by hand.

use std::path::Path;

use boundgate_testbed::Pki;

fn main() -> std::io::Result<()> {
    let folder = Path::new(".run/pki");
    let pki = Pki::new();
    pki.client("alice");
    pki.client("bob");
    pki.write_to(folder)?;
    println!("wrote {}/{{ca,server,alice,bob}}.pem and the keys", folder.display());
    Ok(())
}
