# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete
# Tests start hundreds of processes: what one of them compiles is kept for the others, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test test-slow test-long test-slurm test-oldest simulate mutants snapshots golden notebooks perf perf-gpu lint docs wheelhouse clean

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
# The longest too: make test-slurm SLURM_TESTS=slurm
SLURM_TESTS ?= slurm and not long
test-slurm: setup
	@trap slurm/testcluster/down EXIT; conf="$$(slurm/testcluster/up)" && eval "$$conf" && $(BIN)/python -m pytest -m "$(SLURM_TESTS)" tests/slurm

# The tables of docs/statistics.md: data sets of which the truth is known, compared by the functions of the report.
simulate: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.simulate

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

# After a change of what they show: runs docs/notebooks and keeps their outputs, pictures among them.
notebooks: setup
	$(BIN)/python -m tests.notebooks

# Changes one thing in methods/, bench/learn/, bench/scoring/ or the numbers of reports and runs the tests of that part, for
# the named mutants of tests/mutation.toml and SAMPLE others (-1: all, which takes a night). Fails if no test notices one
# that is not explained there. PATHS narrows it to some files.
SAMPLE ?= 60
SEED   ?= 0
mutants: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutation --sample $(SAMPLE) --seed $(SEED) $(PATHS)

# Ratios of speeds; on an idle machine, nothing beside it. The first is of the CPU, whatever else there is.
perf: setup
	CUDA_VISIBLE_DEVICES= $(BIN)/python -m pytest -s --durations=40 tests/perf/perf_*.py

# On a GPU: installs nothing, ends after 8 minutes, and writes its rows to build/perf-gpu.txt as they are measured.
GPU_PYTHON ?= $(firstword $(wildcard $(BIN)/python) $(PYTHON))
perf-gpu:
	@mkdir -p build && rm -f build/perf-gpu.txt
	BENCH_PERF_ROWS=build/perf-gpu.txt timeout 480 $(GPU_PYTHON) -m pytest -p no:cacheprovider -s -m gpu -rs tests/perf/perf_gpu.py tests/perf/perf_train.py tests/perf/perf_learn.py tests/perf/perf_methods.py tests/perf/perf_suite.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The documentation site, with strict links, in build/site/. The page of the command line is made again.
docs: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	$(BIN)/python docs/site_hooks.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

# The fast tests with the lowest versions that pyproject.toml allows (tests/oldest.py), in a venv of their own.
test-oldest:
	@test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python tests/oldest.py > $(VENV)-oldest/lowest.txt
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)-oldest/lowest.txt --editable . --group dev
	# Old releases call what newer ones of their own dependencies deprecate.
	$(VENV)-oldest/bin/python -m pytest -n 2 --dist worksteal -W ignore::DeprecationWarning -m "not slow and not slurm" tests

# All packages that an installation needs, for a machine without a network: pip install --no-index --find-links wheelhouse debias-bench
wheelhouse: setup
	$(BIN)/python -m pip wheel --quiet --wheel-dir wheelhouse ".[dicom]"
	@echo "copy wheelhouse/, then: pip install --no-index --find-links wheelhouse 'debias-bench[dicom]'"

clean:
	rm -rf $(VENV) build *.egg-info
