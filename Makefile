# Retail sales ETL: the commands. `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SPARK_INSTALLED := $(VENV)/.installed-spark
# The local stack's directory. The shell finds it: make splits paths at blanks.
STACK_DIR = STACK_DIR="$${RETAIL_SALES_LOCAL_DIR:-.local}"; case "$$STACK_DIR" in /*) ;; *) STACK_DIR="$$PWD/$$STACK_DIR";; esac
# The server that PREFECT_API_URL names, else the local stack's.
WITH_SERVER = $(STACK_DIR); STACK_ENV="$$STACK_DIR/stack.env"; \
	if [ -z "$$PREFECT_API_URL" ] && [ -f "$$STACK_ENV" ]; then set -a; . "$$STACK_ENV"; set +a; fi; \
	export PREFECT_EXPERIMENTAL_EVENTS=true PREFECT_EXPERIMENTAL_WARN=false
# Without the packages, nothing can be stopped.
IS_DOWN = $(STACK_DIR); if ls "$$STACK_DIR"/run/*.pid >/dev/null 2>&1; then \
	echo "the stack in $$STACK_DIR may be up, and $(VENV) has no packages to stop it: run \`make install\` first" >&2; exit 1; fi
export PYTHONUNBUFFERED = 1
# Settings come from make's command line alone: in a shell, names like DATE and ENVIRONMENT may be anybody's.
on_command_line = $(filter command,$(origin $(1)))
GIVEN := $(foreach name,DATE REGIONS ENGINE Q AS_OF FILE FORMAT ARGS ROWS ACTIVE EVERY,$(if $(call on_command_line,$(name)),$(name)))
# They reach Python unchanged, through the environment: neither make nor the shell expands a $ or a quote in them.
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name)))$(eval export $(name)))
# $(call given,NAME,text,text without it)
given = $(if $(filter $(1),$(GIVEN)),$(2),$(3))
# The environment of a command: production, unless ENVIRONMENT names another, or RETAIL_SALES_ENVIRONMENT in the shell.
$(if $(call on_command_line,ENVIRONMENT),$(if $(value ENVIRONMENT),$(eval export RETAIL_SALES_ENVIRONMENT := $$(value ENVIRONMENT))))

SPARK := $(call given,ENGINE,$(filter spark,$(ENGINE)))

# Three stacks on two cores: while a test waits, others work. -v: which test runs.
PYTEST = $(BIN)/python -m pytest -n 3 -v --durations=20

.DEFAULT_GOAL := help
.PHONY: help install run up down clean status register page mails deploy worker shell prefect runs ledger check rejected data-docs watchdog sql test test-unit test-more test-snowflake bench bench-guard bench-history bench-latency bench-prefect bench-year lint format docs screenshots requirements

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use
run: install $(if $(SPARK),$(SPARK_INSTALLED)) ## start everything and load one day: make run DATE=2017-12-23 [REGIONS="EUROPE US_WEST"] [ENGINE=spark]
	@$(BIN)/python -m local.run $(call given,DATE,"$$DATE",2017-12-23) $(call given,REGIONS,"$$REGIONS") $(call given,ENGINE,--engine "$$ENGINE")

sql: install ## query the warehouse: make sql Q="select ..." [FORMAT=csv|json], or its past: make sql AS_OF=20240115
	@FORMAT=$(call given,FORMAT,"$$FORMAT") $(BIN)/python -m local.sql $(call given,Q,"$$Q","") $(call given,AS_OF,"$$AS_OF")

##@ Local stack
up: install ## start the local stack in the background; .local/stack.env has its addresses
	@$(BIN)/python -m local up

down: ## stop the local stack, keep its data
	@if [ -f $(INSTALLED) ]; then $(BIN)/python -m local down; else $(IS_DOWN); fi

clean: ## stop the local stack and remove its data
	@if [ -f $(INSTALLED) ]; then $(BIN)/python -m local clean; else $(IS_DOWN); \
		if [ -f "$$STACK_DIR/ports.json" ]; then rm -rf "$$STACK_DIR"; fi; fi

status: install ## show which parts of the stack are up
	@$(BIN)/python -m local status

register: install ## register blocks and variables of the local stack, set up its warehouse: MIN_RECORD_COUNT=50 make register
	@$(BIN)/python -m local.register

page: install ## open the newest page of a run, and name the history of all dates
	@$(WITH_SERVER); $(BIN)/python -m local.page

mails: install ## show the mails that the local stack has received, the newest last
	@$(BIN)/python -m local.mails

##@ Operate
deploy: install ## apply this project to the Prefect server: blocks, pool, deployments, automations
	@$(WITH_SERVER); [ "$$SNOWFLAKE_HOST" != 127.0.0.1 ] || set -- --set-up-warehouse; $(BIN)/python -m deployments.apply "$$@"

worker: install ## run a worker here, which starts the runs that are due
	@$(WITH_SERVER); exec $(BIN)/python -m deployments.worker

shell: install ## open a shell with the project's prefect and python, and the server of make deploy
	@$(WITH_SERVER); exec $(BIN)/python -m deployments.shell

prefect: install ## run one Prefect command: make prefect ARGS="deployment run 'daily-sales/production' -p date=2024-01-15 --watch"
	@$(WITH_SERVER); exec $(BIN)/python -m deployments.prefect_command --line $(call given,ARGS,"$$ARGS","")

runs: install ## list the runs: running, waiting and why, ended
	@$(WITH_SERVER); $(BIN)/python -m deployments.runs

ledger: install ## show the newest dates of the ledger by region: published, failed, missing ...
	@$(WITH_SERVER); $(BIN)/python -m flows.show_ledger

check: install ## try every connection, permission and setting: a line each, ok or how to fix it
	@$(WITH_SERVER); PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL=CRITICAL $(BIN)/python -m flows.check_setup

rejected: install ## list the rejected rows that are open, by rule, region and age
	@$(WITH_SERVER); PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL=CRITICAL $(BIN)/python -m flows.list_rejected

watchdog: install ## report late days and dead runs by mail; needs no Prefect server
	@$(WITH_SERVER); [ ! -f "$$STACK_ENV" ] || export WATCHDOG_DIR="$${WATCHDOG_DIR:-$$STACK_DIR/watchdog}"; \
		$(BIN)/python -m flows.watchdog

data-docs: install ## write reports/data-docs: what the quality gate expects, as pages that open offline
	@$(BIN)/python -m tasks.pages.data_docs

##@ Develop
install: $(INSTALLED) ## create the virtual environment with all packages

test: $(call given,FILE,install,test-unit) ## run the tests, or a part: make test [FILE=tests/integration/publish]
	@$(PYTEST) $(call given,FILE,"$$FILE",-m "not more" tests/integration)

test-unit: install ## run the tests that need no stack
	@$(BIN)/python -m pytest -n 2 tests/unit

test-more: install $(SPARK_INSTALLED) ## run the tests that take minutes each, or install packages of Debian, npm or Spark
	@$(PYTEST) -m more tests/integration

test-snowflake: install ## run the tests for a real account, on the one that SNOWFLAKE_TEST_* names, else on the stand-in
	@$(BIN)/python -m pytest -v --durations=20 --account -m account tests/integration

bench: install $(if $(SPARK),$(SPARK_INSTALLED)) ## time the daily run, its floor and its peers, or an engine beside pandas: make bench [ROWS=500000] [ENGINE=spark]
	@$(BIN)/python -m $(if $(SPARK),benchmarks.engines,benchmarks) --rows $(call given,ROWS,"$$ROWS",500000)

bench-guard: install ## fail if the daily run is slow compared with its floor, on 4 x 50,000 rows
	@$(BIN)/python -m benchmarks --guard --rows 50000

bench-history: install ## time a day of 4 x 50,000 rows over 0, 10 and 40 million older sales: takes six minutes or more
	@$(BIN)/python -m benchmarks.history

bench-latency: install ## time a day of 4 x 3,000 rows with warehouse and Prefect server far away and nearby
	@$(BIN)/python -m benchmarks.latency

bench-year: install ## backfill the real year, compare it with a plain model: takes half an hour: make bench-year [ACTIVE=2]
	@$(BIN)/python -m benchmarks.year --max-active $(call given,ACTIVE,"$$ACTIVE",2)

bench-prefect: install ## fill a Prefect database with a year of watchdog passes, with retention: make bench-prefect [EVERY=240]
	@$(BIN)/python -m benchmarks.prefect_database --every $(call given,EVERY,"$$EVERY",5)

lint: install ## check style, types, the Dockerfile and docker-compose.yaml
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/hadolint --failure-threshold warning Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yaml

format: install ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

docs: install ## generate the pages of docs/ that come from the code
	@$(BIN)/python -m docs.render

screenshots: install ## take the pictures of the README, of the pages of the local stack
	@$(WITH_SERVER); $(BIN)/python -m docs.screenshots

requirements: install ## pin requirements again after editing requirements*.in
	@$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	@cd benchmarks/peers && ../../$(BIN)/uv pip compile --quiet --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt

$(INSTALLED): requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on the PATH: install Python 3.11, or name it with PYTHON=..." >&2; exit 1; }
	@echo "installing the packages into $(VENV) ..."
	@( s=0; while sleep 4 >/dev/null 2>&1 && kill -0 $$$$ 2>/dev/null; do \
			s=$$((s + 4)); echo "still installing the packages ($$s s)"; done ) & \
		sign_of_life=$$!; trap 'kill $$sign_of_life' EXIT; set -e; \
		$(PYTHON) -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9; \
		$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements-dev.txt
	@touch $@

$(SPARK_INSTALLED): requirements-spark.txt $(INSTALLED)
	@echo "installing the packages of engine spark into $(VENV) ..."
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-spark.txt
	@touch $@
