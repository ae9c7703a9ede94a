# Every target that needs Python sets up .venv first; a second call reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test fuzz check lint type bench docs golden clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv and install tlv with its development tools

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev,bench]'
	@touch $@

demo: $(READY)  ## train a source, transfer it, train and evaluate the target, beside a He start (no network)
	$(BIN)/python examples/demo.py

# A process for each core, with one thread each: threads of several torch processes would wait for one another.
test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

SECONDS ?= 60
SEED ?= 0

fuzz: $(READY)  ## damage files for SECONDS=60 from SEED=0 on; their readers may let out errors of ours alone
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

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
	rm -rf $(VENV) demo-run build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
