# Boundgate. `make help` lists what can be made.

SHELL := /bin/sh
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
MODULE := dist/boundgate.wasm

# The choices of scripts/setup, in the shell of a recipe.
CHOSEN := . ./.run/setup.env && export ENVOY_PATH REDIS_PATH
WASM := env $$WASM_ENV $${WASM_RUSTFLAGS:+RUSTFLAGS="$$WASM_RUSTFLAGS"} CARGO_TARGET_DIR=$(TARGET_DIR)$$WASM_SUBFOLDER \
	cargo build --release --target wasm32-wasip1 --lib $$WASM_FLAGS

.DEFAULT_GOAL := help
.PHONY: help setup build pki run test conformance lint bench bench-limits clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Find or fetch compiler target, Envoy and Redis
	@scripts/setup

build: setup ## Build the filter: dist/boundgate.wasm
	@$(CHOSEN) && $(WASM)
	@mkdir -p dist
	@. ./.run/setup.env && cmp -s $(TARGET_DIR)$$WASM_SUBFOLDER/wasm32-wasip1/release/boundgate.wasm $(MODULE) || \
		cp $(TARGET_DIR)$$WASM_SUBFOLDER/wasm32-wasip1/release/boundgate.wasm $(MODULE)

pki: ## Make throw-away certificates: .run/pki (for envoy/boundgate.yaml)
	@cargo run -p boundgate-testbed --bin pki

run: build ## Walk the tours, then stay up for calls; ONCE=1 ends after the tours
	@$(CHOSEN) && ONCE=$(ONCE) scripts/run

test: lint build ## Everything a change must pass
	@$(CHOSEN) && cargo test --features cli
	@$(CHOSEN) && cargo test -p boundgate-testbed -p boundgate-ratelimit

conformance: build ## Only the servers that are not ours: Keycloak (Java 17, Maven), oidc-provider and OpenSSL (Node)
	@$(CHOSEN) && cargo test -p boundgate-testbed --test interop

lint: setup ## Formatting, clippy (native and wasm), licences and advisories
	@scripts/lint

bench: build ## Microseconds of CPU per request, against Envoy's own filters
	@$(CHOSEN) && cargo run --release -p boundgate-testbed --bin bench

bench-limits: build ## What limits cost and how exact they are, against Envoy's own filter
	@$(CHOSEN) && cargo run --release -p boundgate-ratelimit --bin bench_limits

clean: ## Remove what was built; fetched tools stay
	@cargo clean
	@rm -rf dist .run/pki .run/token
