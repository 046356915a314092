# Two commands for a fresh machine: `make demo` and `make test`. Both do all the set-up they need.
SHELL := /bin/bash
PYTHON := /usr/bin/python3
BIN := .venv/bin
APT := python3-venv python3-dev gcc pkg-config libsystemd-dev dmidecode

.PHONY: demo test test-fast bench lint clean system

demo: .venv/runtime
	$(BIN)/guestcred --root fixtures/dmi/debian13 check

test: test-fast

test-fast: lint
	$(BIN)/pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev
	$(BIN)/python tests/bench.py

# systemd-python is compiled: it wants Python's and systemd's headers and a C compiler
system:
	@missing=$$(dpkg-query -W -f '$${Package} $${Status}\n' $(APT) 2>/dev/null | awk '$$NF == "installed" {print $$1}' \
	  | sort | comm -13 - <(printf '%s\n' $(APT) | sort) | xargs); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then become=; \
	  elif sudo -n true 2>/dev/null; then become="sudo -n"; \
	  else echo "guestcred: these packages are missing; type: sudo apt-get install --no-install-recommends $$missing" >&2; exit 1; fi; \
	  $$become apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$become apt-get install -y -qq --no-install-recommends $$missing >/dev/null || \
	  { echo "guestcred: apt-get could not install $$missing" >&2; exit 1; }; \
	fi

.venv/runtime: pyproject.toml | system
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check wheel setuptools
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e .
	touch $@

.venv/dev: pyproject.toml .venv/runtime
	$(BIN)/pip install -q --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	$(BIN)/pip install -q --disable-pip-version-check --upgrade --no-deps --target .venv/oldest construct==2.10.68 click==8.1.3
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
