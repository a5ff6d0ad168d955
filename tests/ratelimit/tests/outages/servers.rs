//! The servers that a proxy relies on, and what can be the matter with each. In: a server, a trouble. Out: it has it, or has it no more.

use boundgate_ratelimit::{Answer, Code};
use boundgate_testbed::{Fault, JwksAnswer};

use crate::world::World;

/// A server that may be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// That of keys.
    Keys,
    /// That which is asked about tokens.
    Asking,
    /// That of revocations.
    Documents,
    /// That of status lists.
    Lists,
    /// The rate-limit service.
    Limiter,
    /// The store behind it.
    Redis,
    /// The one that is protected.
    Upstream,
}

/// What is the matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Something between the proxy and it.
    Wire(Fault),
    /// It answers 500, or a failure of gRPC.
    Error,
    /// It answers a page for people, with 200.
    Page,
    /// It answers more than anybody wants, with 200.
    Huge,
    /// It answers half of what it should, with 200.
    Half,
    /// It answers something that says nothing.
    Nothing,
    /// The process is gone, and comes back empty.
    Killed,
    /// The process is stopped, and goes on.
    Stopped,
}

impl Server {
    /// All there are.
    pub const ALL: [Self; 7] =
        [Self::Keys, Self::Asking, Self::Documents, Self::Lists, Self::Limiter, Self::Redis, Self::Upstream];

    /// All that can be the matter with it.
    pub fn troubles(self) -> Vec<Trouble> {
        let wire = [
            Fault::Refuses,
            Fault::Silent,
            Fault::Forgotten,
            Fault::NoConnects,
            Fault::Garbage,
            Fault::Cuts,
            Fault::Drips,
        ];
        let wire = wire.into_iter().map(Trouble::Wire);
        let http = [Trouble::Error, Trouble::Page, Trouble::Huge, Trouble::Half, Trouble::Nothing];
        match self {
            Server::Keys | Server::Asking | Server::Documents | Server::Lists => wire.chain(http).collect(),
            Server::Limiter => wire.chain([Trouble::Error, Trouble::Half, Trouble::Nothing]).collect(),
            Server::Redis => vec![Trouble::Killed, Trouble::Stopped],
            // How long its silence lasts is Envoy's own time-out of the route.
            Server::Upstream => [Fault::Refuses, Fault::Garbage, Fault::Cuts].map(Trouble::Wire).into(),
        }
    }
}

impl World {
    /// The server has this trouble from now on.
    pub async fn troubles(&mut self, server: Server, trouble: &Trouble) {
        match trouble {
            Trouble::Wire(fault) => self.gate(server).fails(*fault),
            Trouble::Killed => self.redis.kill(),
            Trouble::Stopped => self.redis.pause(),
            _ if server == Server::Limiter => self.limiter.answer_with(match trouble {
                Trouble::Error => Answer::Failure(Code::ResourceExhausted),
                Trouble::Half => Answer::Bytes(vec![0xff; 40]),
                _ => Answer::OverallCode(0),
            }),
            _ => {
                let kind = "application/json";
                let answer = match (trouble, server) {
                    (Trouble::Error, _) => JwksAnswer::Status(500),
                    (Trouble::Page, _) => JwksAnswer::html(),
                    (Trouble::Huge, _) => JwksAnswer::huge(8 << 20),
                    (Trouble::Half, Server::Keys) => JwksAnswer::Bytes(kind, br#"{"keys":[{"kty":"EC""#.to_vec()),
                    (Trouble::Half, Server::Asking) => JwksAnswer::Bytes(kind, br#"{"active":true"#.to_vec()),
                    (Trouble::Half, Server::Lists) => {
                        JwksAnswer::Bytes(kind, b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIi".to_vec())
                    }
                    (Trouble::Half, _) => JwksAnswer::Bytes(kind, br#"{"jti":[]"#.to_vec()),
                    _ => JwksAnswer::Bytes(kind, b"null".to_vec()),
                };
                self.answers_with(server, answer);
            }
        }
    }

    /// It is well again.
    pub async fn recovers(&mut self, server: Server, trouble: &Trouble) {
        match trouble {
            Trouble::Wire(_) => self.gate(server).fails(Fault::None),
            Trouble::Killed => self.redis.restart().await,
            Trouble::Stopped => self.redis.resume(),
            _ if server == Server::Limiter => self.limiter.answer_with(Answer::Honest),
            _ => self.answers_with(server, JwksAnswer::Keys),
        }
    }

    fn answers_with(&self, server: Server, answer: JwksAnswer) {
        let authority = &self.bed.authority;
        match (server, answer) {
            (Server::Keys, answer) => authority.answer_jwks_with(answer),
            (Server::Asking, answer) => authority.answer_introspections_with(answer),
            (Server::Lists, answer) => authority.status_lists().answer_with(answer),
            (_, JwksAnswer::Keys) => self.publish(),
            (_, answer) => authority.answer_documents_with(answer),
        }
    }
}
