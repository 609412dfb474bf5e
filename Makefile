# Every command of the project; `make help` lists them.
PYTHON ?= python3
ROUNDS ?= 200
STORE ?= postgresql
SEED ?=
TRANSPORT ?= mtls
TERMINALS ?= 2000
WORKERS ?= $(shell expr $$(nproc) + 1)
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install system demo test lint smoke faults fleet crash-points bench pictures coverage mutation lock format

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.venv/installed: requirements.lock
	@PYTHON=$(PYTHON) bash .ci/system-packages python
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

install: .venv/installed ## Make the environment with the locked dependencies

system: ## Install what the tests need from Debian (mosquitto, haproxy, prometheus, postgresql, chromium, fonts)
	@bash .ci/system-packages tests

demo: install ## Start broker, cloud, a kiosk and twenty simulated ones; ARGS="--help" lists options
	@$(BIN)/python -m demo run $(ARGS)

smoke: install ## One card to one linked row, through restarts, in under a minute
	@$(BIN)/python -m demo smoke $(ARGS)

test: install system ## Unit, contract, integration and browser tests: WORKERS=3, how many files at once
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

faults: install system ## Kill, cut and fill up everything: ROUNDS=200 STORE=postgresql|sqlite TRANSPORT=mtls|password SEED=
	$(BIN)/python -m tests.faults --rounds $(ROUNDS) --store $(STORE) --transport $(TRANSPORT) $(if $(SEED),--seed $(SEED)) $(ARGS)

fleet: install system ## Thousands of terminals by mutual TLS, a third cut off: TERMINALS=2000, writes var/fleet.json
	$(BIN)/python -m tests.fleet --terminals $(TERMINALS) $(ARGS)

crash-points: install system ## SIGKILL before every single write and sync of the outbox; takes minutes
	ROOMLINK_TEST_EVERY_WRITE=1 $(BIN)/python -m pytest tests/integration/test_outbox_crash.py $(ARGS)

bench: install system ## Measure, and write var/bench.json
	$(BIN)/python -m tests.bench $(ARGS)

pictures: install system ## Take the pictures of the READMEs anew, from the real pages
	$(BIN)/python -m tests.e2e.take_pictures docs/pictures

coverage: install system ## All tests again, and which lines and branches they pass
	@mkdir -p var/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered > var/coverage/report.txt; tail -1 var/coverage/report.txt

mutation: install system ## Change the code on purpose and see which tests notice
	$(BIN)/python -m mutmut run $(ARGS)

lint: install ## ruff, mypy --strict, import-linter, and whether the lock file is fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python .ci/lock_is_fresh.py

format: install ## Let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-header \
	  --quiet --group dev pyproject.toml -o requirements.lock
