//! The filter: Envoy's callbacks on one side, the core on the other. The only place that imports proxy_wasm; how a
//! token is judged is not known here.
//!
//! * [`root`]: configuration, the one place that sends calls and gets their answers, the tick;
//! * [`callbacks`]: those for one HTTP stream;
//! * [`plugin`]: what both share and what outlives a configuration: the engine, and the streams that wait;
//! * [`stream`]: what one stream has come to, and the verdict applied to it;
//! * [`engine`]: what judges and counts;
//! * [`host`]: the core's questions answered by host calls; [`abi`]: the host calls themselves.
//!
//! What has been learned about the proxy and must stay true here:
//! * only the root context sends calls: an answer to a call of a stream is lost when its client hangs up;
//! * headers are read as bytes, once, before anything is resumed;
//! * host calls are those of [`abi`]: the SDK's panic where the host says no;
//! * request headers change before the request is resumed: afterwards the proxy has let go of them;
//! * no borrow is held across a host call that may come back ([`abi::root::tick`]).

mod abi;
mod callbacks;
mod engine;
mod host;
mod metrics;
mod plugin;
mod root;
mod stream;

#[allow(missing_docs, reason = "the SDK's macro makes a public function without any")]
mod entry {
    proxy_wasm::main! {{
        super::abi::logger::start();
        proxy_wasm::set_root_context(|id| Box::new(super::root::Root::new(id)));
    }}
}
