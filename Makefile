# make demo        install into .venv and show what the built-in pipeline does
# make test        install what the tests need and run all checks and tests
#                  (BROWSER=install also installs Chromium, which the browser tests open)
# make zoo         trace hundreds of architectures, and print pass or fail for each
#                  (ONLY="bert swin" for some)
# make bench       measure, one JSON list per benchmark
# make peers       measure other tracers beside ours, in an environment of their own
# make checkers    measure what checkers of silent bugs find beside ours, in the same environment
# make loggers     measure training beside other loops and loggers, in the same environment
# make lock        renew constraints.txt
# make screenshots renew the pictures of the documentation
# make clean       remove what was installed and built

PYTHON ?= python3
TORCH ?= 2.13.0
PARALLEL ?= 2
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PARTS := checkers forwards longrun loops measure scalars tracers
BENCHMARKS := $(filter-out $(PARTS:%=benchmarks/%.py),$(wildcard benchmarks/*.py))

ifeq ($(CI),true)
BROWSER := install
endif

.PHONY: demo test zoo bench peers checkers loggers lock screenshots clean browser

demo: $(VENV)/demo.stamp
	$(BIN)/pipetrace run

test: $(VENV)/test.stamp browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n $(PARALLEL)

zoo: $(VENV)/zoo.stamp
	PYTHONPATH=tests $(BIN)/python -m zoo $(if $(ONLY),--only $(ONLY))

bench: $(VENV)/demo.stamp
	@for benchmark in $(BENCHMARKS); do $(BIN)/python $$benchmark --json || exit 1; done

peers: $(PEERS)/peers.stamp
	@$(PEERS)/bin/python benchmarks/capture.py --table

checkers: $(PEERS)/checkers.stamp
	@$(PEERS)/bin/python benchmarks/checks.py

loggers: $(PEERS)/loggers.stamp
	@$(PEERS)/bin/python benchmarks/training.py

browser:
	@if [ "$(BROWSER)" = install ]; then bash .ci/browser; fi

screenshots: $(VENV)/test.stamp
	$(BIN)/python docs/screenshots.py

lock:
	PYTHON=$(PYTHON) TORCH=$(TORCH) bash .ci/lock

clean:
	rm -rf $(VENV) $(PEERS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "pipetrace needs Python 3.11 or newer, and there is no '$(PYTHON)' here." \
	       "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pipetrace needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv"; \
	  exit 1; }

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e ".[all]"
	@touch $@

# Dependency groups need pip 25.1; a fresh Python 3.11 brings an older one.
$(VENV)/pip.stamp: $(VENV)/demo.stamp
	$(PIP) install --quiet "pip>=25.1"
	@touch $@

$(VENV)/zoo.stamp: $(VENV)/pip.stamp
	$(PIP) install --quiet -c constraints.txt --group zoo
	@touch $@

$(VENV)/test.stamp: $(VENV)/pip.stamp
	$(PIP) install --quiet -c constraints.txt --group test
	@touch $@

$(PEERS)/peers.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e . --group peers
	@touch $@

$(PEERS)/checkers.stamp: $(PEERS)/peers.stamp
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt --group checkers
	@touch $@

$(PEERS)/loggers.stamp: $(PEERS)/peers.stamp
	$(PEERS)/bin/python -m pip install --quiet -c constraints.txt -e ".[tabular]" \
	  --group frameworks --group loggers
	@touch $@
