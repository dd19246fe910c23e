# The verbs of the project. `make run` and `make test` do all their own set-up.
VENV := .venv
BIN := $(VENV)/bin
DOCS := build/docs-venv
TORCH := torch==2.13.0
# Extra words for pip when it installs torch, for example a folder of wheels; its usual build for Linux brings CUDA.
TORCH_ARGS :=
ARGS :=
# Of `make crash` and `make chaos`: kills, where to write what was seen, and the seed to do the same again.
N :=
OUT :=
SEED :=
SET :=

.DEFAULT_GOAL := help
.PHONY: help api-fuzz bench docs audits byzantine calibrate convergence setup run test test-browser soak crash sim sim-many chaos handover localnet mutations model portability check format lint types contracts lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The first Python of a version that we support; a shim that only prints an error does not count.
define FIND_PYTHON
for candidate in "$(PYTHON)" python3.11 python3.12 python3; do \
  if [ -n "$$candidate" ] && "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; \
  then echo "$$candidate"; break; fi; done
endef

$(BIN)/python:
	@python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then echo "Python 3.11 or 3.12 with venv is needed: install one, or run make PYTHON=/path/to/python"; exit 1; fi; \
	"$$python" -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt requirements/nodeps.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/run.txt -r requirements/nodeps.txt
	$(BIN)/python -m pip install --quiet $(TORCH_ARGS) $(TORCH)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(VENV)/bench.stamp: requirements/bench.txt $(VENV)/dev.stamp
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements/bench.txt
	@touch $@

bench: $(VENV)/bench.stamp ## install what benchmarks need for their plots; python -m bench lists them

# Documents have an environment of their own: who only reads needs no PyTorch, and their packages bind none of ours.
$(DOCS)/docs.stamp: requirements/docs.txt
	@python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then echo "Python 3.11 or 3.12 with venv is needed: install one, or run make PYTHON=/path/to/python"; exit 1; fi; \
	"$$python" -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/docs.txt
	@touch $@

docs: $(DOCS)/docs.stamp ## build these documents as a site in build/site, and check it
	@$(DOCS)/bin/zensical build --strict --clean
	@$(DOCS)/bin/python tests/site_check.py build/site

byzantine: $(VENV)/bench.stamp ## what liars do to the learning and what the rules do about it: at most 4 hours, goes on where it stopped
	@test -e build/lab/train.npy || $(BIN)/python -m bench.lab.export build/lab
	@$(BIN)/python -m bench byzantine $(ARGS) && $(BIN)/python -m bench byzantine --report $(ARGS)

calibrate: $(VENV)/bench.stamp ## how far honest replays and cheats lie apart: hours, goes on where it stopped; results in build/calibrate
	@test -e build/lab/train.npy || $(BIN)/python -m bench.lab.export build/lab
	@$(BIN)/python -m bench calibrate $(ARGS) && $(BIN)/python -m bench calibrate --report

audits: $(VENV)/bench.stamp ## cheats in villages that really train: caught as often as predicted? At most an hour a call, goes on where it stopped
	@$(BIN)/python -m bench audits $(ARGS) && $(BIN)/python -m bench audits --report docs/results $(ARGS)

setup: $(VENV)/run.stamp ## create the environment only

run: $(VENV)/run.stamp ## start a node: make run ARGS="--until-round 3"
	@$(BIN)/neuroshard $(ARGS)

test: $(VENV)/dev.stamp ## run the tests
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

api-fuzz: $(VENV)/dev.stamp ## made-up requests to every path of the API: make api-fuzz ARGS="--minutes 10 --seed 2"
	@$(BIN)/python -m tests.node.api_fuzz $(ARGS)

test-browser: $(VENV)/dev.stamp ## run the explorer in a real browser; installs one where none is found
	@$(BIN)/python -m tests.explorer && NEUROSHARD_TEST_BROWSER=must $(BIN)/python -m pytest -n 2 --dist loadscope tests/explorer $(ARGS)

soak: $(VENV)/dev.stamp ## run the tests that take long: floods and long property runs
	@$(BIN)/python -m pytest -m soak $(ARGS)

convergence: $(VENV)/bench.stamp ## learning at equal tokens: at most 4 hours a call, goes on where it was; results in build/lab
	@$(BIN)/python -m bench convergence $(ARGS)
	@$(BIN)/python -m bench convergence --report build/lab

crash: $(VENV)/dev.stamp ## end a node at every failpoint and N times at random: make crash N=500 SEED=1 OUT=crash.json
	@$(BIN)/python -m tests.crash $(if $(N),--kills $(N)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

chaos: $(VENV)/dev.stamp ## strike a network of 7 processes until N were killed: make chaos N=200 SEED=1 OUT=chaos.json
	@$(BIN)/python -m tests.chaos $(if $(N),--kills $(N)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

handover: $(VENV)/dev.stamp ## four processes: one founder and no money at first, at the end the chain goes on without it
	@$(BIN)/python -m tests.handover $(ARGS)

localnet: $(VENV)/run.stamp ## run a network of many nodes on this machine: make localnet ARGS="--nodes 4 --no-training"
	@$(BIN)/neuroshard localnet $(ARGS)

sim: $(VENV)/dev.stamp ## run real nodes in a simulated world, by seed: make sim SEED=7 SET="crash_ms=0" ARGS=--trace
	@$(BIN)/python -m tests.simulator --seed $(or $(SEED),1) $(if $(SET),--set $(SET)) $(ARGS)

sim-many: $(VENV)/dev.stamp ## the same for N seeds from SEED on: make sim-many N=1000 ARGS="--out runs.jsonl"
	@$(BIN)/python -m tests.simulator --seed $(or $(SEED),1) --many $(or $(N),500) $(ARGS)

mutations: $(VENV)/dev.stamp ## put known bugs into a copy of the ledger, one at a time: does a test name each?
	@$(BIN)/python -m tests.mutations $(ARGS)

model: $(BIN)/python ## let spin look at every state of the vote rules, and refute broken ones
	@$(BIN)/python -m tests.model $(ARGS)

portability: $(VENV)/dev.stamp ## run the tests on LMDB, py_ecc and cryptography, and without torch on the other Python
	@$(BIN)/python -m tests.portability $(ARGS)

check: $(VENV)/dev.stamp lint types contracts test ## format and lint, types, import contracts, tests

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: $(VENV)/dev.stamp
	@$(BIN)/mypy

contracts: $(VENV)/dev.stamp
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## format the code and sort its imports
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: ## rewrite the lock files (needs uv)
	requirements/lock.sh

clean: ## remove the environment and caches
	rm -rf $(VENV) $(DOCS) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
