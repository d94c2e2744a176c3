# One command for each thing. Every target first brings what it needs, on a machine with nothing but Python 3.11+ and
# make; once that is there, no target but `lock` uses the network.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check bench lock clean

# The first of these that is Python 3.11 or newer; say `make PYTHON=/path/to/python3` to choose another.
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3 python; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
COVERAGE_MIN ?= 100

# What is installed is marked by a stamp named after the locks' content: another lock, another stamp, a fresh install.
digest = $(shell cat $(1) pyproject.toml 2>/dev/null | cksum | tr ' ' '-')
RUNTIME := $(VENV)/.installed-runtime-$(call digest,requirements.lock)
DEVELOPMENT := $(VENV)/.installed-development-$(call digest,requirements.lock requirements-dev.lock)
DATASETS := $(VENV)/.installed-datasets-$(call digest,requirements-datasets.lock)

PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check install $(if $(CI),--quiet --progress-bar off,)

help: ## show this help
	@echo "bostream: real-time backorder allocation on Kafka"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(RUNTIME) $(if $(findstring --dataset,$(ARGS)),$(DATASETS)) ## run the demo: Kafka, workers, traffic, a live table (ARGS="--rate 50")
	@$(BIN)/bostream demo $(ARGS)

test: $(DEVELOPMENT) ## run the tests (ARGS="-k shortage")
	@$(BIN)/python -m pytest $(ARGS)

check: $(DEVELOPMENT) ## run everything that must be green: format, lint, types, borders, tests
	@echo "== ruff format"; $(BIN)/ruff format --check .
	@echo "== ruff check"; $(BIN)/ruff check .
	@echo "== mypy"; $(BIN)/mypy
	@echo "== import-linter"; NO_COLOR=1 $(BIN)/lint-imports
	@echo "== pytest"; $(BIN)/python -m pytest --cov --cov-report=term --cov-fail-under=$(COVERAGE_MIN) $(ARGS)

bench: $(DEVELOPMENT) ## run the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

lock: $(DEVELOPMENT) ## resolve the dependencies again (needs the network; UPGRADE=1 takes the newest)
	$(call compile,--extra embedded --extra build,requirements.lock)
	$(call compile,--extra dev --constraint requirements.lock,requirements-dev.lock)
	$(call compile,--extra datasets --constraint requirements.lock,requirements-datasets.lock)
	@echo "Run any target to install what the new locks say."

clean: ## remove what the targets made here (the downloaded Kafka stays in the user's cache)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

compile = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade,) $(1) pyproject.toml --output-file $(2)

$(RUNTIME): | $(BIN)/python
	$(call install,requirements.lock)
	@touch $@

# On top of the others, and only when somebody asks for a dataset: it is three times as large as everything else.
$(DATASETS): | $(RUNTIME)
	@echo "Installing the dataset (once, about 400 MB) ..." >&2
	@$(PIP_INSTALL) --require-hashes --requirement requirements-datasets.lock >&2
	@touch $@

$(DEVELOPMENT): | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $@ $(RUNTIME)

define install
	@echo "Installing $(1) into $(VENV) ..." >&2
	@grep -A 3 '^pip==' $(1) | sed -n '/^pip==/p; /--hash/p' >$(VENV)/pip.lock
	@$(PIP_INSTALL) --quiet --require-hashes --requirement $(VENV)/pip.lock
	@$(PIP_INSTALL) --require-hashes --requirement $(1) >&2
	@$(PIP_INSTALL) --quiet --no-deps --no-build-isolation --no-index --editable .
	@$(BIN)/python -m bostream.embedded prepare
	@rm -f $(VENV)/.installed-*
endef

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found:" \
		"install it, or say make PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python cannot create virtual environments with pip:" \
		"on Debian and Ubuntu install python3-venv, elsewhere a Python that has ensurepip." >&2; exit 1; }
