//! The calls of a worker: those to send and those under way. In: what is wanted, and which call ended. Out: the next
//! call, and what a call that ended was for. Not here: what its answer means.

use std::collections::{BTreeMap, VecDeque};

use crate::limit::fleet::{LeaseCallId, RateLimitCall};
use crate::worker::documents::DocumentId;
use crate::worker::introspections::QuestionId;
use crate::worker::{Fetch, HttpAnswer};

/// A call, by our number. The proxy's number is the filter's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// A request to a dependency that the root context is to send.
#[derive(Debug)]
pub struct Call {
    /// To be given back with its end.
    pub id: CallId,
    /// What to send.
    pub message: Message,
}

/// What to send.
#[derive(Debug)]
pub enum Message {
    /// Over HTTP.
    Fetch(Fetch),
    /// Over gRPC.
    RateLimitCall(RateLimitCall),
}

/// The answer to a call.
#[derive(Debug)]
pub enum Answered {
    /// Over HTTP.
    Http(HttpAnswer),
    /// Over gRPC, with status 0: the message.
    Grpc(Vec<u8>),
}

/// What a call is for.
#[derive(Clone, Debug)]
pub(super) enum For {
    /// A document.
    Document(DocumentId),
    /// What an issuer says of a token.
    Introspection(QuestionId),
    /// Permits of a service.
    Permits(LeaseCallId),
}

/// See the module.
#[derive(Default)]
pub(super) struct Calls {
    under_way: BTreeMap<CallId, For>,
    outbox: VecDeque<Call>,
    not_sent: Vec<CallId>,
    last: u64,
}

impl Calls {
    /// A call that goes out next.
    pub(super) fn send(&mut self, purpose: For, message: Message) {
        let call = self.call(purpose, message);
        self.outbox.push_back(call);
    }

    /// A call that goes out now.
    pub(super) fn call(&mut self, purpose: For, message: Message) -> Call {
        self.last = self.last.wrapping_add(1);
        let id = CallId(self.last);
        self.under_way.insert(id, purpose);
        Call { id, message }
    }

    pub(super) fn next(&mut self) -> Option<Call> {
        self.outbox.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The proxy would not send a call.
    pub(super) fn not_sent(&mut self, call: CallId) {
        self.not_sent.push(call);
    }

    pub(super) fn has_not_sent(&self) -> bool {
        !self.not_sent.is_empty()
    }

    pub(super) fn take_not_sent(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.not_sent)
    }

    /// The call ended. `None` if it is not waited for: it ended before.
    pub(super) fn end(&mut self, call: CallId) -> Option<For> {
        self.under_way.remove(&call)
    }

    pub(super) fn under_way(&self) -> impl Iterator<Item = (CallId, &For)> {
        self.under_way.iter().map(|(call, purpose)| (*call, purpose))
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }
}
