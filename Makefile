# Targets: setup, check, test, demo, minio. Each sets up what it needs; nothing outside this folder is changed,
# except caches (packages, Kafka's jars) in the user's cache folder.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
MINIO  := .build/bin/minio
# The module version MinIO tagged last; `go install` is its official way to get the server.
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c

.DEFAULT_GOAL := help
.PHONY: help setup check lint types format test demo minio lock clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(STAMP)  ## build the environment in .venv (skipped while the lock is unchanged)

$(STAMP): requirements.lock pyproject.toml
	PYTHON="$(PYTHON)" VENV="$(VENV)" ./.ci/setup
	@touch $@

format: setup  ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup  ## format, lint and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: setup  ## types, by pyright (slow on two cores, so not part of check)
	$(BIN)/pyright --pythonpath $(BIN)/python

check: lint  ## lint and the fast tests (no engines)
	$(BIN)/python -m pytest -m "not connected and not slow and not gpu"
	@echo "check: all green"

test: setup  ## all tests, on real embedded engines
	$(BIN)/python -m pytest

demo: setup  ## the main job on a demo camera: SOURCE=<file or url> DURATION=<seconds> LOOP=1
	$(BIN)/streamrefer demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(DURATION),--duration $(DURATION)) $(if $(filter 1,$(LOOP)),--loop)

minio: $(MINIO)  ## build the MinIO server with Go (3 minutes the first time)

$(MINIO):
	@mkdir -p $(dir $@)
	GOBIN="$(abspath $(dir $@))" go install github.com/minio/minio@$(MINIO_VERSION)

lock: setup  ## resolve requirements.in anew
	$(BIN)/python -m uv pip compile -q --generate-hashes --python-version 3.11 requirements.in \
	    --override requirements.overrides -o requirements.lock --custom-compile-command "make lock"

clean:  ## remove the environment and what was built
	rm -rf $(VENV) .build
