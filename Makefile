# make run     run the default configuration and print the paths of its pages
# make test    the tests (eleven minutes on two cores; eight are the aim)
# make test-ui the pages in a browser (Debian's Chromium)
# make test-runs whole runs: families of generators, ways of mining, reruns (twenty minutes)
# make test-paper the paper's configurations in full size, with random weights (hours on two cores)
# make test-cluster runs on a SLURM that it installs and starts (as root, on Debian)
# make test-faults a run that is interrupted 40 times, and simultaneous runs (half an hour)
# make fuzz    readers of weights, YAML, manifests and pages with changed files (ten minutes each)
# make lint    ruff, mypy, import-linter, snakefmt, snakemake --lint, and lint-pages
# make lint-pages types and lint of the pages' JavaScript (needs Node 20 or newer and npm)
# make docs    run the notebooks, and make the documentation site in build/site; broken links are errors
# make mutants single faults in mining, steering, stages and pages: are they noticed? (an hour)
# make coverage the tests, with the share of lines that they run
# make bench   measurements of docs/explanation/performance.md (a quarter of an hour)
PYTHON ?= python3
VENV := .venv
CORES ?= all
FUZZ_SECONDS ?= 600
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c envs/requirements.txt

.DELETE_ON_ERROR:
.PHONY: run test test-ui test-runs test-paper test-cluster test-faults fuzz lint lint-pages docs mutants coverage bench clean

run: $(VENV)/run
	rosetta check > /dev/null
	snakemake --cores $(CORES)
	@echo "Open in a browser:" && rosetta where

test: $(VENV)/test
	pytest -n 2 --dist worksteal

test-ui: $(VENV)/test
	pytest tests/ui

test-runs: $(VENV)/test
	pytest -n 2 --dist worksteal -m whole_run

test-paper: $(VENV)/test
	pytest tests/paper

test-cluster: $(VENV)/test $(VENV)/slurm
	pytest tests/cluster

test-faults: $(VENV)/test
	pytest tests/faults

fuzz: $(VENV)/test
	FUZZ_SECONDS=$(FUZZ_SECONDS) pytest -s tests/fuzz

lint: lint-pages $(VENV)/test
	ruff check
	ruff format --check
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint

docs: $(VENV)/docs
	python docs/execute.py
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "Open in a browser:" && echo build/site/index.html

lint-pages: lint/node_modules/installed
	npm --prefix lint run --silent lint

lint/node_modules/installed: lint/package.json lint/package-lock.json
	@command -v npm > /dev/null || { echo "lint-pages: Node and npm are missing; install both" >&2; exit 2; }
	npm --prefix lint ci --no-audit --no-fund --silent
	@touch $@

mutants: $(VENV)/test $(VENV)/mutants
	python tests/mutants.py

coverage: $(VENV)/test
	pytest -n 2 --dist worksteal --cov=rosetta_core --cov-report=term:skip-covered

bench: $(VENV)/test
	python benchmarks/stages.py
	rosetta check > /dev/null && snakemake --cores $(CORES) --quiet
	python benchmarks/plain.py
	python benchmarks/engine.py
	python benchmarks/stores.py
	python benchmarks/accuracy.py
	python benchmarks/paper.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "rosetta needs Python 3.11 or newer; try make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run: $(VENV)/bin/python pyproject.toml envs/requirements.txt
	@echo "Installing into $(VENV) (a few minutes, 6 GB with torch's CUDA packages)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/test: $(VENV)/run
	$(INSTALL) -e '.[test]'
	@touch $@

$(VENV)/docs: $(VENV)/run
	$(INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/mutants: $(VENV)/run
	$(INSTALL) -e '.[mutants]'
	@touch $@

$(VENV)/slurm: $(VENV)/run
	$(INSTALL) -e '.[slurm]'
	@touch $@

clean:
	rm -rf $(VENV) .snakemake
