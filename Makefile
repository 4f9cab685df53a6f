# Everything is set up in .venv from a bare Python 3.11 and pip.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: quickstart test slow check lint models bench pages docs pictures clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

# The program alone, for the quick start.
$(VENV)/.program: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

# The program with what its tests and checks need.
$(VENV)/.develop: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.program

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@ $(VENV)/.program

quickstart: $(VENV)/.program
	sh examples/alumina/quickstart.sh

test: $(VENV)/.develop
	$(BIN)/python tests/side_by_side.py

slow: $(VENV)/.develop
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.develop
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

# Completions and man pages, from the command tree.
pages: $(VENV)/.develop
	$(BIN)/python -m crystalcli.cli.pages .

# The site, in site/: open site/index.html, no server needed.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Run every tutorial and keep the pictures that it makes in docs/images.
pictures: $(VENV)/.develop
	$(BIN)/python tests/doc_pages.py docs/tutorials/*.md

# The models that come with the program, from the data sets below $CRYSTAL_DATA: hours.
models: $(VENV)/.develop
	$(BIN)/python models/make.py

bench: $(VENV)/.develop
	$(BIN)/python benchmarks/performance.py

clean:
	rm -rf $(VENV) quickstart site build dist
