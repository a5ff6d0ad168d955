# Boundgate. `make help` lists what can be made.

SHELL := /bin/sh
TARGET_DIR := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

# The choices of scripts/setup, in the shell of a recipe.
CHOSEN := . ./.run/setup.env && export ENVOY_PATH REDIS_PATH

.DEFAULT_GOAL := help
.PHONY: help setup build pki run test conformance lint bench bench-limits clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Find or fetch compiler target, Envoy and Redis
	@scripts/setup

build: setup ## Build the filter and its companion: dist/boundgate.wasm, dist/boundgate
	@scripts/build

pki: ## Make throw-away certificates: .run/pki (for envoy/boundgate.yaml)
	@cargo build --workspace --bin pki && $(TARGET_DIR)/debug/pki

run: setup ## Walk the tours, then stay up for calls; ONCE=1 ends after the tours
	@$(CHOSEN) && ONCE=$(ONCE) scripts/run

test: lint ## Everything a change must pass
	@scripts/build --all-features --tests
	@$(CHOSEN) && cargo test --workspace --all-features

conformance: build ## Keycloak (Java 17, Maven), oidc-provider and OpenSSL (Node), clients of five languages; each server in each trouble
	@$(CHOSEN) && cargo test --workspace --all-features --test interop
	@$(CHOSEN) && cargo test --workspace --all-features --test clients -- --ignored
	@$(CHOSEN) && cargo test --workspace --all-features --test outages -- --ignored --nocapture

lint: setup ## Formatting, clippy (native and wasm), licences and advisories
	@scripts/lint

bench: build ## Microseconds of CPU per request, against Envoy's own filters
	@$(CHOSEN) && cargo run --release -p boundgate-testbed --bin bench

bench-limits: build ## What limits cost and how exact they are, against Envoy's own filter
	@$(CHOSEN) && cargo run --release -p boundgate-ratelimit --all-features --bin bench_limits

clean: ## Remove what was built; fetched tools stay
	@cargo clean
	@rm -rf dist .run/pki .run/token
