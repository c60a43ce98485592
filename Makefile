# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete

.PHONY: setup demo test test-slow test-long test-slurm snapshots golden perf perf-gpu lint clean

setup: $(STAMP)

# `make -t` and interrupted installs are safe: the stamp is written last.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "bench needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $(STAMP)

demo: setup
	$(BIN)/bench run --methods all --task phantom-cxr-age
	$(BIN)/bench report --task phantom-cxr-age --reports results/demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not slurm" tests

test-slow: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow and not long" tests

# The longest repetitions: CI leaves them out, so run them before an issue is closed.
test-long: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long tests

# On a real SLURM of one node, which is installed (as root, from Debian's packages), started and stopped again.
test-slurm: setup
	@trap slurm/testcluster/down EXIT; conf="$$(slurm/testcluster/up)" && eval "$$conf" && $(BIN)/python -m pytest -m slurm tests/slurm

# After a sentence of the product was improved: the expected texts of the tests become what it says now. Read the diff.
# The first run fails where it rewrote; the second is of what failed. TESTS narrows it to some files.
TESTS ?= $$(grep -rl --include='test_*.py' 'snapshot(' tests)
REWRITE = PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -p no:xdist -m "not slurm"
snapshots: setup
	-$(REWRITE) --inline-snapshot=fix $(TESTS)
	$(REWRITE) --lf --lfnf=none $(TESTS) || test $$? = 5

# The same tiny tasks with the code of REVISION and of the working tree: every number of cells, tables and figures.
REVISION ?= HEAD~1
golden: setup
	$(BIN)/python -m tests.golden $(REVISION)

# Ratios of speeds; on an idle machine, nothing beside it. The first is of the CPU, whatever else there is.
perf: setup
	CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -s --durations=40 tests/perf/perf_*.py

perf-gpu: setup
	$(BIN)/python -m pytest -s -m gpu -rs tests/perf/perf_*.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

clean:
	rm -rf $(VENV) build *.egg-info
