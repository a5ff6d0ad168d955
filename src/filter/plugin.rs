//! What the contexts of one plugin in one VM share: the worker, the waiting streams, the metrics. It outlives a
//! configuration: the root context of the next one finds it by the plugin's name.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::filter::abi;
use crate::filter::host::{Envoy, now};
use crate::filter::metrics::Metrics;
use crate::filter::stream::Stream;
use crate::policy::{FilterId, Policy};
use crate::worker::{Batch, Call, ExchangeId, Gauge, Worker};

thread_local! {
    static PLUGINS: RefCell<BTreeMap<Vec<u8>, Rc<Plugin>>> = const { RefCell::new(BTreeMap::new()) };
}

/// See the module.
pub struct Plugin {
    /// The core's worker. Never borrowed across a call into another context.
    pub worker: RefCell<Worker>,
    /// Counters.
    pub metrics: Metrics,
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
                plugin.worker.borrow_mut().adopt(policy);
                plugin.metrics.adopt(policy);
                Metrics::tell_version();
                return plugin.clone();
            }
            let plugin = Rc::new(Self {
                worker: RefCell::new(Worker::new(FilterId::new(&name), policy, &Envoy)),
                metrics: Metrics::define(),
                waiting: RefCell::default(),
                woken: Cell::new(false),
            });
            plugin.metrics.adopt(policy);
            Metrics::tell_version();
            log::info!("signatures the proxy verifies natively: {}", plugin.worker.borrow().native());
            plugins.borrow_mut().insert(name, plugin.clone());
            plugin
        })
    }

    /// Has the root context `root` send what is in the outbox, now: also what nobody waits for yet, such as permits that
    /// are asked for in advance. Its ticks come as often as they are needed from then on, also where `awaits_body`: the request at
    /// hand began to wait for its body. From a stream's callback only, with nothing borrowed.
    pub fn wake(&self, root: u32, awaits_body: bool) {
        if !awaits_body && !self.worker.borrow().has_calls() {
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
        self.worker.borrow_mut().next_call(now())
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
            let Some(exchange) = self.worker.borrow_mut().next_woken(&mut batch, now()) else { break };
            let Some(stream) = self.waiting.borrow_mut().remove(&exchange) else { continue };
            // Fails for a stream that the proxy has already destroyed.
            if abi::root::set_effective_context(exchange.0).is_err() {
                continue;
            }
            if stream.borrow_mut().proceed(self, now()) {
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
            let Some(exchange) = self.worker.borrow().next_body(now.mono) else { break };
            let stream = self.waiting.borrow_mut().remove(&exchange);
            // Fails for a stream that the proxy has already destroyed.
            let live = abi::root::set_effective_context(exchange.0).is_ok();
            match stream.filter(|_| live) {
                Some(stream) if stream.borrow_mut().answer(self, now) => {}
                Some(stream) => self.wait(exchange, &stream),
                None => self.worker.borrow_mut().leave_body(exchange),
            }
        }
        let _ = abi::root::set_effective_context(root);
    }

    /// Hands what was counted to Envoy.
    pub fn publish(&self) {
        let mut worker = self.worker.borrow_mut();
        self.metrics.publish(&worker.take_tally());
        for gauge in Gauge::ALL {
            self.metrics.level(*gauge, worker.level(*gauge));
        }
    }
}
