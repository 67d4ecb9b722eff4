# Every target makes the environment it needs. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
# Processes of `make test`; three are a third faster where nothing else is at work.
JOBS ?= 2
# The tests start hundreds of interpreters, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

CORE := tests/core tests/flow tests/picture

.PHONY: demo test test-core test-rest check prove bench bench-large bench-pages format clean

demo: $(VENV)/.installed
	$(PY) -m demo $(ARGS)

# The core runs once, under coverage, beside the rest.
test: $(VENV)/.installed
	@$(MAKE) --no-print-directory --jobs=2 test-core test-rest

test-core: $(VENV)/.installed
	$(PY) -m coverage run -m pytest $(CORE)
	$(PY) -m coverage report --fail-under=100

test-rest: $(VENV)/.installed
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(CORE:%=--ignore=%) tests

check: $(VENV)/.installed
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/basedpyright
	$(VENV)/bin/lint-imports

prove: $(VENV)/.installed
	$(PY) -m proof.run $(ARGS)

bench: $(VENV)/.installed
	$(PY) -m benchmarks.run $(ARGS)

bench-large: $(VENV)/.installed
	$(PY) -m benchmarks.run --only history-large $(ARGS)

bench-pages: $(VENV)/.installed
	$(PY) -m benchmarks.run --only pages $(ARGS)

format: $(VENV)/.installed
	$(PY) -m ruff check --fix .

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.12 names another one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-peers .prove demo-data .pytest_cache .mypy_cache .ruff_cache .hypothesis
