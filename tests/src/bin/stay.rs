//! `make run`, last part: starts everything, prints calls to paste, and stays up until Ctrl-C.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use boundgate_testbed::{PluginConfig, RESOURCE, Testbed};

#[tokio::main]
async fn main() -> io::Result<()> {
    let bed = Testbed::start(PluginConfig::shipped()).await;
    let folder = Path::new(".run");
    let (alice, _bob) = (bed.client("alice"), bed.client("bob"));
    bed.pki.write_to(&folder.join("pki"))?;
    let token = bed.token(&alice).scope("read:orders").lifetime(900).issue().await;
    bed.passes(&alice, "/orders/7", &token).await;
    fs::write(folder.join("token"), token)?;

    let connect = |host: &str, address: SocketAddr| format!("--connect-to {host}:443:{address}");
    let api = connect("api.example.com", bed.envoy.address("boundgate"));
    let server = connect("as.example.com", bed.authority.address());
    let as_client =
        |name: &str| format!("--cacert .run/pki/ca.pem --cert .run/pki/{name}.pem --key .run/pki/{name}.key");
    let (alice, bob) = (as_client("alice"), as_client("bob"));
    let bearer = "-H \"authorization: Bearer $(cat .run/token)\"";
    println!(
        "
Everything stays up until Ctrl-C. From the root of the repository, in another terminal:

# alice, with her token (good for 15 minutes)
curl -i {api} {alice} {bearer} {RESOURCE}/orders/7

# bob, with alice's token
curl -i {api} {bob} {bearer} {RESOURCE}/orders/7

# nobody, where nothing is needed
curl -i {api} --cacert .run/pki/ca.pem {RESOURCE}/healthz

# a new token for alice
curl -s {server} {alice} -d grant_type=client_credentials -d client_id=alice -d scope=read:orders \\
  -d resource={RESOURCE} https://as.example.com/token | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"], end=\"\")' > .run/token
"
    );
    tokio::signal::ctrl_c().await
}
