//! One cell of the matrix: `client CLIENT CASE` does what the case says with this client, the way its users would, and prints one
//! line of JSON: what each request got, and what a library read in the challenges.

use std::env::var;
use std::error::Error;
use std::time::Duration;

use bytes::{Buf, BufMut};
use serde_json::{Map, Value, json};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};

const PATIENCE: Duration = Duration::from_secs(20);
const SMALL: usize = 3_000;
const LARGE: usize = 20_000_000;

fn of(name: &str) -> String {
    var(name).unwrap()
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/{name}", of("PKI"))).unwrap()
}

fn with(token: Option<&str>, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut fields = vec![("x-cell", of("CELL"))];
    fields.extend(token.map(|token| ("authorization", format!("Bearer {}", of(token)))));
    fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    fields
}

/// As http-auth reads it, which neither of these clients does.
fn read(field: &str) -> Value {
    let challenges = http_auth::parse_challenges(field).unwrap();
    let mut named = Map::from_iter([("scheme".to_owned(), json!(challenges[0].scheme))]);
    named.extend(challenges[0].params.iter().map(|(name, value)| ((*name).to_owned(), json!(value.to_unescaped()))));
    Value::Object(named)
}

/// With all its causes.
fn words(error: &dyn Error) -> String {
    let cause = error.source().map(words);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

struct Http(reqwest::Client);

impl Http {
    fn new(http1: bool, keeps: bool) -> Self {
        let identity = reqwest::Identity::from_pem(&[pem("alice.key"), pem("alice.pem")].concat()).unwrap();
        let root = reqwest::Certificate::from_pem(&pem("ca.pem")).unwrap();
        let client = reqwest::Client::builder().use_rustls_tls().identity(identity).add_root_certificate(root);
        let client = client.timeout(PATIENCE).pool_max_idle_per_host(if keeps { usize::MAX } else { 0 });
        Self(if http1 { client.http1_only() } else { client }.build().unwrap())
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&'static str, String)],
        body: usize,
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.0.request(method.parse().unwrap(), format!("{}{path}", of("URL")));
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, value));
        if body == 0 { request } else { request.body(vec![b'x'; body]) }.send().await
    }

    async fn status(&self, method: &str, path: &str, fields: &[(&'static str, String)], body: usize) -> Value {
        let answer = async {
            let answer = self.send(method, path, fields, body).await?;
            let status = answer.status().as_u16();
            answer.bytes().await.map(|_| status)
        };
        answer.await.map_or_else(|error| json!(words(&error)), |status| json!(status))
    }

    /// It has no library of its own that waits as long as it is told.
    async fn patient(&self) -> Value {
        for _ in 0..3 {
            let answer = self.send("GET", "/limited", &with(Some("TOKEN"), &[]), 0).await.unwrap();
            if answer.status() != 429 {
                return json!(answer.status().as_u16());
            }
            let wait = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
        json!(429)
    }

    async fn cell(&self, case: &str) -> Value {
        let mut answers = Vec::new();
        let (anonymous, alice) = (with(None, &[]), with(Some("TOKEN"), &[]));
        match case {
            "honest" => answers.push(self.status("GET", "/orders/7", &alice, 0).await),
            "resumed" => {
                for _ in 0..3 {
                    answers.push(self.status("GET", "/mesh", &anonymous, 0).await);
                }
            }
            "small" | "large" => {
                let (times, bytes) = if case == "small" { (20, SMALL) } else { (2, LARGE) };
                for _ in 0..times {
                    answers.push(self.status("POST", "/orders", &anonymous, bytes).await);
                }
            }
            "kept" => {
                for _ in 0..3 {
                    answers.push(self.status("POST", "/orders", &anonymous, SMALL).await);
                }
                answers.push(self.status("GET", "/orders/7", &alice, 0).await);
            }
            "retry" => answers.extend([self.patient().await, self.patient().await]),
            "challenge" => {
                let mut challenges = Vec::new();
                for token in [None, Some("WEAK_TOKEN")] {
                    let answer = self.send("GET", "/orders/7", &with(token, &[]), 0).await.unwrap();
                    answers.push(json!(answer.status().as_u16()));
                    challenges.push(read(answer.headers()["www-authenticate"].to_str().unwrap()));
                }
                return json!({ "answers": answers, "challenges": challenges });
            }
            "stream" => {
                answers.push(self.status("GET", "/events", &anonymous, 0).await);
                let streamed = with(Some("TOKEN"), &[("x-upstream-events", "3")]);
                let mut answer = self.send("GET", "/events", &streamed, 0).await.unwrap();
                answers.push(json!(answer.status().as_u16()));
                let mut text = String::new();
                while !text.ends_with("data: 3\n\n") {
                    text += std::str::from_utf8(&answer.chunk().await.unwrap().unwrap()).unwrap();
                }
                return json!({ "answers": answers, "events": text.split_terminator("\n\n").collect::<Vec<_>>() });
            }
            _ => panic!("{case}"),
        }
        json!({ "answers": answers })
    }
}

/// Messages as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

struct Grpc(Channel);

impl Grpc {
    fn dial() -> Self {
        let identity = Identity::from_pem(pem("alice.pem"), pem("alice.key"));
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem("ca.pem"))).identity(identity);
        Self(Endpoint::from_shared(of("URL")).unwrap().tls_config(tls).unwrap().timeout(PATIENCE).connect_lazy())
    }

    fn request(fields: &[(&'static str, String)], bytes: usize) -> Request<Vec<u8>> {
        let mut request = Request::new(vec![b'x'; bytes]);
        for (name, value) in fields {
            request.metadata_mut().insert(AsciiMetadataKey::from_static(name), value.parse().unwrap());
        }
        request
    }

    async fn unary(&self, method: &str, fields: &[(&'static str, String)], bytes: usize) -> Result<(), Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unknown(words(&error)))?;
        let path = format!("/orders.Orders/{method}").parse().unwrap();
        client.unary(Self::request(fields, bytes), path, Raw).await.map(|_| ())
    }

    async fn code(&self, method: &str, fields: &[(&'static str, String)], bytes: usize) -> Value {
        code(self.unary(method, fields, bytes).await)
    }

    /// It knows no service configuration: by hand.
    async fn patient(&self, fields: &[(&'static str, String)]) -> Value {
        let mut last = Ok(());
        for _ in 0..3 {
            last = self.unary("Limited", fields, 0).await;
            let Err(status) = &last else { break };
            let wait = |metadata: &MetadataMap| metadata.get("grpc-retry-pushback-ms")?.to_str().ok()?.parse().ok();
            let Some(wait) = wait(status.metadata()) else { break };
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        code(last)
    }

    async fn first(&self, fields: &[(&'static str, String)]) -> Result<Vec<u8>, Status> {
        let mut client = tonic::client::Grpc::new(self.0.clone());
        client.ready().await.map_err(|error| Status::unknown(words(&error)))?;
        let path = "/orders.Orders/Get".parse().unwrap();
        let mut messages = client.server_streaming(Self::request(fields, 0), path, Raw).await?.into_inner();
        messages.message().await.map(Option::unwrap_or_default)
    }

    async fn cell(&self, case: &str) -> Value {
        let mut answers = Vec::new();
        let trailers = [("x-upstream-grpc-trailers", "0")];
        let (anonymous, alice) = (with(None, &[]), with(Some("TOKEN"), &trailers));
        match case {
            "honest" => answers.push(self.code("Get", &alice, 0).await),
            "resumed" => {
                for _ in 0..3 {
                    answers.push(Self::dial().code("Peer", &with(None, &trailers), 0).await);
                }
            }
            "small" | "large" => {
                let (times, bytes) = if case == "small" { (20, SMALL) } else { (2, LARGE) };
                for _ in 0..times {
                    answers.push(self.code("Get", &anonymous, bytes).await);
                }
            }
            "kept" => {
                for _ in 0..3 {
                    answers.push(self.code("Get", &anonymous, SMALL).await);
                }
                answers.push(self.code("Get", &alice, 0).await);
            }
            "retry" => answers.extend([self.patient(&alice).await, self.patient(&alice).await]),
            "challenge" => {
                let mut challenges = Vec::new();
                for token in [None, Some("WEAK_TOKEN")] {
                    let refused = self.unary("Get", &with(token, &[]), 0).await;
                    let field = refused.as_ref().unwrap_err().metadata().get("www-authenticate").unwrap().clone();
                    challenges.push(read(field.to_str().unwrap()));
                    answers.push(code(refused));
                }
                return json!({ "answers": answers, "challenges": challenges });
            }
            "stream" => {
                answers.push(code(self.first(&anonymous).await));
                let message = self.first(&with(Some("TOKEN"), &[("x-upstream-grpc-trailers", "never")])).await;
                let events: Vec<_> = message.iter().map(|message| String::from_utf8_lossy(message)).collect();
                let events = json!(events);
                answers.push(code(message));
                return json!({ "answers": answers, "events": events });
            }
            _ => panic!("{case}"),
        }
        json!({ "answers": answers })
    }
}

fn code<T>(result: Result<T, Status>) -> Value {
    match result {
        Ok(_) => json!(0),
        Err(status) => match status.code() {
            Code::Unavailable | Code::Internal | Code::Unknown | Code::DeadlineExceeded => json!(status.to_string()),
            code => json!(code as i32),
        },
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, client, case] = &arguments[..] else { panic!("client CLIENT CASE") };
    let keeps = case != "resumed";
    let cell = match client.as_str() {
        "reqwest" => Http::new(false, keeps).cell(case).await,
        "reqwest HTTP/1.1" => Http::new(true, keeps).cell(case).await,
        "tonic" => Grpc::dial().cell(case).await,
        _ => panic!("{client}"),
    };
    println!("{cell}");
}
