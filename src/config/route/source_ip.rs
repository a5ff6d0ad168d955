//! `source_ip` of a route: the claim that names whence a token may come. In: the claim, or a table with it. Out: [`SourceIp`], or findings.

use serde_json::json;

use crate::config::reading::finding::{Findings, Place};
use crate::config::reading::table::{Key, Mistake, Table, TextKey, Written, config_settings, described, unknown_word};
use crate::config::resource::caller::AddressClaim;
use crate::config::route::keys::{RouteTable, SourceIpTable};
use crate::json::Value;
use crate::policy::SourceIp;

config_settings! {
    /// How IPv6 addresses are compared.
    Ipv6Setting {
        /// As a whole.
        Exact = "exact",
        /// By the /64, which one household or host has: addresses in it change by themselves.
        Whole64 = "/64",
    }
    refused {}
}

/// The claim alone, or a table.
#[derive(Debug)]
pub(in crate::config) struct SourceIpRule(Option<Box<str>>, Ipv6Setting);

impl Key for SourceIpRule {
    fn read(value: &Value, at: &Place, findings: &mut Findings) -> Option<Self> {
        if let Value::Object(members) = value {
            let table = SourceIpTable::read_members(members, at, findings);
            return Some(Self(table.claim.map(|claim| claim.0), table.ipv6));
        }
        AddressClaim::read(value, at, findings).map(|claim| Self(Some(claim.0), Ipv6Setting::Exact))
    }

    fn schema() -> serde_json::Value {
        json!({ "oneOf": [AddressClaim::schema(), SourceIpTable::schema()] })
    }
}

pub(in crate::config) fn compile(table: &RouteTable) -> Option<SourceIp> {
    let SourceIpRule(claim, ipv6) = table.source_ip.as_ref()?;
    let path = table.at.key("source_ip").as_str().into();
    Some(SourceIp { claim: claim.clone()?, whole_64: *ipv6 == Ipv6Setting::Whole64, path })
}
