# Supply Watch. `make` alone tells what can be done.

SCENARIO  ?= vietnam
PORT_BASE ?= 8000
RUN_DIR   ?= .run
CLOCK     ?= real
LONG_SECONDS ?= 3600
export SCENARIO PORT_BASE RUN_DIR CLOCK

VENV       := .venv
TOOLS      := build/tools
TOOLS_LOCK := deploy/release/tools.lock
BIN        := $(VENV)/bin
INSTALLED  := $(VENV)/.installed
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON     ?= $(firstword $(foreach python,python3.13 python3.12 python3.11 python3,$(if $(shell $(python) -c '$(NEW_ENOUGH)' 2>/dev/null && echo yes),$(python))))
SOURCES    := bench deploy services shared tests

.DEFAULT_GOAL := help
.PHONY: help install run demo test test-proof test-long bench bench-long check-rules check-prometheus lint format documents messages tools release lock clean

help: ## Tell what can be done
	@echo "Supply Watch: an exact ledger of a nation's medicine supply, goals, and alerts that reach people."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-24s %s\n", $$1, $$2}'
	@echo
	@echo "  SCENARIO=$(SCENARIO)   vietnam: a simulated market; none: an empty system (make run)"
	@echo "  PORT_BASE=$(PORT_BASE)     ingest +10, supply +20, alerts +30, Kafka +40, PostgreSQL +50, receiver +60,"
	@echo "                     Prometheus +70, Grafana +80"
	@echo "  RUN_DIR=$(RUN_DIR)       holds data, secrets and logs between runs"
	@echo "  CLOCK=$(CLOCK)         or <domain start, RFC 3339>@<domain seconds a real second>"
	@echo "  make test-long: LAWS_SEED=<seed> LAWS_STEPS_PURE=190000 LAWS_STEPS_POSTGRESQL=10000 LONG_SECONDS=$(LONG_SECONDS), for each of its three parts"
	@echo "  make bench: EVENTS=500000 ROUNDS=3 HISTORY=5000000 ONLY=rate,two,as_of,pages,rebuild,history,alerts,latency,ingest,edge"

install: $(INSTALLED) ## Make .venv with every package, pinned by hash

$(INSTALLED): requirements.lock
	@test -n "$(PYTHON)" || { echo "Supply Watch needs Python 3.11 or newer; none of python3.13, python3.12, python3.11, python3 is" >&2; exit 2; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "Supply Watch needs Python 3.11 or newer, $(PYTHON) is older" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@echo "installing the packages of requirements.lock into $(VENV) …"
	@$(PYTHON) -m deploy.release.requirements $(TOOLS_LOCK) --only uv > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/uv.txt || { echo "pip cannot install uv: is the package index reachable?" >&2; exit 2; }
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "supply-watch.pth").write_text("$(CURDIR)\n")'
	@printf '#!/bin/sh\nexec "%s/python" -m deploy.local.cli "$$@"\n' "$(CURDIR)/$(BIN)" > $(BIN)/supply-watch && chmod +x $(BIN)/supply-watch
	@touch $@

run: $(INSTALLED) ## Start everything here: Kafka, PostgreSQL, the services, simulated producers, a webhook receiver
	@exec $(BIN)/python -m deploy.local.cli local run

demo: $(INSTALLED) ## Play the scenario on a scaled clock and check that every alert arrives
	@exec $(BIN)/python -m deploy.local.cli local demo

test: $(INSTALLED) ## Unit tests, then tests on real Kafka and PostgreSQL
	@$(BIN)/python -m pytest tests/unit --numprocesses 2 -m "not proof"
	@$(BIN)/python -m pytest tests/stack --numprocesses 2 --dist loadfile -m "not proof"

test-proof: $(INSTALLED) ## What takes many cases: generated, hostile and forged requests, floods, tampering; API_CASES=2000 API_SEED=<seed>
	@$(BIN)/python -m pytest tests/stack -m proof

bench: $(INSTALLED) ## Measure rates, answers, rebuild and memory against the targets: build/bench.json
	@exec $(BIN)/python -m bench.cli

bench-long: $(INSTALLED) ## The same with 20,000,000 movements already there
	@HISTORY=20000000 exec $(BIN)/python -m bench.cli

test-long: $(INSTALLED) ## The laws of the ledger by 200,000 steps (LAWS_SEED=<seed> repeats a run); alerts killed for two minutes
	@LAWS_STEPS_PURE=$${LAWS_STEPS_PURE:-190000} timeout $(LONG_SECONDS) $(BIN)/python -m pytest tests/unit/test_supply_laws.py
	@LAWS_STEPS_POSTGRESQL=$${LAWS_STEPS_POSTGRESQL:-10000} timeout $(LONG_SECONDS) $(BIN)/python -m pytest tests/stack/test_supply_laws.py --services=
	@ALERTS_KILL_CHANGES=5000 ALERTS_KILL_SECONDS=120 ALERTS_KILL_INSTANCES=3 timeout $(LONG_SECONDS) $(BIN)/python -m pytest tests/stack/test_alerts_kill.py -s

check-rules: $(INSTALLED) ## Read the rules of alerts and run their tests; names file and line of what is wrong
	@$(BIN)/python -m services.alerts.check_rules $(RULES)

check-prometheus: ## Check Prometheus' configuration and rules, and run their tests (needs promtool)
	@command -v promtool >/dev/null || { echo "promtool is missing: Debian has it in the package prometheus" >&2; exit 2; }
	@promtool check config deploy/prometheus/prometheus.yml
	@promtool test rules deploy/prometheus/tests/*.yml

lint: $(INSTALLED) ## ruff, mypy --strict, and the layers by import-linter
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

documents: $(INSTALLED) ## Write the committed JSON Schemas, OpenAPI and AsyncAPI documents, metrics and dashboards anew
	@$(BIN)/python -m shared.events.write_schemas
	@$(BIN)/python -m deploy.documents

messages: $(INSTALLED) ## Gather what pages say into translations/vi.po, and name what is not translated
	@$(BIN)/python -m shared.messages

tools: $(TOOLS)/.installed ## Make build/tools with what builds and checks a release, pinned by hash

$(TOOLS)/.installed: $(INSTALLED) $(TOOLS_LOCK)
	@$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python $(TOOLS)
	@$(BIN)/uv pip sync --quiet --python $(TOOLS)/bin/python --require-hashes $(TOOLS_LOCK)
	@touch $@

release: $(TOOLS)/.installed ## Build sdist and wheel, install them into an empty environment, tell what is in them: build/release
	@$(BIN)/python -m deploy.release.build

LOCK := uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
lock: $(INSTALLED) ## Pin the packages of pyproject.toml and the tools again, newest versions, by hash
	@$(BIN)/$(LOCK) --all-extras pyproject.toml --output-file requirements.lock
	@$(BIN)/$(LOCK) deploy/release/tools.in --output-file $(TOOLS_LOCK)

clean: ## Remove .venv, caches and build; data in RUN_DIR stays
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
