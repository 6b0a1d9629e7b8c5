# Everything a developer or a first-time user runs. `make` alone lists the targets; the text after ## is
# their description. Needs Debian's make, git and python3-venv; all else goes into $(VENV).

# The distribution's Python where it is new enough: built with profile-guided optimisation, it answers a call
# in three quarters of the time of a plain build (45 against 57 µs).
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
            $$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; \
            done || echo python3)
VENV   ?= .venv
# Of rehearse-upgrade: the version before.
BASE   ?= HEAD
ARGS   ?=

# Tests run in this many processes: they wait more than they compute, so three keep two cores busy. A file
# stays in one process, so that what its tests share is made once.
JOBS   ?= 3

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST := timeout --signal=INT 1800 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
PROTOS := $(wildcard proto/headgate/v1/*.proto)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup up demo test lint bench bench-fleet bench-judging bench-routing simulate simulate-experiments proto lock docs clean \
        test-unit test-contract test-integration test-faults test-abuse rehearse-upgrade test-programs test-demo

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install the locked packages (again only if the lock changed)

# A venv without pip is what Debian leaves behind where python3-venv is missing.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; name one with: make PYTHON=/path/to/python3 …"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "python3 -m venv failed; on Debian: apt-get install -y make git python3-venv"; exit 1; }
	@echo "Installing the locked packages into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps -e .
	@touch $@

up: $(STAMP) ## Set everything up and start Headgate on this machine (Ctrl-C stops it; ARGS="-f FILE" adds a manifest)
	@exec $(BIN)/headgate up $(ARGS)

demo: $(STAMP) ## A tour that ends by itself: calls, a stream, a fallback, receipts, money
	@exec $(BIN)/python -m tests.demo.tour

test: $(STAMP) ## The whole suite, below 8 minutes on 2 cores (ARGS="-k word" narrows it)
	$(PYTEST) $(ARGS)

test-unit: $(STAMP) ## Tests of single modules, and of the repository itself
	$(PYTEST) tests/unit $(ARGS)

test-contract: $(STAMP) ## Tests of one program at its public door: HTTP, gRPC, provider wire formats
	$(PYTEST) tests/contract $(ARGS)

test-integration: $(STAMP) ## Tests of programs together, on real PostgreSQL, with the official SDK
	$(PYTEST) tests/integration $(ARGS)

test-faults: $(STAMP) ## kill -9 under load until three ledgers agree, at the full counts (long)
	HEADGATE_FAULTS=full timeout --signal=INT 10800 $(BIN)/python -m pytest tests/faults --timeout=1800 $(ARGS)

test-abuse: $(STAMP) ## Attacks on HTTP, gRPC and the database, at the full counts and with bounds in time (long)
	HEADGATE_ABUSE=full timeout --signal=INT 7200 $(BIN)/python -m pytest tests/abuse --timeout=1800 $(ARGS)

rehearse-upgrade: $(STAMP) ## An upgrade from BASE (a commit) under load, and half of it back; nothing may fail
	$(BIN)/python -m tests.faults.upgrade $(BASE)

test-programs: $(STAMP) ## Claude Code, Codex and the npm SDKs through the proxy (installs them by npm; not in `make test`)
	timeout --signal=INT 3600 $(BIN)/python -m pytest tests/programs --timeout=600 $(ARGS)

test-demo: $(STAMP) ## The tour of `make demo`, checked
	$(PYTEST) tests/demo $(ARGS)

lint: $(STAMP) ## ruff, formatting, mypy strict, import rules, and whether the stubs are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy admin_cli control_plane proxy proto/headgate tests
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit/repository/test_repo_proto.py

bench: $(STAMP) ## Measure against nginx, Envoy and LiteLLM (ARGS=--quick: 40 s; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.bench $(ARGS)

bench-routing: $(STAMP) ## Measure what routing promises (ARGS=--quick: shorter outages; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.routing $(ARGS)

bench-fleet: $(STAMP) ## Measure how a change reaches up to 1,000 proxies (ARGS=--quick: 100; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.fleet $(ARGS)

bench-judging: $(STAMP) ## Measure what judging costs calls (ARGS=--quick: four minutes; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.judging $(ARGS)

simulate: $(STAMP) ## Policies over a simulated day against oracles (ARGS=--quick: an hour; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.simulation $(ARGS)

simulate-experiments: $(STAMP) ## Experiments against a known truth (ARGS=--quick: a tenth; ARGS=--write: into docs)
	$(BIN)/python -m tests.perf.experiments $(ARGS)

proto: $(STAMP) ## Make the stubs beside proto/headgate/v1/*.proto again
	cd proto && ../$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS:proto/%=%)

# The lock files name packages and hashes, no registry: pip takes them from wherever it is configured to.
# setuptools and wheel ("unsafe") are in it, because the editable install builds without isolation.
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
          --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --annotation-style line
EXTRAS  = $(addprefix --extra ,proxy control-plane embedded cli dev)

lock: $(STAMP) ## Pin what pyproject.toml asks for (ARGS=--upgrade: newer versions; on Python 3.11)
	$(COMPILE) $(ARGS) $(EXTRAS) -o requirements.lock pyproject.toml
	$(COMPILE) $(ARGS) --extra proxy -c requirements.lock -o requirements-proxy.lock pyproject.toml

docs: $(STAMP) ## Write the help of all commands into docs/cli.md
	$(BIN)/python -m tests.unit.repository.cli_page

clean: ## Remove what was made here: .venv, caches, build folders
	rm -rf $(VENV) build dist headgate.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find admin_cli control_plane proxy proto tests -name __pycache__ -type d -prune -exec rm -rf {} +
