# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Recipes name paths relative to this folder, so that it may lie anywhere, under a name with spaces too.

SHELL := /bin/bash
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin

.PHONY: help install demo test check format faults bench bench-full bench-pairs lock docs clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed ## Create ./.venv with the `uploads` command in it.

.venv/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: PYTHON=/path/to/python3.11 make …"; exit 1; }
	@echo "Creating ./.venv with $$($(PYTHON) --version) (about a minute, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: install ## The main job as a story, on an embedded PostgreSQL and an embedded broker.
	@$(BIN)/uploads demo

test: install ## The whole suite, against real PostgreSQL and real Kafka.
	$(BIN)/pytest --ignore tests/faults --numprocesses 2 --dist loadfile
	$(BIN)/pytest tests/faults # alone: beside others its servers time out

faults: install ## Every fault of docs/reliability.md, in about half an hour; FAULTS="F1 F7" for some, SEEDS=20.
	@$(BIN)/python -m tests.faults $(FAULTS)

bench: .venv/.bench-installed ## Every row of docs/performance.md in a quarter of an hour; BENCH="P1 P3" for some.
	@$(BIN)/python -m bench $(BENCH)

bench-full: .venv/.bench-installed ## The same with more rows and runs, in about an hour and a half.
	@$(BIN)/python -m bench --full $(BENCH)

bench-pairs: install ## Processor time of two checkouts: BEFORE=DIR, and PAIRS=30, BENCH="P1 P3" if you like.
	@$(BIN)/python -m bench.pairs --before "$(BEFORE)" $(if $(PAIRS),--pairs $(PAIRS)) $(BENCH)

.venv/.bench-installed: .venv/.installed requirements-bench.lock
	@echo "Installing what the service is compared with"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-bench.lock
	@touch $@

check: install ## Formatter, linter, types, floors, dead code, the compose file.
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: install ## Format and fix what can be fixed.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: install ## Render the generated pages again.
	$(BIN)/python -m service.docs

lock: ## Pin the newest versions that fit, with hashes.
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--extra demo --group dev pyproject.toml --output-file requirements.lock --upgrade
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml --constraint requirements.lock --output-file requirements-service.lock
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		--group bench --constraint requirements.lock --output-file requirements-bench.lock
	echo hatchling | uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header \
		--no-annotate - --constraint requirements.lock --output-file requirements-build.lock

clean: ## Remove what the commands above made.
	rm -rf .venv .parts .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
