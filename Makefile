# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Recipes name paths relative to this folder, so that it may lie anywhere, under a name with spaces too.

SHELL := /bin/bash
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
LOWEST_PYTHON ?= 3.11
EXAMPLES ?= 300
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
CHECKS := check-format check-lint check-types check-imports check-dead-code check-schemas check-lowest
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-annotate

.PHONY: help install demo quick test long coverage check format faults bench bench-full bench-pairs lock upgrade \
	docs build hooks clean $(CHECKS)

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/.installed ## Create ./.venv with the `uploads` command in it.

.venv/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: PYTHON=/path/to/python3.11 make …"; exit 1; }
	@echo "Creating ./.venv with $$($(PYTHON) --version) (about a minute, once)"
	@$(PYTHON) -m venv .venv
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

demo: install ## The main job as a story, on an embedded PostgreSQL and an embedded broker.
	@$(BIN)/uploads demo

quick: install ## A minute: the unit tests, and some on a database.
	$(BIN)/pytest tests/unit tests/db/test_per_year.py tests/db/test_unit_specific.py \
		--quiet --numprocesses 2 --dist loadfile

test: install ## The whole suite, against real PostgreSQL and real Kafka.
	$(BIN)/pytest --ignore tests/faults --ignore tests/long --numprocesses 2 --dist loadfile
	$(BIN)/pytest tests/faults # alone: beside others its servers time out

long: install ## What takes longer than `make test`: any order, any cells; EXAMPLES=2000 for more of them.
	EXAMPLES=$(EXAMPLES) $(BIN)/pytest tests/db/test_any_order.py tests/long --numprocesses 2

# measuring makes tests two to three times slower: a time-out here does not count, and the figure is printed
coverage: install ## Which lines of the service `make test` runs, also those in workers of their own.
	@$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest --ignore tests/faults --ignore tests/long --numprocesses 2 --dist loadfile
	-$(BIN)/coverage run -m pytest tests/faults
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

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
	@$(INSTALL) --require-hashes --requirement requirements-bench.lock
	@touch $@

check: $(CHECKS) ## Formatter, linter, types, layers, dead code, configuration files, lowest versions.

check-format: install
	$(BIN)/ruff format --check

check-lint: install
	$(BIN)/ruff check

check-types: install
	$(BIN)/mypy

check-imports: install
	$(BIN)/lint-imports

check-dead-code: install
	$(BIN)/vulture

check-schemas: install
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/{bug,change}.yml
	$(BIN)/pre-commit validate-config

check-lowest: .venv-lowest/.tested

# the unit tests with the lowest versions that pyproject.toml allows; again when these or the service change
.venv-lowest/.tested: .venv-lowest/.installed $(shell find service -name '*.py')
	.venv-lowest/bin/pytest tests/unit --quiet --numprocesses 2
	@touch $@

.venv-lowest/.installed: requirements-lowest.lock pyproject.toml | install
	@echo "Creating ./.venv-lowest with the lowest versions that pyproject.toml allows"
	@$(BIN)/uv venv --quiet --clear --python $(LOWEST_PYTHON) .venv-lowest
	@$(BIN)/uv pip install --quiet --python .venv-lowest --require-hashes --requirement requirements-lowest.lock
	@$(BIN)/uv pip install --quiet --python .venv-lowest --no-build-isolation --no-deps --editable .
	@touch $@

format: install ## Format and fix what can be fixed.
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: install ## Render the generated pages again.
	$(BIN)/python -m service.docs

lock: install ## Pin what pyproject.toml asks for, with hashes; what is pinned already stays as it is.
	$(LOCK) $(UPGRADE) --extra demo --group dev pyproject.toml --output-file requirements.lock
	$(LOCK) $(UPGRADE) pyproject.toml --constraint requirements.lock --output-file requirements-service.lock
	$(LOCK) $(UPGRADE) --group bench --constraint requirements.lock --output-file requirements-bench.lock
	echo hatchling | $(LOCK) $(UPGRADE) - --constraint requirements.lock --output-file requirements-build.lock
	$(LOCK) --upgrade --resolution lowest-direct --extra demo --group test pyproject.toml \
		--output-file requirements-lowest.lock

upgrade: ## Pin the newest versions that fit.
	@$(MAKE) lock UPGRADE=--upgrade

build: install ## The wheel and the source archive, in ./dist.
	$(BIN)/python -m hatchling build

hooks: install ## Let every `git commit` run the quick ones of the checks.
	$(BIN)/pre-commit install

clean: ## Remove what the commands above made.
	rm -rf .venv .venv-lowest .parts .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache .coverage .coverage.* dist
