//! The rate-limit service of the demo. It prints its address and serves until Ctrl-C or SIGTERM.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use boundgate_ratelimit::{Clock, Config, Limits, Mode, RateLimitServer, Redis};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// As envoyproxy/ratelimit: fixed windows in Redis.
    Fixed,
    /// As Limitador: in memory.
    #[cfg(feature = "limitador")]
    Limitador,
}

/// A rate-limit service that answers as envoyproxy/ratelimit or as Limitador would.
#[derive(Parser)]
struct Arguments {
    /// Which of them.
    #[arg(long, value_enum)]
    mode: Kind,
    /// Limits as in a file of envoyproxy/ratelimit; one file per domain.
    #[arg(long, required = true)]
    config: Vec<PathBuf>,
    /// Address to listen on; in a container 0.0.0.0.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8081)]
    port: u16,
    /// For `fixed`: redis://host:port or redis+unix:///path. Without it a Redis is started, and ends with this program.
    #[arg(long)]
    redis: Option<String>,
    /// Add RateLimit-* (fixed) or X-RateLimit-* (limitador) to answers.
    #[arg(long)]
    response_headers: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ratelimit: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut limits = Vec::new();
    for file in &arguments.config {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        limits.push(Limits::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    let mut own_redis = None;
    let mode = match (arguments.mode, arguments.redis) {
        #[cfg(feature = "limitador")]
        (Kind::Limitador, _) => Mode::Limitador,
        (Kind::Fixed, Some(redis_url)) => Mode::Fixed { redis_url },
        (Kind::Fixed, None) => Mode::Fixed { redis_url: own_redis.insert(Redis::start().await).url() },
    };
    let config = Config {
        mode,
        limits,
        listen: (arguments.host, arguments.port).into(),
        response_headers: arguments.response_headers,
        clock: Clock::default(),
    };
    let server = RateLimitServer::start(config).await?;
    println!("{}", server.address());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
