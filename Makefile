# Retail sales ETL: the commands. `make help` lists them.
PYTHON ?= python3.11
DATE ?= 2017-12-23
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help install run up down clean status register sql test test-unit lint format docs requirements

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
run: install ## start everything and load one day: make run DATE=2017-12-23
	@$(BIN)/python -m local.run "$(DATE)"

sql: install ## ask the warehouse: make sql Q="select count(*) from sales_fact"
	@$(BIN)/python -m local.sql "$(Q)"

##@ Local stack
up: install ## start the local stack in the background; .local/stack.env says how to reach it
	@$(BIN)/python -m local up

down: ## stop the local stack, keep its data
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; fi

clean: ## stop the local stack and remove its data
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local clean; else rm -rf .local; fi

status: install ## show which parts of the stack are up
	@$(BIN)/python -m local status

register: install ## register blocks and variables of the local stack on its Prefect server
	@set -a && . ./.local/stack.env && $(BIN)/python -m blocks.register

##@ Develop
install: $(INSTALLED) ## make the virtual environment with everything in it

test: install ## run all tests
	@$(BIN)/python -m pytest

test-unit: install ## run the tests that need no stack
	@$(BIN)/python -m pytest tests/unit

lint: install ## check style, types and the arrows between folders
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: install ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

docs: install ## write the pages of docs/ that are made from the code
	@$(BIN)/python -m docs.render

requirements: install ## pin requirements again after editing requirements*.in
	@$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt

$(INSTALLED): requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH: install Python 3.11, or name it with PYTHON=..." >&2; exit 1; }
	@echo "installing the packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements-dev.txt
	@touch $@
