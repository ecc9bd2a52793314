# The two commands are `make demo` and `make test`; `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-check build test test-rust test-e2e test-debian13 lint fmt bench

# demo and bench: the cargo profile to run. The tests always run the dev profile.
PROFILE ?= release
# demo: `test` pushes a test picture with sound, `none` waits for an encoder, anything else is a file to push in a loop.
SOURCE ?= test
# test-e2e: more arguments for pytest, such as `PYTEST_ARGS='-k layers -x'`.
PYTEST_ARGS ?=
# bench: names with commas between them (none: all), seconds of each window, how often everything is measured.
CASES ?=
SECONDS ?= 20
RUNS ?= 1
# bench: another ingress server to measure, which takes --config FILE with LiveKit's keys.
INGRESS_BIN ?=
# bench: more arguments, such as `BENCH_ARGS='--json bench.json --markdown bench.md'`.
BENCH_ARGS ?=

ENV := source tools/env.sh;
PYTHON := .cache/venv/bin/python

help:
	@echo 'make demo        a room with a live test picture in it, on this machine (SOURCE=file.mp4 | none)'
	@echo 'make demo-check  the demo once, headless: takes docs/demo.png and looks that nothing stays behind'
	@echo 'make test        all the tests'
	@echo 'make test-debian13  the tests of the worker and all end-to-end ones on GStreamer 1.26, whatever this machine has'
	@echo 'make lint        formatting and lints, no warning allowed'
	@echo 'make bench       what sessions cost, as one table: CPU, memory, delays, how many fit (20 minutes)'
	@echo '                 CASES=watched,nobody SECONDS=20 RUNS=1 PROFILE=release INGRESS_BIN=other/server'
	@echo "                 BENCH_ARGS='--json FILE --markdown FILE'; docs/performance.md says how to read it"
	@echo 'make setup       installs what is missing (the others call it)'

setup:
	@tools/setup.sh test

demo:
	@tools/setup.sh demo
	@$(ENV) exec $(PYTHON) tools/demo.py --profile $(PROFILE) --source '$(SOURCE)'

demo-check: setup
	@$(ENV) exec $(PYTHON) tools/demo_check.py --profile $(PROFILE) --screenshot docs/demo.png

build:
	cargo build --workspace --bins

test: test-rust test-e2e

test-rust: setup
	$(ENV) cargo test --workspace

test-e2e: setup build
	$(ENV) exec $(PYTHON) -m pytest tests/e2e $(PYTEST_ARGS)

# The same binaries with Debian 13's libraries. Root only; the first time it makes that system, of 1.2 GB.
DEBIAN_13 := $(CURDIR)/tools/debian13.sh

test-debian13: setup build
	$(DEBIAN_13) gst-inspect-1.0 --version
	$(ENV) cargo test -p sluicegate-worker --config 'target."cfg(all())".runner = "$(DEBIAN_13)"'
	$(ENV) SLUICEGATE_RUNNER="env SLUICEGATE_CACHE=$$SLUICEGATE_CACHE $(DEBIAN_13)" exec $(PYTHON) -m pytest tests/e2e $(PYTEST_ARGS)

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(PYTHON) -m ruff check tests tools
	$(PYTHON) -m ruff format --check tests tools

fmt: setup
	cargo fmt --all
	$(PYTHON) -m ruff format tests tools

bench: setup
	cargo build --profile $(if $(filter debug,$(PROFILE)),dev,$(PROFILE)) --workspace --bins
	cargo build --profile $(if $(filter debug,$(PROFILE)),dev,$(PROFILE)) -p sluicegate-worker --example dump
	cargo build --profile $(if $(filter debug,$(PROFILE)),dev,$(PROFILE)) -p sluicegate-livekit --example count
	cargo build --profile $(if $(filter debug,$(PROFILE)),dev,$(PROFILE)) -p sluicegate-rtc --example push_whip
	$(ENV) PYTHONPATH=$(CURDIR)/tests:$(CURDIR)/tests/e2e exec $(PYTHON) -m bench --profile $(PROFILE) \
	  --cases '$(CASES)' --seconds $(SECONDS) --runs $(RUNS) --ingress-bin '$(INGRESS_BIN)' $(BENCH_ARGS)
