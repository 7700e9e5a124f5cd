# `make book` and `make test` do all the set-up on a fresh machine: any Python from 3.11 to 3.14 is enough.
FITS   := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python $(HOME)/.pyenv/versions/3.1*/bin/python; do \
	$$p -c '$(FITS)' 2>/dev/null && echo $$p && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
PROFILE ?= embedded

.PHONY: help book test slow lab figures lint browser clean
help:            ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c '$(FITS)' 2>/dev/null || { echo "Python 3.11 to 3.14 is needed$(if $(PYTHON),; $(PYTHON) is none): install one, or make PYTHON=/path/to/it"; exit 2; }
	@echo "installing into $(VENV): about 6 GB, two to five minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[book,lab,test,imagenet,clips]'
	@# JupyterLab opens the text notebooks as notebooks
	@$(BIN)/jupytext-config --settings-file $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json \
		set-default-viewer markdown
	@touch $(READY)

book: $(READY)   ## execute the chapters and make the pages: _build/embedded/html/index.html
	$(BIN)/arsr book --profile $(PROFILE) $(if $(DATA),--data '$(DATA)')

test: $(READY)   ## the default test suite
	$(BIN)/python -m pytest -n 2 $(ARGS)

slow: $(READY)   ## the tests that the default suite leaves out for their time
	$(BIN)/python -m pytest -m slow tests $(ARGS)

browser: $(READY) ## open the built pages in Chromium, network off
	$(BIN)/python -m pytest -m browser tests $(ARGS)

lab: $(READY)    ## open the chapters as notebooks in JupyterLab
	$(BIN)/jupyter lab book

figures: $(READY) ## build the book and copy its figures to figures/
	$(BIN)/arsr book --figures

lint: $(READY)   ## style, of the chapters too; who may import whom; is all documented
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest tests/test_chapters.py tests/test_documented.py

clean:           ## remove everything that was built
	rm -rf _build
