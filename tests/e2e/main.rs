//! The filter in real Envoy over real mTLS. A file for each subject; every refusal also asserts that the upstream
//! received nothing.

mod admission;
mod algorithms;
mod at_once;
mod attacks;
mod bad_input;
mod budgets;
mod configuration;
mod connections;
mod discovery;
mod expectations;
mod fapi;
mod grpc;
mod hops;
mod hosts;
mod identities;
mod interlock;
mod issuers;
mod keys;
mod limit_fields;
mod limits;
mod module;
mod objects;
mod observability;
mod operations;
mod paths;
mod peers;
mod post_quantum;
mod refused_bodies;
mod responses;
mod rollout;
mod server_names;
mod shipped;
mod smoke;
mod upstream;
mod withheld;
