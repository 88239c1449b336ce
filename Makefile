# make demo   the whole study on a phantom cohort, small, on this machine; resumes where it was stopped
# make test   lint, types and tests
# Both set up everything they need, in .venv, and may be repeated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= work/demo

.PHONY: install demo test lint types clean-demo

install: $(VENV)/installed

# torch and torchvision in one command, so that pip takes the matching CPU pair where it is offered.
$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch torchvision
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	touch $@

demo: install
	$(BIN)/python launch/demo.py --workspace $(DEMO)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

test: install lint types
	$(BIN)/pytest

clean-demo:
	rm -rf $(DEMO)
