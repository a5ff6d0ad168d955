//! The proxy's callbacks for one HTTP stream. In: what came. Out: whether it may go on. Not here: what is done with it (`stream`).

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::filter::abi::headers::Map;
use crate::filter::plugin::Plugin;
use crate::filter::stream::{Stream, refuse_unjudged};
use crate::policy::Policy;
use crate::worker::ExchangeId;

/// A stream as the SDK sees it.
pub struct HttpStream {
    id: ExchangeId,
    root: u32,
    setup: Option<(Rc<Plugin>, Rc<Policy>)>,
    stream: Option<Rc<RefCell<Stream>>>,
}

impl HttpStream {
    /// A stream of the root context `root`; without `setup` everything is refused.
    pub fn new(id: u32, root: u32, setup: Option<(Rc<Plugin>, Rc<Policy>)>) -> Self {
        Self { id: ExchangeId(id), root, setup, stream: None }
    }

    /// The stream once its head was judged, and what judges.
    fn judged(&self) -> Option<(&Rc<RefCell<Stream>>, &Plugin)> {
        Some((self.stream.as_ref()?, &self.setup.as_ref()?.0))
    }
}

impl Context for HttpStream {}

impl HttpContext for HttpStream {
    fn on_http_request_headers(&mut self, _: usize, ends: bool) -> Action {
        let Some((plugin, policy)) = &self.setup else { return refuse_unjudged() };
        let stream = Stream::begin(self.id, policy, !ends, &plugin.engine);
        let (waits, awaits_body, action) = (stream.waits(), stream.awaits_its_body(), stream.action());
        let stream = Rc::new(RefCell::new(stream));
        if waits {
            plugin.wait(self.id, &stream);
        }
        self.stream = Some(stream);
        plugin.wake(self.root, awaits_body);
        action
    }

    /// A paused head holds the body as well, unless the operator told the proxy otherwise. Nothing passes before the head was
    /// judged.
    fn on_http_request_body(&mut self, size: usize, _: bool) -> Action {
        self.judged().map_or(Action::Pause, |(stream, plugin)| stream.borrow_mut().request_body(size, &plugin.engine))
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.stream.as_ref().map_or(Action::Pause, |stream| stream.borrow_mut().request_trailers())
    }

    fn on_http_response_headers(&mut self, fields: usize, ends: bool) -> Action {
        if let Some((stream, plugin)) = self.judged() {
            stream.borrow_mut().response_head(fields, ends, &plugin.engine);
        }
        Action::Continue
    }

    /// A call may end without trailers. One that breaks off before its end is counted as it ends (`on_log`).
    fn on_http_response_body(&mut self, _: usize, ends: bool) -> Action {
        if let (true, Some((stream, plugin))) = (ends, self.judged()) {
            stream.borrow_mut().response_ends(None, &plugin.engine);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        if let Some((stream, plugin)) = self.judged() {
            stream.borrow_mut().response_ends(Some(Map::ResponseTrailers), &plugin.engine);
        }
        Action::Continue
    }

    /// Comes once for every stream, however it ended.
    fn on_log(&mut self) {
        let Some((plugin, _)) = &self.setup else { return };
        plugin.abandon(self.id);
        if let Some(stream) = self.stream.take() {
            stream.borrow_mut().end(&plugin.engine);
        }
    }
}
