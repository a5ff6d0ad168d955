//! What the server answers, over real gRPC and real Redis.

mod asking;
mod failures;
mod fixed;
mod limitador;
