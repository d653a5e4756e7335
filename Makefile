# Two commands matter: `make run` and `make test`. Both set the project up in `.venv` first.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export TF_CPP_MIN_LOG_LEVEL := 3

.PHONY: help setup run test ui viz bench docs lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## virtual environment with the locked, hashed requirements

$(VENV)/.ready: requirements/uv.txt requirements/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"expected Python 3.11 to 3.13, received {v[0]}.{v[1]}; name another one: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements/lock.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: setup  ## sample photos to a model in production, then a summary
	kedro run

test: setup  ## ruff, mypy --strict, import-linter, pytest
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pytest

ui: setup  ## MLflow UI on the project's database
	mlflow ui --backend-store-uri "sqlite:///$(CURDIR)/mlruns/mlflow.db"

viz: setup  ## the pipeline drawn by Kedro-Viz
	kedro viz run

bench: setup  ## every measured claim, as ratios
	python -m benchmarks

docs: setup  ## the documentation as HTML under docs/_build
	sphinx-build -W --keep-going -b html docs docs/_build/html

lock: setup  ## resolve the requirements anew (maintainers)
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --python-version 3.11 requirements/uv.in -o requirements/uv.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --python-version 3.11 pyproject.toml --extra dev -o requirements/lock.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	  --python-version 3.11 requirements/airflow.in -o requirements/airflow.txt

clean:  ## remove what runs and tests made; .venv and raw data stay
	rm -rf data/images data/manifest data/validation data/splitting data/training data/evaluation data/registration data/cache \
	  docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
