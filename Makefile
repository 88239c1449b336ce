# make demo   the whole study on a phantom cohort, small, on this machine; resumes where it was stopped
# make test   lint, types and tests; make test-slow: simulations that take minutes
# Both set up everything they need, in .venv, and may be repeated.
# make cluster-up, cluster-down   a real SLURM of two nodes on this machine (docs/cluster.md); as root, on Debian

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= work/demo

.PHONY: install packages demo test test-slow lint types cluster-up cluster-down clean-demo

install: $(VENV)/installed

# torch and torchvision in one command, so that pip takes the matching CPU pair where it is offered.
$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,jpeg]'
	touch $@

demo: install
	$(BIN)/mammogan demo --workspace $(DEMO)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# Programs that judge our files in a few tests, which are skipped where these cannot be installed.
packages:
	tests/packages.sh

test: install packages lint types
	$(BIN)/pytest -m "not slow" --numprocesses 2 --dist loadscope

test-slow: install
	$(BIN)/pytest -m slow

cluster-up:
	slurm/devcluster/up.sh

cluster-down:
	slurm/devcluster/down.sh

clean-demo:
	rm -rf $(DEMO)
