//! Asks a rate-limit service, and reads its answer as short text.

use std::net::SocketAddr;

use boundgate_ratelimit::messages::{
    Code, DescriptorStatus, Entry, RateLimitDescriptor, RateLimitRequest, RateLimitResponse, UInt64Value,
};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const METHOD: PathAndQuery = PathAndQuery::from_static("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");

/// A client; it connects when first used, and again after a failure. Its gRPC is not the server's.
#[derive(Clone)]
pub struct Asking(Grpc<Channel>);

impl Asking {
    pub fn of(address: SocketAddr) -> Self {
        let endpoint = Endpoint::new(format!("http://{address}")).expect("an address makes a URL");
        Self(Grpc::new(endpoint.connect_lazy()))
    }

    pub async fn ask(&self, request: Ask) -> Result<RateLimitResponse, Status> {
        let mut client = self.0.clone();
        client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
        let codec = ProstCodec::<RateLimitRequest, RateLimitResponse>::default();
        client.unary(Request::new(request.0), METHOD, codec).await.map(Response::into_inner)
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
