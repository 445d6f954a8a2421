# Sluice: what a person types. `make` alone lists the targets.

PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
             $$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
             && { echo $$p; break; }; done)
VENV    ?= .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
# checkov pins another boto3 than the emulator does: it gets a virtual environment of its own.
CHECKOV := $(VENV)/checkov
REQS    := requirements.txt requirements-layer.txt requirements-dev.txt constraints.txt
# Every Python that the unit tests are tried on, where this machine has it (pyenv's are found too).
PYTHONS ?= 3.11 3.12 3.13
# More pytest arguments: make test ARGS="-k sniff -x"
ARGS    ?=
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-unit test-e2e test-faults test-permissions test-uploads test-pythons lint format lock samples bench bench-quick clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-17s %s\n", $$1, $$2}'

install: $(STAMP) ## make .venv with everything for development and tests (once)

$(STAMP): $(REQS)
	@test -n "$(PYTHON)" || { echo "Sluice needs Python 3.11, 3.12 or 3.13 with the venv module, and found none." >&2; \
	  echo "Install one (Debian, Ubuntu: apt install python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(STAMP) ## run samples/orders.csv through the whole pipeline in the AWS emulator
	$(BIN)/python local.py run samples/orders.csv $(ARGS)

serve: $(STAMP) ## keep the pipeline and its API up on this machine until Ctrl-C
	$(BIN)/python local.py serve $(ARGS)

test: $(STAMP) ## every test, end-to-end included
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

test-unit: $(STAMP) ## the tests that need no emulator
	$(BIN)/python -m pytest -n $(WORKERS) -m "not e2e" $(ARGS)

test-e2e: $(STAMP) ## the tests that run the whole pipeline in the AWS emulator
	$(BIN)/python -m pytest -n $(WORKERS) -m e2e $(ARGS)

test-faults: $(STAMP) ## every AWS call of a job × every fault; writes the table of docs/faults.md (about an hour)
	$(BIN)/python -W ignore::UserWarning -m tests.faults $(ARGS)

test-permissions: $(STAMP) ## take away every permission of every function in the emulator: a call must be refused (minutes)
	EVERY_PERMISSION=1 $(BIN)/python -m pytest tests/e2e/test_permissions.py $(ARGS)

test-uploads: $(STAMP) ## 200 uploads at once through the pipeline in the emulator
	UPLOADS_AT_ONCE=200 $(BIN)/python -m pytest tests/e2e/test_events.py -k at_once $(ARGS)

test-pythons: ## the unit tests on every supported Python that this machine has
	@tried=0; for v in $(PYTHONS); do \
	  python=$$(command -v python$$v 2>/dev/null); \
	  { test -n "$$python" && "$$python" -c 'import ensurepip' 2>/dev/null; } || python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$v*/bin/python 2>/dev/null | tail -1); \
	  if test -z "$$python"; then echo "--- Python $$v: not on this machine"; continue; fi; \
	  echo "--- Python $$v: $$python"; tried=$$((tried + 1)); \
	  $(MAKE) --no-print-directory test-unit VENV=.sluice/venv-$$v PYTHON=$$python || exit 1; \
	done; test $$tried -gt 0 || { echo "None of Python $(PYTHONS) is on this machine." >&2; exit 1; }

$(CHECKOV)/.installed: requirements-checkov.txt $(STAMP)
	$(BIN)/python -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-checkov.txt
	@touch $@

lint: $(STAMP) $(CHECKOV)/.installed ## ruff, mypy --strict, cfn-lint, checkov
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/cfn-lint infrastructure/*.yaml
	$(BIN)/python -m ops.stage.expanded .build/checkov
	$(CHECKOV)/bin/checkov --framework cloudformation --skip-download --compact --quiet --directory .build/checkov

format: $(STAMP) ## put the sources into ruff's format
	$(BIN)/ruff check --fix-only --exit-zero .
	$(BIN)/ruff format .

lock: $(STAMP) ## pin the hashes of what is deployed (after changing requirements.txt or requirements-layer.txt)
	$(BIN)/python -m ops.packages.wheels

samples: $(STAMP) ## write samples/orders.csv anew (always the same bytes)
	$(BIN)/python samples/make_orders.py

PEERS   := .sluice/benchmarks

bench: $(STAMP) $(PEERS)/peers/.installed $(PEERS)/spark/.installed ## race against other tools, measure everything, write benchmarks/README.md
	$(BIN)/python -m benchmarks $(ARGS)

bench-quick: $(STAMP) $(PEERS)/peers/.installed ## the same with small files and one round, on the screen only
	$(BIN)/python -m benchmarks --quick $(ARGS)

$(PEERS)/peers/.installed: benchmarks/requirements.txt
$(PEERS)/spark/.installed: benchmarks/requirements-spark.txt
$(PEERS)/%/.installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean: ## remove what the commands above made, downloads of .venv excepted
	rm -rf .build .sluice out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
