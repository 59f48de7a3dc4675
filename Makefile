# Two commands do everything on a fresh Debian machine (Python 3.11, git, make), as root or as an ordinary user:
#   make base    set up, and build the base image from the real archive
#   make test    set up, and pass the tests
.DEFAULT_GOAL := help
.PHONY: help setup setup-test test-tools base test check unit integration bench clean
.SILENT:

PYTEST := .venv/bin/pytest
# Tests of one engine stay on one worker, so that each engine is started once. Three for two cores: one of them waits.
PARALLEL := -n 3 --dist loadgroup

help: ## say what can be made
	sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 22

setup: .venv/.formation .venv/.compiled ## make .venv with a working .venv/bin/formation

setup-test: .venv/.formation-dev .venv/.compiled test-tools

# The stamps are older than pyproject.toml when what is installed may not be what it asks for.
.venv/.formation: pyproject.toml scripts/setup-venv
	scripts/setup-venv
	touch $@

.venv/.formation-dev: pyproject.toml scripts/setup-venv
	scripts/setup-venv --dev
	touch .venv/.formation $@

# pip compiles what it installs, but not an editable checkout: without this each start of the command compiles it again
# where Python may not write its cache (PYTHONDONTWRITEBYTECODE), or another user runs it.
.venv/.compiled: $(shell find src -name '*.py') | .venv/.formation
	.venv/bin/python -m compileall -q src
	touch $@

test-tools:
	scripts/install-test-tools

base: setup ## build formation/base from the real Debian archive
	.venv/bin/formation build docker/base --relock-when-gone

test: setup-test ## everything: format, lint, types, unit and integration tests
	.venv/bin/ruff format --check --quiet
	.venv/bin/ruff check --quiet
	.venv/bin/mypy --no-error-summary
	HYPOTHESIS_PROFILE=full $(PYTEST) $(PARALLEL)

check: .venv/.formation-dev .venv/.compiled ## format, lint, types and all but the slowest unit tests, in a minute
	.venv/bin/ruff format --check --quiet
	.venv/bin/ruff check --quiet
	.venv/bin/mypy --no-error-summary
	$(PYTEST) --quiet -n 2 --dist worksteal -m "not slow" tests/unit

unit: .venv/.formation-dev .venv/.compiled ## unit tests
	$(PYTEST) --quiet $(PARALLEL) tests/unit

integration: setup-test ## tests with the real archive, dpkg, engines and a registry
	$(PYTEST) --quiet $(PARALLEL) tests/integration

bench: setup-test ## measure us and the peers in turn (root, about 20 minutes)
	.venv/bin/python benchmarks/run.py

clean: ## remove what make made in this directory
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
