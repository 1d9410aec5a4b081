# `make` alone says what there is. Needs Python 3.11 or newer and make; nothing else is presumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
# The demonstration takes another file of records by make demo DATA=FILE.
DATA ?= examples/debian-packages.jsonl.xz
# make simulate runs so many seeds, from FROM on, in JOBS processes.
SEEDS ?= 300
FROM ?= 0
JOBS ?= 2
PROFILE ?= everything
# make bench-etcd BENCH='--pairs 7 --only put-256,get-256', and the like for the others.
BENCH ?=
# make soak runs for so long.
SECONDS ?= 1800

# Some environments forbid Python to keep compiled modules: then every node and every command that a
# test starts would compile all of the source anew, and each run of pytest all tests.
unexport PYTHONDONTWRITEBYTECODE

# What is released is compiled, and measured and tested as such, outside of the sources.
COMPILED := build/compiled
COMPILED_READY := $(COMPILED)/.ready
COMPILED_PYTHON := $(CURDIR)/$(COMPILED)/venv/bin/python
RUN_COMPILED := cd $(COMPILED) && $(COMPILED_PYTHON) -m
SOURCES := $(shell find cluster kvstore -name '*.py')
BUILD := HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m build

# Fewer mutants or checks: make mutants MUTANTS='--only commit-moves-back --units'
MUTANTS ?=

.DEFAULT_GOAL := help
.PHONY: help compiler environment demo test chaos chaos-docker chaos-storage simulate mutants bench-etcd bench-overload bench-scaling bench-costs bench-fairness soak wheel test-compiled check format proto docs clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment: $(READY_DEV) ## Make the virtual environment .venv

# Made again whenever the dependencies change. A stamp comes last: a half-made one does not count.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kvstore needs Python 3.11 or newer; name one by make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $(READY)

$(READY_DEV): $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(READY_DEV)

demo: $(READY) ## Start three nodes, load real data, kill a leader, see that nothing is lost
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh "$(DATA)"

# Three at a time, so that no core is idle while some wait. Tests of real processes come after the
# others, and two at a time: they wait for nodes, and would wait long beside what only computes.
test: $(READY_DEV) ## Run all tests (minutes)
	$(BIN)/python -m pytest tests -m 'not process and not chaos' --numprocesses 3 --dist worksteal
	$(BIN)/python -m pytest tests -m 'process and not chaos' --numprocesses 2 --dist worksteal

# KVSTORE_CHAOS_ROUNDS=N: so many runs of kvstore chaos, two minutes each, instead of ten;
# KVSTORE_CHAOS_KILLS=N: so many deaths of leaders instead of twenty. As root, so that disks can be
# filled.
chaos: $(READY_DEV) ## Break real clusters in all ways for many rounds, and print what that took (30 minutes)
	$(BIN)/python -m pytest tests/chaos/test_kill_rounds.py tests/chaos/test_exactly_once_rounds.py \
		tests/chaos/test_outages.py tests/chaos/test_chaos_runs.py -m chaos -s

chaos-docker: $(READY) ## Break a cluster of containers for two minutes, and judge it; needs Docker
	$(BIN)/kvstore chaos --compose docker-compose.yml --duration 120

chaos-storage: $(READY_DEV) ## Kill nodes while logs and tables turn over, damage files: is anything lost? (an hour)
	$(BIN)/python -m pytest tests/chaos/test_storage_rounds.py tests/chaos/test_damage_rounds.py \
		tests/chaos/test_damage_to_all.py tests/process -m chaos -s

simulate: $(READY) ## Run clusters in simulation, with faults (SEEDS=, FROM=, PROFILE=, JOBS=)
	$(BIN)/kvstore simulate --seeds $(SEEDS) --from $(FROM) --profile $(PROFILE) --jobs $(JOBS)

mutants: $(READY_DEV) ## Plant known mistakes and say which check finds each (hours)
	$(BIN)/python -m tools.mutants $(MUTANTS)

# A source distribution first, and the wheel from that: compiled modules beside the sources would
# hide what is edited there later.
wheel: $(READY_DEV) compiler ## Build the wheel that is released: compiled by mypyc (5 minutes; needs a C compiler)
	$(BUILD) --outdir dist

compiler:
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install gcc libc6-dev" >&2; exit 2; }

# An environment with that wheel, and what is run in it: not beside kvstore/, which would come first.
$(COMPILED_READY): pyproject.toml $(SOURCES) | $(READY_DEV) compiler
	rm -rf $(COMPILED)
	$(BUILD) --outdir $(COMPILED)/dist
	$(BIN)/python -m venv $(COMPILED)/venv
	$(COMPILED_PYTHON) -m pip install --quiet "$$(ls $(COMPILED)/dist/*.whl)[dev]"
	ln -s ../../benchmarks ../../examples $(COMPILED)
	@touch $@

test-compiled: $(COMPILED_READY) ## See that the compiled form does the same, event by event, and serves (10 minutes)
	$(BIN)/python -m tools.same_traces --against $(COMPILED_PYTHON)
	rm -rf $(COMPILED)/tests $(COMPILED)/pyproject.toml
	cp -r tests pyproject.toml $(COMPILED)
	$(RUN_COMPILED) pytest tests/process -m 'process and not chaos' \
		--numprocesses 2 --dist worksteal

bench-etcd: $(COMPILED_READY) ## Compare with etcd on this machine (an hour; needs Debian's etcd and Go)
	$(RUN_COMPILED) benchmarks.etcd.run $(BENCH)

bench-overload: $(COMPILED_READY) ## Offer ten times what a cluster can do (two minutes)
	$(RUN_COMPILED) benchmarks.overload $(BENCH)

bench-scaling: $(COMPILED_READY) ## What partitions, keys and large values cost (half an hour)
	$(RUN_COMPILED) benchmarks.scaling $(BENCH)

bench-costs: $(COMPILED_READY) ## Rounds, messages, syncs and processor time of a put, by how many callers there are (2 minutes)
	$(RUN_COMPILED) benchmarks.costs $(BENCH)

bench-fairness: $(COMPILED_READY) ## What a modest client notices of greedy ones (2 minutes)
	$(RUN_COMPILED) benchmarks.fairness $(BENCH)

soak: $(COMPILED_READY) ## Is anything still growing after half an hour of load? (SECONDS=)
	$(RUN_COMPILED) benchmarks.soak --seconds $(SECONDS) $(BENCH)

check: $(READY_DEV) ## Lint, types, import rules, generated code and pages (seconds)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate_proto.py --check
	$(BIN)/python -m tools.generate_api_docs --check

format: $(READY_DEV) ## Format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

proto: $(READY_DEV) ## Generate kvstore/generated from proto/
	$(BIN)/python tools/generate_proto.py

docs: $(READY_DEV) ## Write docs/api.md from the docstrings
	$(BIN)/python -m tools.generate_api_docs

clean: ## Remove the virtual environments, what was built and all caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
