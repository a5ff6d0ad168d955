//! A worker and answers by hand (`world`): the ten rules for leases (`rules`), how a lease is kept (`keeping`), and a
//! service that fails (`failures`).

mod failures;
mod keeping;
mod rules;
mod world;
