# Perdure: `make` alone explains itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
JOBS ?= 2

.PHONY: help demo test check model soak bench docs lock build clean

help: ## Show what can be made
	@echo "Perdure, long-term memory for agents"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(STAMP) model ## Install, prepare the local model, and watch it remember
	@$(BIN)/perdure demo

test: $(STAMP) model ## Run all tests, with all that they need
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

check: $(STAMP) model ## Lint, types, architecture, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/typing tests/docs tests/test_architecture.py

model: $(STAMP) ## Build the local embedding model into its cache
	@$(BIN)/python model/build.py

soak: $(STAMP) model ## Longer campaigns: kills, crashes and properties, many times over
	@$(BIN)/pip install --quiet --disable-pip-version-check milvus==2.3.5
	PERDURE_SOAK=1 $(BIN)/python -m pytest -o timeout=0 tests/faults tests/conformance tests/interfaces

bench: $(STAMP) model ## Measure, beside mem0ai in an environment of its own
	$(BIN)/python -m bench --with-mem0

docs: $(STAMP) ## Write the generated tables of the documentation
	$(BIN)/python docs/tables.py

build: $(STAMP) ## Build the wheel, with the model in it
	$(BIN)/python -m build --wheel

lock: $(STAMP) ## Write the versions that are installed now into requirements-dev.lock
	$(BIN)/pip freeze --exclude-editable > requirements-dev.lock

clean: ## Remove what was made here
	rm -rf $(VENV) .venv-mem0* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Perdure needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq python3-venv; \
		  else echo "Python's venv module is missing: run 'apt-get install python3-venv' as root" >&2; exit 1; fi; }
	@for library in libgomp.so.1:libgomp1 libssl.so.3:libssl3; do \
		ldconfig -p 2>/dev/null | grep -q "$${library%%:*}" && continue; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq "$${library##*:}"; \
		else echo "The tests' FalkorDB may want $${library%%:*}: on Debian, run 'apt-get install $${library##*:}' as root" >&2; fi; \
	done
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c requirements-dev.lock -e '.[dev]'
	@touch $(STAMP)
