# make run     builds and serves from ./kith-data
# make test    every test: the Swift suites on SQLite and on a PostgreSQL of their own, then the conformance suite against the built server
# make lint    formatting, and the rules that the source is held to
# make bench   the figures of docs/performance.md, measured on this machine
# make soak    the long fuzz and property runs, and several processes on one database for a minute each
#
# Each installs what it needs where it is missing (Debian packages, Python packages into .venv).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

DATA ?= ./kith-data
VENV := .venv
PYTHON := $(VENV)/bin/python
SWIFT_FLAGS ?= --explicit-target-dependency-import-check error
# Which build of the server the conformance suite drives: debug costs no second build.
CONFORMANCE_BUILD ?= debug
CONFORMANCE_FLAGS ?=
# What is told again on PostgreSQL: all that depends on how data is kept.
CONFORMANCE_POSTGRESQL := $(addprefix Tests/Conformance/test_,durability.py concurrency.py firehose.py real_client.py \
	independent_judge.py import.py blobs.py)
SOAK_INPUTS ?= 1000000

.PHONY: help
help:
	@sed -n 's/^# //p' Makefile | sed -n 1,5p

.PHONY: needs
needs:
	@scripts/install-needs build

.PHONY: run
run: needs
	swift build $(SWIFT_FLAGS) -c release --product kith
	exec .build/release/kith serve --data $(DATA)

# The stamp lies in the environment itself, so that removing the one removes the other.
$(VENV)/.installed: Tests/Conformance/requirements.txt
	@scripts/install-needs test
	python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.PHONY: build
build: needs
	swift build $(SWIFT_FLAGS) --build-tests

.PHONY: test
test: build $(VENV)/.installed
	scripts/with-s3 swift test $(SWIFT_FLAGS) --skip-build
	KITH_TEST_ENGINE=postgresql scripts/with-postgresql swift test $(SWIFT_FLAGS) --skip-build \
		--filter '^StorageTests' --skip 'Blob|Bucket|S3|XML'
	KITH_TEST_ENGINE=postgresql KITH_TEST_POSTGRESQL_FSYNC=off scripts/with-postgresql swift test $(SWIFT_FLAGS) --skip-build \
		--filter '^(Identity|Publishing)Tests'
	KITH_TEST_ENGINE=postgresql KITH_TEST_POSTGRESQL_FSYNC=off scripts/with-postgresql swift test $(SWIFT_FLAGS) --skip-build \
		--filter '^(Community|Hosting|App)Tests'
	$(MAKE) --no-print-directory conformance conformance-postgresql

.PHONY: conformance
conformance: $(VENV)/.installed
	@if [[ $(CONFORMANCE_BUILD) == release ]]; then swift build $(SWIFT_FLAGS) -c release --product kith; fi
	KITH_BINARY=.build/$(CONFORMANCE_BUILD)/kith $(PYTHON) -m pytest $(CONFORMANCE_FLAGS) Tests/Conformance

# All of the suite: make conformance-postgresql CONFORMANCE_POSTGRESQL=Tests/Conformance
.PHONY: conformance-postgresql
conformance-postgresql: $(VENV)/.installed
	KITH_TEST_ENGINE=postgresql KITH_TEST_POSTGRESQL_FSYNC=off KITH_CONFORMANCE_KILLS=$${KITH_CONFORMANCE_KILLS:-15} \
		KITH_BINARY=.build/$(CONFORMANCE_BUILD)/kith scripts/with-postgresql \
		$(PYTHON) -m pytest $(CONFORMANCE_FLAGS) $(CONFORMANCE_POSTGRESQL)

.PHONY: lint
lint: needs $(VENV)/.installed
	swift format lint --strict --parallel -r Sources Tests Package.swift
	scripts/embed-lexicons --check
	scripts/document-lexicons --check
	$(VENV)/bin/ruff check --quiet --config Tests/Conformance/ruff.toml Tests/Conformance scripts/bench scripts/load scripts/embed-lexicons scripts/document-lexicons
	$(VENV)/bin/ruff format --quiet --check --config Tests/Conformance/ruff.toml Tests/Conformance scripts/bench scripts/load scripts/embed-lexicons scripts/document-lexicons

.PHONY: bench
bench: $(VENV)/.installed
	@scripts/install-needs bench
	swift build $(SWIFT_FLAGS) -c release --product kith
	$(PYTHON) scripts/bench --binary .build/release/kith

.PHONY: soak
soak: build $(VENV)/.installed
	KITH_FUZZ_INPUTS=$(SOAK_INPUTS) scripts/with-postgresql swift test $(SWIFT_FLAGS) --filter '[Ff]uzz|Propert|SortedMap'
	KITH_CONFORMANCE_PROCESSES_SECONDS=60 KITH_CONFORMANCE_PROCESSES_RUNS=5 KITH_BINARY=.build/$(CONFORMANCE_BUILD)/kith \
		$(PYTHON) -m pytest -s -k killed_at_random Tests/Conformance/test_processes.py
