# What a newcomer types. Every target does its own set-up, outside this folder and without root.

.DEFAULT_GOAL := help
.PHONY: help setup demo test eval lint queries accept-schema deny coverage measure measure-recorder bench bench-smoke instruction-counts chaos test-more

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch Postgres with pgvector and the model of search into a cache folder, and bundle GraphiQL, once
	@scripts/setup
	@scripts/console

# `exec` puts the demo in the place of the shell, so that Ctrl-C reaches it and it stops Postgres before it goes.
demo: setup ## build, fill a throw-away store with a believable history and serve it on 127.0.0.1:8080
	@SQLX_OFFLINE=true exec cargo run --bin binnacle -- demo

# The check of the queries runs clippy over everything, so `lint` need not run as well.
test: setup ## all checks that CI runs: format, clippy, queries against the migrations, tests
	cargo fmt --check
	scripts/queries
	cargo clippy --lib --no-default-features --features client -- -D warnings
	SQLX_OFFLINE=true cargo test
	scripts/graphql-checks
	scripts/rest-checks

eval: setup ## measure how good search is, and renew the figures of docs/search-quality.md; takes some minutes
	SQLX_OFFLINE=true cargo bench --profile dev --bench search_quality -- --write

lint: ## format and clippy only, without a database
	cargo fmt --check
	SQLX_OFFLINE=true cargo clippy --all-targets -- -D warnings

queries: setup ## check the queries and renew .sqlx, after a change of SQL
	scripts/queries --write

accept-schema: ## promise clients what schema.graphql says now; CONTRIBUTING.md says when that is right
	cp schema.graphql schema.promised.graphql

deny: ## check licences, sources and bans of the dependencies; installs cargo-deny first, which takes minutes
	@command -v cargo-deny >/dev/null || { echo "installing cargo-deny, once; this takes some minutes"; cargo install --locked cargo-deny; }
	cargo deny check bans licenses sources

coverage: setup ## print which share of the lines of `src` the tests run; builds everything anew for it, and takes a quarter of an hour
	@scripts/coverage

measure: setup ## measure appends while a backlog of texts is embedded; builds a release binary first
	SQLX_OFFLINE=true cargo build --release
	scripts/measure-backlog target/release/binnacle

bench: setup ## measure Binnacle beside plain SQL, and renew docs/benchmarks.md; builds a release first, wants a machine that rests
	SQLX_OFFLINE=true cargo build --release --bin binnacle
	target/release/binnacle bench --write docs/benchmarks.md

bench-smoke: setup ## measure a part of it for a minute or two; fails where a ratio fell by more than half
	SQLX_OFFLINE=true cargo build --release --bin binnacle
	target/release/binnacle bench singles --rounds 3 --seconds 1 --against docs/benchmarks.json

instruction-counts: ## count the instructions of appends and of a timeline; fails where one grew by a tenth; builds a release first
	scripts/instruction-counts

chaos: setup ## break what Binnacle stands on while a million audits are written, and renew docs/faults.md; takes half an hour
	SQLX_OFFLINE=true cargo test --test chaos -- --all --jobs 2 --write

measure-recorder: ## measure what it costs a writer to have an audit kept, by a Recorder and by a relay; builds a release first
	SQLX_OFFLINE=true cargo bench --bench recorder

test-more: test deny bench-smoke instruction-counts ## what is slow or needs more than cargo and python: licences, ratios, instructions, the pages in a browser, REST at length, generated clients
	scripts/browser-test
	scripts/rest-checks --long
	scripts/client-checks
