# make run · make test — both work on a machine that has only Python 3.11+ (with venv) and make.
PYTHON ?= python3
BIN := .venv/bin
# The build backend is installed like every other package: locked, hashed, and not fetched again by pip.
BACKEND := flit_core >=4.2,<5
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate
COMPILE = printf '$(BACKEND)\n' | $(BIN)/uv pip compile pyproject.toml - $(LOCK)

.PHONY: run test soak check bench lock setup clean

run: .venv/run.stamp  ## the daemon with config.toml
	@$(BIN)/pgmwatch run || [ $$? -eq 130 ]

test: .venv/dev.stamp .venv/receivers.stamp  ## the whole test suite
	@$(BIN)/pytest --numprocesses 2 --dist loadgroup

soak: .venv/dev.stamp  ## the tests that take minutes
	@$(BIN)/pytest -m soak

check: .venv/dev.stamp  ## format, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: .venv/dev.stamp  ## speed, as ratios measured side by side
	@$(BIN)/python -m benchmarks

lock: .venv/dev.stamp  ## renew requirements*.txt
	$(COMPILE) --output-file requirements.txt
	$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	$(BIN)/uv pip compile --group pyproject.toml:receivers $(LOCK) --output-file requirements-receivers.txt

setup: .venv/dev.stamp .venv/receivers.stamp

clean:
	rm -rf .venv

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "pgmwatch needs Python 3.11 or newer; '$(PYTHON)' is not (try: make $(MAKECMDGOALS) PYTHON=python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.platform == "win32")' || { \
		echo "pgmwatch runs on Linux and macOS; on Windows, under WSL2" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "this Python has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

# --no-deps: the lock files name everything; anything they do not name must not come in.
.venv/run.stamp: .venv/python.stamp requirements.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $@

# What the tests run as a program, away from what they test: a Matrix server brings cryptography, with which Apprise
# would do what it does not do at a user's. Where it cannot be had, its tests are skipped, and say so.
.venv/receivers.stamp: .venv/python.stamp requirements-receivers.txt
	$(PYTHON) -m venv .venv/receivers
	@.venv/receivers/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		-r requirements-receivers.txt && touch $@ || echo "no Matrix server: its tests will be skipped" >&2
