# The everyday commands. `make help` lists them; `.ci/run` is the whole proof.
.DEFAULT_GOAL := help
.PHONY: help check format clippy engine test tools docs image chart

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

check: format clippy engine ## Format, lints and the engine's tests: what to run before every commit

format: ## Check the formatting
	cargo fmt --all --check

clippy: ## Run the lints
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings

engine: ## Test the engine alone
	cargo test --locked --quiet -p sidewatch-engine

test: tools ## Run every Rust test, with the real Prometheus, Alertmanager and Chromium
	prefix=$$(scripts/tools | tail -n 1) && PATH="$$prefix:$$PATH" SIDEWATCH_REQUIRE_TOOLS=1 \
	  SIDEWATCH_PYTHON="$${prefix%/bin}/venv/bin/python" cargo test --locked --workspace --no-fail-fast

tools: ## Install the programs that the tests talk to
	scripts/tools

docs: ## Write docs/reference and build the API documentation
	SIDEWATCH_BLESS=1 cargo test --locked --test it -- reference
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

image: ## Build and check the container image
	scripts/image target/oci

chart: ## Check the Helm chart; scripts/chart --write updates what is derived
	scripts/chart
