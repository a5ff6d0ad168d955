//! What the contexts of one plugin in one VM share: the engine, and the streams that wait. It outlives a configuration: the
//! root context of the next one finds it by the plugin's name.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::filter::abi;
use crate::filter::engine::Engine;
use crate::filter::host::now;
use crate::filter::stream::Stream;
use crate::policy::{FilterId, Policy};
use crate::worker::{Batch, Call, ExchangeId};

thread_local! {
    static PLUGINS: RefCell<BTreeMap<Vec<u8>, Rc<Plugin>>> = const { RefCell::new(BTreeMap::new()) };
}

/// See the module.
pub struct Plugin {
    /// What judges and counts.
    pub engine: Engine,
    waiting: RefCell<BTreeMap<ExchangeId, Rc<RefCell<Stream>>>>,
    woken: Cell<bool>,
}

impl Plugin {
    /// The plugin of the effective root context, which goes over to `policy`.
    pub fn adopt(policy: &Rc<Policy>) -> Rc<Self> {
        let property = |name| abi::property::get(&[name]).unwrap_or_default();
        let mut name = property("plugin_name");
        name.push(0);
        name.extend(property("plugin_root_id"));
        PLUGINS.with(|plugins| {
            if let Some(plugin) = plugins.borrow().get(&name) {
                plugin.engine.adopt(policy);
                return plugin.clone();
            }
            let engine = Engine::new(FilterId::new(&name), policy);
            let plugin = Rc::new(Self { engine, waiting: RefCell::default(), woken: Cell::new(false) });
            plugins.borrow_mut().insert(name, plugin.clone());
            plugin
        })
    }

    /// Has the root context `root` send what is in the outbox, now: also what nobody waits for yet, such as permits that
    /// are asked for in advance. Its ticks come as often as they are needed from then on, also where `awaits_body`: the request at
    /// hand began to wait for its body. From a stream's callback only, with nothing borrowed.
    pub fn wake(&self, root: u32, awaits_body: bool) {
        if !awaits_body && !self.engine.worker.borrow().has_calls() {
            return;
        }
        self.woken.set(true);
        abi::root::tick(root);
        self.woken.set(false);
    }

    /// Whether the tick under way only is a wake-up from a stream, in whose callback no other stream may be touched.
    pub fn is_woken(&self) -> bool {
        self.woken.get()
    }

    /// The next call to send.
    pub fn next_call(&self) -> Option<Call> {
        self.engine.worker.borrow_mut().next_call(now())
    }

    /// Keeps a stream until its exchange is named, or its body has come.
    pub fn wait(&self, exchange: ExchangeId, stream: &Rc<RefCell<Stream>>) {
        self.waiting.borrow_mut().insert(exchange, stream.clone());
    }

    /// The stream `exchange` is gone.
    pub fn abandon(&self, exchange: ExchangeId) {
        self.waiting.borrow_mut().remove(&exchange);
    }

    /// Polls a batch of the exchanges that the worker names. From a root's callback `root` only.
    pub fn resume(&self, root: u32) {
        let mut batch = Batch::begin(now().mono);
        loop {
            let Some(exchange) = self.engine.worker.borrow_mut().next_woken(&mut batch, now()) else { break };
            let Some(stream) = self.waiting.borrow_mut().remove(&exchange) else { continue };
            // Fails for a stream that the proxy has already destroyed.
            if abi::root::set_effective_context(exchange.0).is_err() {
                continue;
            }
            if stream.borrow_mut().proceed(&self.engine, now()) {
                self.wait(exchange, &stream);
            }
        }
        // Calls sent from here on belong to the root again. It is running, so this cannot fail.
        let _ = abi::root::set_effective_context(root);
    }

    /// Answers refused requests whose bodies have come, or do not. From a root's callback `root` only.
    pub fn answer(&self, root: u32) {
        let now = now();
        loop {
            let Some(exchange) = self.engine.worker.borrow_mut().bodies().next(now.mono) else { break };
            let stream = self.waiting.borrow_mut().remove(&exchange);
            // Fails for a stream that the proxy has already destroyed.
            let live = abi::root::set_effective_context(exchange.0).is_ok();
            match stream.filter(|_| live) {
                Some(stream) if stream.borrow_mut().answer(&self.engine, now) => {}
                Some(stream) => self.wait(exchange, &stream),
                None => self.engine.worker.borrow_mut().bodies().leave(exchange),
            }
        }
        let _ = abi::root::set_effective_context(root);
    }
}
