# Every target that needs Python sets up .venv first; a second call reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-oldest fuzz faults wheel lock audit check lint type bench docs golden clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv and install tlv with its development tools; LOCKED=1 takes the versions of requirements-dev.txt

LOCK := requirements-dev.txt
LOCKED ?=

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(if $(LOCKED),--constraint $(LOCK)) --editable '.[dev,bench]'
	@touch $@

demo: $(READY)  ## train a source, transfer it, train and evaluate the target, beside a He start (no network)
	$(BIN)/python examples/demo.py

# A process for each core, with one thread each: threads of several torch processes would wait for one another.
test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses auto --dist loadfile

SECONDS ?= 60
SEED ?= 0

fuzz: $(READY)  ## damage files for SECONDS=60 from SEED=0 on; their readers may let out errors of ours alone
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

KILLS ?= 100

faults: $(READY)  ## kill transfers, trainings and comparisons KILLS=100 times at random moments; nothing may be lost
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --kills $(KILLS) --seed $(SEED)

wheel: $(READY)  ## build the wheel, install it into a fresh environment and run it outside the repository
	$(BIN)/python -m pytest tests/test_wheel.py -m slow

# The oldest Python that we support, with the lower bounds in pyproject.toml as the versions themselves. What these warn of
# their newer companions is no error here.
OLDEST_PYTHON ?= python3.10
OLDEST := .venv-oldest
OLDEST_TESTS ?= tests/core tests/io tests/models tests/methods tests/data

test-oldest: $(OLDEST)/.ready  ## run what depends on libraries with the oldest of all of them
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -W default $(OLDEST_TESTS)
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -W default -m slow tests/cli/test_each_command.py

$(OLDEST)/.ready: pyproject.toml
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	sed -n '/^dependencies = \[/,/^\]/p' pyproject.toml | grep -oE '[a-z0-9-]+>=[0-9.]+' | sed 's/>=/==/' > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/pip install --quiet --requirement $(OLDEST)/oldest.txt 'timm>=1.0' 'torchinfo>=1.8' \
		'pytest>=8' 'pytest-xdist>=3.5' 'hypothesis>=6.100' 'jsonschema>=4.20'
	$(OLDEST)/bin/pip install --quiet --no-deps --editable .
	@touch $@

TOOLS := .venv-tools

$(TOOLS)/.ready:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet uv pip-audit
	@touch $@

# One file for every Python that we support and every system; torchvision says itself which torch it fits.
lock: $(TOOLS)/.ready  ## pin every package of .venv, at its newest, in requirements-dev.txt
	$(TOOLS)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --extra dev --extra bench --output-file $(LOCK) pyproject.toml

# Strict, for pip-audit calls clean what it could not look up.
audit: $(TOOLS)/.ready  ## look up known vulnerabilities of every package in requirements-dev.txt; fails where PyPI does not answer
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --requirement $(LOCK)

check: lint type test  ## everything CI checks

lint: $(READY)  ## style and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(READY)  ## mypy, strict
	$(BIN)/mypy

bench: $(READY)  ## measure beside peers in one run; prints ratios, writes JSON
	$(BIN)/python -m benchmarks

docs: $(READY)  ## regenerate schemas, the command reference and the architecture index
	$(BIN)/python docs/generate.py

golden: $(READY)  ## compare with what the authors' code computed
	$(BIN)/python -m pytest tests/methods/test_tlv_reference.py

clean:  ## remove the environment and every generated file
	rm -rf $(VENV) $(OLDEST) $(TOOLS) demo-run build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
