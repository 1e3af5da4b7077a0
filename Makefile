# Two commands set everything up on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
# As many processes as there are cores; empty runs one test after the other.
PYTEST_ARGS ?= -n auto
BIN := $(VENV)/bin

.PHONY: help demo gallery test lint types events scatter clean

help:
	@echo "make demo     install, train pcm_nano on synthetic shapes, evaluate, predict, draw"
	@echo "make test     install the test tools too, check style and types, run all tests"
	@echo "make gallery  make docs/gallery.md and its pictures from a run (RUN=folder, or a new one)"
	@echo "make events   add the event packages (tonic, aedat, expelliarmus, spikingjelly)"
	@echo "make scatter  add torch-scatter, built against the installed torch"
	@echo "make clean    remove the virtual environment and caches"

demo:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" viz
	"$(BIN)/python" tools/demo.py

gallery:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" viz
	"$(BIN)/python" tools/gallery.py $(if $(RUN),--run "$(RUN)")

test:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" dev
	sh tools/setup_display.sh
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/pytest" $(PYTEST_ARGS) -m "not timing"
	"$(BIN)/pytest" -m timing

lint:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" dev
	"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

types:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" dev
	"$(BIN)/mypy"

events:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" events
	sh tools/setup_spikingjelly.sh "$(VENV)"

scatter:
	PYTHON="$(PYTHON)" sh tools/setup.sh "$(VENV)" viz
	"$(BIN)/python" -m pip install --quiet setuptools wheel
	"$(BIN)/python" -m pip install --no-build-isolation -c constraints.txt torch-scatter

clean:
	rm -rf "$(VENV)" build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
