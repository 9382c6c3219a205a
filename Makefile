# Every target works in a fresh clone: what a machine lacks is installed by dev/install, servers come from dev/stack.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help check fmt clippy docs unit test it matrix fuzz soak bench demo up down compose-check pgadmin superset

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt clippy docs unit ## format, lints, documentation and the tests that need no servers

fmt: ## the format, checked (cargo fmt mends it)
	cargo fmt --check

clippy: ## the lints, every warning an error
	cargo clippy --locked --all-targets --all-features -- -D warnings

docs: ## the documentation of the code, private items too, every warning an error
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

unit: ## the tests of the library alone
	cargo test --locked --lib $(FILTER)

test: ## all tests, on servers of their own
	dev/test

it: ## the integration tests only: make it FILTER=verify
	dev/test --test it $(FILTER)

matrix: ## the tests of the direct way on Postgres 14, 16, 17 and 18
	dev/matrix

fuzz: ## bytes that nobody sent, for all that decodes, for FUZZ_SECONDS (300)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),300) cargo test --locked --all-features --test fuzz -- --nocapture

soak: ## random values of every type by every way, and random work beside kills, for SOAK_SECONDS (600) each
	PIPECTL_VALUES_SEED=0 PIPECTL_VALUES_SECONDS=$(or $(SOAK_SECONDS),600) dev/test --test it values::every
	PIPECTL_MODEL_SEED=0 PIPECTL_MODEL_SECONDS=$(or $(SOAK_SECONDS),600) dev/test --test it model::whatever

compose-check: ## docker-compose.yml and the Dockerfiles, without a Docker engine
	dev/compose-check

pgadmin: ## the real pgAdmin, the shop's tables opened through it in a browser
	dev/pgadmin

superset: ## the real Superset on a shop of its own, its dashboard looked at in a browser and held against ClickHouse
	dev/superset

bench: ## the measurements, against other ways to do the same; KAFKA=1 for the way through Kafka
	dev/install $(if $(KAFKA),--kafka)
	bench/$(if $(KAFKA),kafka,run)

demo: ## the whole pipeline once, proved, with nothing left running; KAFKA=1: through Debezium and Kafka
	@dev/demo

up: ## the servers for your own trials, KAFKA=1 for Kafka too; then: eval "$(dev/stack env)"
	dev/install $(if $(KAFKA),--kafka)
	dev/stack up $(if $(KAFKA),--kafka)

down: ## stop these servers, keeping their data
	dev/stack down
