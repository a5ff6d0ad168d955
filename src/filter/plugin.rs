//! What the contexts of one plugin in one VM share: the worker, the waiting streams, the metrics. It outlives a
//! configuration: the root context of the next one finds it by the plugin's name.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::filter::abi;
use crate::filter::host::{Envoy, now};
use crate::filter::metrics::Metrics;
use crate::filter::stream::Stream;
use crate::policy::Policy;
use crate::worker::{Call, ExchangeId, Worker};

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
    unsent: RefCell<Vec<Call>>,
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
                plugin.worker.borrow_mut().adopt(policy, &Envoy);
                return plugin.clone();
            }
            let plugin = Rc::new(Self {
                worker: RefCell::new(Worker::new(policy, &Envoy)),
                metrics: Metrics::define(),
                waiting: RefCell::default(),
                unsent: RefCell::default(),
                woken: Cell::new(false),
            });
            log::info!("signatures the proxy verifies natively: {}", plugin.worker.borrow().native());
            plugins.borrow_mut().insert(name, plugin.clone());
            plugin
        })
    }

    /// Has the root context `root` send what is in the outbox, now: also what nobody waits for yet, such as permits that
    /// are asked for in advance. From a stream's callback only, with nothing borrowed.
    pub fn wake(&self, root: u32) {
        if !self.worker.borrow().has_calls() {
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

    /// A call that the proxy would not send; its waiters are told at the next tick.
    pub fn not_sent(&self, call: Call) {
        self.unsent.borrow_mut().push(call);
    }

    /// Calls that were not sent since the last time.
    pub fn take_unsent(&self) -> Vec<Call> {
        std::mem::take(&mut self.unsent.borrow_mut())
    }

    /// Keeps a paused stream until its exchange is named.
    pub fn wait(&self, exchange: ExchangeId, stream: &Rc<RefCell<Stream>>) {
        self.waiting.borrow_mut().insert(exchange, stream.clone());
    }

    /// The stream `exchange` is gone.
    pub fn abandon(&self, exchange: ExchangeId) {
        if self.waiting.borrow_mut().remove(&exchange).is_some() {
            self.worker.borrow_mut().abandon(exchange);
        }
    }

    /// Polls the exchanges that the worker named. From a root's callback `root` only.
    pub fn resume(&self, exchanges: Vec<ExchangeId>, root: u32) {
        for exchange in exchanges {
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

    /// Hands what was counted to Envoy.
    pub fn publish(&self) {
        let tally = self.worker.borrow_mut().take_tally();
        self.metrics.publish(&tally);
    }
}
