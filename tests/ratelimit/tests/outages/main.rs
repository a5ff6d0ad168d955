//! Every server in trouble of every kind, under load: documented answers alone, nobody is let in who must not be, nobody waits longer
//! than is promised, and service is back as soon as the server is.
//!
//! The short tests run with all others. `make conformance` takes each server through each trouble, which takes minutes.

mod answers;
mod load;
mod servers;
mod world;

use servers::Server::{Asking, Documents, Keys, Limiter, Lists, Redis, Upstream};
use servers::Trouble;
use world::{LONG, SHORT, World};

use boundgate_testbed::Fault;
use tokio::sync::Mutex;

/// One of each server's, and each of another kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_fail_in_turn_lead_to_documented_answers_alone_and_are_found_again() {
    let mut world = World::start().await;
    for (server, trouble) in [
        (Keys, Trouble::Wire(Fault::Refuses)),
        (Asking, Trouble::Wire(Fault::Silent)),
        (Documents, Trouble::Page),
        (Lists, Trouble::Wire(Fault::Drips)),
        (Limiter, Trouble::Wire(Fault::NoConnects)),
        (Redis, Trouble::Killed),
        (Upstream, Trouble::Wire(Fault::Cuts)),
    ] {
        world.goes_through(server, &trouble, SHORT).await;
    }
    world.ends().await;
}

static ALONE: Mutex<()> = Mutex::const_new(());

macro_rules! each_trouble {
    ($($name:ident: $server:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "takes a minute: `make conformance`"]
        async fn $name() {
            // Time-outs are short: on two cores one world at a time.
            let _alone = ALONE.lock().await;
            let mut world = World::start().await;
            for trouble in $server.troubles() {
                world.goes_through($server, &trouble, LONG).await;
            }
            world.ends().await;
        }
    )*};
}

each_trouble! {
    the_server_of_keys_in_every_trouble: Keys;
    the_server_that_is_asked_about_tokens_in_every_trouble: Asking;
    the_server_of_revocations_in_every_trouble: Documents;
    the_server_of_status_lists_in_every_trouble: Lists;
    the_rate_limit_service_in_every_trouble: Limiter;
    redis_in_every_trouble: Redis;
    the_upstream_in_every_trouble: Upstream;
}
