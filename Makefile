# Targets for people and for CI. `make demo` and `make test` work on a fresh machine.
# PyTorch 2.13.0 has wheels for several versions; 3.11 is the one that is tested.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint types unit format samples schema readme docs calibrate clean

help:  ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo  ## Install the ONNX-only tool and audit a sample pair with its data
	$(BIN)/compaudit compare sample_models/digits.onnx sample_models/digits_int8.onnx \
		--data sample_models/digits_test.npz

test: lint types unit  ## Run all checks: ruff, mypy --strict, pytest

test-all: lint types $(VENV)/dev $(VENV)/corpus  ## The same with the long tail of tests, a quarter of an hour more
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev  ## Check types
	$(BIN)/mypy

unit: $(VENV)/dev $(VENV)/corpus  ## Run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

format: $(VENV)/dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

samples: $(VENV)/dev  ## Train, compress and export the sample models again
	$(BIN)/python sample_models/build.py

schema: $(VENV)/dev  ## Write docs/schema.json from the code
	$(BIN)/compaudit schema > docs/schema.json

readme: $(VENV)/dev  ## Write the README's demo and help anew, from the real commands
	$(BIN)/python docs/refresh_readme.py

docs: $(VENV)/dev  ## Write docs/roles.md from the code
	$(BIN)/python docs/write_roles.py

calibrate: $(VENV)/dev  ## Audit models of known ratio for hours, write docs/calibration.md
	$(BIN)/python benchmarks/calibrate.py --write

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[cpu]'
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/demo

# The models that onnx 1.21.0 ships (1.23 ships fewer); tests of them are skipped without a network.
$(VENV)/corpus: | $(VENV)/bin/python
	@rm -rf $@.part
	@$(BIN)/python -m pip --disable-pip-version-check download --quiet --no-deps \
		--only-binary=:all: -d $@.part onnx==1.21.0 \
	&& $(BIN)/python -m zipfile -e $@.part/onnx-1.21.0-*.whl $@.part/wheel \
	&& mv $@.part/wheel/onnx/backend/test/data $@ \
	|| echo "no corpus: tests/functional/test_corpus.py will be skipped"
	@rm -rf $@.part
