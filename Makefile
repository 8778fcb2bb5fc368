# The commands of this project, the same for people and CI. Each target sets up what it needs.
#   make demo                         everything on this machine, with examples
#   make test [LEVEL=unit] [K=expr]   all tests, one level, or those whose name matches
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-bench/.ready
DEV := $(BIN)/python -m fluid_dev

.DEFAULT_GOAL := help
.PHONY: help setup lock lock-check lint types imports crds generated packages binaries image test field-matrix demo demo-check demo-queue bench-queue bench-jobs bench-schedules soak down clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(READY) ## Create .venv with the pinned packages; nothing to do if it is up to date

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is missing or older than 3.11: install a newer one, or name it: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || rm -rf .venv
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment: install python3-venv (or run scripts/packages as root)" >&2; exit 1; }
	@echo "installing the pinned packages into .venv ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: $(READY) ## Write requirements.lock anew from pyproject.toml
	scripts/lock

lock-check: $(READY) ## Fail if requirements.lock does not match pyproject.toml
	scripts/lock --check

lint: $(READY) ## Style and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## Strict types (mypy)
	$(BIN)/mypy

imports: $(READY) ## Direction of imports between the packages
	$(BIN)/lint-imports

crds: $(READY) ## Generate crds/ and docs/reference/ from the models
	$(BIN)/python -m fluid_operator.api.generate

GENERATED := crds docs/reference
generated: crds ## Fail if generated files are not what is committed
	@git diff --exit-code --stat -- $(GENERATED) && test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" || \
	  { git status --short -- $(GENERATED); echo "generated files have changed: commit what 'make crds' wrote" >&2; exit 1; }

packages: ## Install the distribution packages that demo and tests need (as root), or name them
	@scripts/packages $(if $(NODE)$(filter node,$(LEVEL)),node)

binaries: $(READY) ## Find or build the programs of the local cluster; NODE=1: of a real node too
	@$(DEV) binaries $(if $(NODE),--node)

image: $(READY) ## Build the image from the Dockerfile into an archive (Docker, or buildah as root)
	@$(DEV) image

test: $(READY) packages ## All tests; LEVEL=unit|queue|cluster|node for one level, K=expr to pick
	@case "$(LEVEL)" in ""|cluster) $(DEV) binaries > /dev/null;; node) $(DEV) binaries --node > /dev/null;; esac
	@scripts/test "$(LEVEL)" "$(K)"

field-matrix: $(READY) packages ## What the tests prove about each field of FluidJob; O=json for programs
	@$(DEV) binaries > /dev/null
	@scripts/field-matrix $(if $(O),-o $(O))

demo: $(READY) packages ## Start the demo, or what of it does not run any more; NODE=1: with a real node (root)
	@$(DEV) $(if $(NODE),node-up,up)

demo-check: $(READY) ## Compare the demo's examples with what they promise
	@$(DEV) demo-check

demo-queue: $(READY) packages ## The queue without Kubernetes: Redis, a worker, a few jobs
	@$(DEV) queue-up

bench-queue: $(READY) $(PEERS) packages ## Measure the queue beside its peers: some 20 minutes; QUICK=1: three
	@$(BIN)/python -m benchmarks.queue $(if $(QUICK),--quick)

bench-jobs: $(READY) packages ## Measure FluidJobs beside native Jobs and a bare client: some 15 minutes; QUICK=1: three
	@$(BIN)/python -m benchmarks.jobs $(if $(QUICK),--quick)

bench-schedules: $(READY) packages ## Measure FluidSchedules beside CronJobs: some 8 minutes; QUICK=1: three
	@$(BIN)/python -m benchmarks.schedules $(if $(QUICK),--quick)

$(PEERS): requirements-bench.lock
	@$(PYTHON) -m venv --clear $(@D)
	@echo "installing the peers into $(@D) ..."
	@$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

soak: $(READY) packages ## Jobs by the thousand while parts are killed and frozen; MINUTES=3, SEED=n for the same again
	@$(DEV) binaries > /dev/null
	@PYTHONPATH=tests $(BIN)/python -m soak --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED))

down: $(READY) ## Stop whatever the demos started, and remove its state
	@$(DEV) down

clean: ## Stop the demo; remove .venv and all caches of this checkout (built programs stay in the user's cache)
	@! test -d .local || $(MAKE) --no-print-directory down
	rm -rf .venv .venv-bench dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
