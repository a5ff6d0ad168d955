//! A rate-limit service for tests and demo: `envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit`, answered
//! as one of two real servers would.
//!
//! | | [`Mode::Fixed`]: envoyproxy/ratelimit | `Mode::Limitador` |
//! |---|---|---|
//! | counts in | Redis | memory |
//! | window | fixed, aligned to the unix clock | starts at the first counted hit |
//! | a refused ask | is counted in full | counts nothing |
//! | `statuses` | one per descriptor | none |
//! | empty domain | gRPC UNKNOWN | overall code UNKNOWN |
//! | store down | gRPC UNKNOWN, then silence until it is back | gRPC UNAVAILABLE |
//!
//! Limitador is a feature, because the crate of that name takes a while to compile.
//!
//! Start at [`RateLimitServer`]; [`Redis`] runs the store that `Fixed` needs. Both end when dropped. The knobs of a
//! running server make it answer late, wrongly or not at all.

mod clock;
mod fixed_windows;
mod grpc;
#[cfg(feature = "limitador")]
mod in_memory;
mod limits;
pub mod messages;
mod redis_process;
mod server;
mod service;
mod store;

pub use clock::Clock;
pub use grpc::Code;
pub use limits::{ConfigError, Limits, Unit};
pub use redis_process::Redis;
pub use server::{Config, Mode, RateLimitServer, StartError};
pub use service::{Answer, Asked, Descriptor};
