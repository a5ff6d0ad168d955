//! Asks a rate-limit service, and reads its answer as short text.

use std::net::SocketAddr;

use boundgate_ratelimit::envoy_types::pb;
use pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use pb::envoy::service::ratelimit::v3::rate_limit_response::{Code, DescriptorStatus};
use pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use pb::google::protobuf::UInt64Value;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A client; it connects when first used, and again after a failure.
#[derive(Clone)]
pub struct Asking(RateLimitServiceClient<Channel>);

impl Asking {
    pub fn of(address: SocketAddr) -> Self {
        let endpoint = Endpoint::new(format!("http://{address}")).expect("an address makes a URL");
        Self(RateLimitServiceClient::new(endpoint.connect_lazy()))
    }

    pub async fn ask(&self, request: Ask) -> Result<RateLimitResponse, Status> {
        self.0.clone().should_rate_limit(request.0).await.map(tonic::Response::into_inner)
    }

    /// The answer in short: `OK` or `OVER`, with `rest N` where there is a limit; or the name of the gRPC code.
    pub async fn brief(&self, request: Ask) -> String {
        match self.ask(request).await {
            Err(status) => format!("{:?}", status.code()),
            Ok(response) => {
                let statuses = response.statuses.iter().map(|status| match status.current_limit {
                    Some(_) => format!(" rest {}", status.limit_remaining),
                    None => String::new(),
                });
                code(response.overall_code) + &statuses.collect::<String>()
            }
        }
    }
}

/// Codes of an answer's statuses, in order.
pub fn codes(response: &RateLimitResponse) -> Vec<String> {
    response.statuses.iter().map(|status: &DescriptorStatus| code(status.code)).collect()
}

pub fn code(code: i32) -> String {
    match Code::try_from(code) {
        Ok(Code::Unknown) => "code 0".into(),
        Ok(Code::Ok) => "OK".into(),
        Ok(Code::OverLimit) => "OVER".into(),
        Err(_) => format!("code {code}"),
    }
}

/// A request in the making.
#[derive(Clone, Default)]
pub struct Ask(RateLimitRequest);

impl Ask {
    pub fn domain(domain: &str) -> Self {
        Self(RateLimitRequest { domain: domain.into(), ..Default::default() })
    }

    /// With one descriptor more, of one entry.
    pub fn of(self, key: &str, value: &str) -> Self {
        self.entries(&[(key, value)])
    }

    /// With one descriptor more.
    pub fn entries(mut self, pairs: &[(&str, &str)]) -> Self {
        let entries = pairs.iter().map(|(key, value)| Entry { key: (*key).into(), value: (*value).into() }).collect();
        self.0.descriptors.push(RateLimitDescriptor { entries, ..Default::default() });
        self
    }

    /// `hits_addend` of the request.
    pub fn hits(mut self, hits: u32) -> Self {
        self.0.hits_addend = hits;
        self
    }

    /// `hits_addend` of the last descriptor.
    pub fn descriptor_hits(mut self, hits: u64) -> Self {
        self.0.descriptors.last_mut().expect("a descriptor").hits_addend = Some(UInt64Value { value: hits });
        self
    }

    /// A look: it counts nothing.
    pub fn look(self) -> Self {
        self.descriptor_hits(0)
    }
}
