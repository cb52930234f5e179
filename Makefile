# Two commands do it all on a machine with Python >= 3.11 and make:
#   make demo   the main job, for real      make test   what a developer runs; CI also runs what .ci/run says
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Four test processes on two cores, because many a test waits. A file's tests stay together, because they share what is
# slow to start; the longest come first, as tests/durations.json has them: RECORD_DURATIONS=1 make test writes it again.
AT_ONCE = -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
PROCESSES := 4
# $(call tests,python,which): in CI, a machine of two cores that others share, what fails is named and run once more, alone:
# what fails twice fails.
tests = $(1) -m pytest $(2) $(AT_ONCE) || \
  { test -n "$$CI" && $(1) -m pytest $(2) --last-failed --last-failed-no-failures none; }
# What is imported is compiled once, and not by every process again: Airflow's imports take half the time then.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo sigkill test fast release-test pythons matrix databases lint peers docs pictures bench wheel constraints clean

demo: $(INSTALLED)
	@$(BIN)/python -m demo $(if $(CHECK),--check) $(if $(PORT),--port $(PORT))

# A task killed ten times under Airflow's scheduler, and no row lost: four minutes.
sigkill: $(INSTALLED)
	@$(BIN)/python -m demo.sigkill

test: lint fast peers
	$(call tests,$(BIN)/python,-m "not fast and not release")

# What is slow by nature: the wheel, the benchmarks, many kills, memory, a search for secrets in all that is left behind,
# the demo in a browser, most runs of whole DAGs, and all but the first rows of tables that are slow together.
release-test: peers
	$(call tests,$(BIN)/python,-m release)

# The engine alone, without Airflow, servers of databases and what is slow by nature: less than half a minute on two cores,
# or 30 s of CPU. Here few tests wait, and each process has to collect all of them first: three are faster than four.
fast: PROCESSES := 3
fast: $(INSTALLED)
	$(call tests,$(BIN)/python,tests/core -m fast)

# The same on every Python that .ci/pythons finds. Each has its own environment, with what the group core-tests
# names and no more, in the tested versions; all of these have wheels for 3.11 to 3.13.
ifneq ($(filter pythons,$(MAKECMDGOALS)),)
PYTHONS := $(shell .ci/pythons)
endif
VERSIONS = $(foreach found,$(PYTHONS),$(firstword $(subst =, ,$(found))))
FOUND = $(patsubst $*=%,%,$(filter $*=%,$(PYTHONS)))
pythons: $(VERSIONS:%=$(VENV)/pythons/%/.installed)
	@passed=; failed=; for version in $(VERSIONS); do \
	  $(VENV)/pythons/$$version/bin/python -VV; \
	  if $(call tests,$(VENV)/pythons/$$version/bin/python,tests/core -m "not release"); \
	  then passed="$$passed $$version"; else failed="$$failed $$version"; fi; done; \
	echo "Core tests passed on Python:$${passed:- none}; failed on:$${failed:- none}"; test -n "$$passed" -a -z "$$failed"

$(VENV)/pythons/%/.installed: pyproject.toml constraints.txt | $(INSTALLED)
	$(BIN)/uv venv -q --clear --python $(FOUND) $(@D) || $(FOUND) -m venv --clear $(@D)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["core-tests"], sep="\n")' \
	  > $(@D)/requirements.txt
	$(BIN)/uv pip install -q --python $(@D)/bin/python -r $(@D)/requirements.txt -c constraints.txt || \
	$(BIN)/python -m pip --python $(@D)/bin/python install -q -r $(@D)/requirements.txt -c constraints.txt
	touch $@

# Each version of Airflow that the package is for, in an environment of its own, as of a day after its release, and under
# its scheduler: two or three minutes each, with make matrix ARGS="2.11.2 3.0.6" some of them. What they find is kept in
# tests/matrix/results.json.
matrix: $(INSTALLED)
	$(BIN)/python tests/matrix/run.py $(ARGS)

# Each database that the package knows, by one suite. Some of their drivers are compiled, which needs Debian's
# libmariadb-dev, pkg-config and a compiler; where a server is not installed, its tests are skipped.
DIALECTS := $(addprefix tests/databases/dialects/,duckdb mysql snowflake)
databases: PROCESSES := 2
databases: $(VENV)/databases/.installed
	$(call tests,$(VENV)/databases/bin/python,tests/every_database $(DIALECTS))

$(VENV)/databases/.installed: pyproject.toml constraints-databases.txt | $(INSTALLED)
	$(BIN)/uv venv -q --clear --python $(BIN)/python $(@D) || $(BIN)/python -m venv --clear $(@D)
	{ $(BIN)/uv pip install -q --python $(@D)/bin/python -r constraints-databases.txt && \
	  $(BIN)/uv pip install -q --python $(@D)/bin/python --no-deps -e . ; } || \
	{ $(BIN)/python -m pip --python $(@D)/bin/python install -q -r constraints-databases.txt && \
	  $(BIN)/python -m pip --python $(@D)/bin/python install -q --no-deps -e . ; }
	touch $@

# What others wrote, for a few tests: servers, and a judge of accessibility; where there is no Node.js, those are skipped.
PEERS := axe-core@4.14.1 @mockoon/cli@9.9.0 graphql@16.15.0 graphql-http@1.22.4 json-server@0.17.4 oidc-provider@8.8.1
PEERS_INSTALLED := $(VENV)/peers/.installed-$(firstword $(shell echo "$(PEERS)" | cksum))
peers: $(INSTALLED)
	@if ! test -e $(PEERS_INSTALLED) && command -v npm > /dev/null; then \
	  npm install --prefix $(VENV)/peers --no-package-lock --no-save --no-audit --no-fund --loglevel=error \
	    $(PEERS) && touch $(PEERS_INSTALLED) || echo "$(PEERS) could not be installed: their tests will be skipped"; fi

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The pages, as HTML in docs/_build. A warning is an error; tests/docs hold what they say.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx -b html -q -W --keep-going docs docs/_build

# The pictures of the tabs, light and dark, of two widths, by the tests that use them: eight minutes. Look at each.
pictures: $(INSTALLED)
	SCREENSHOTS=docs/pictures $(BIN)/python -m pytest -n0 $(addprefix tests/ui/test_,browser.py windows_tab.py \
	  deliveries_page.py)

# As make bench ARGS="single bulk --json figures.json --plot throughput.svg"; --help tells what else there is.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(ARGS)

wheel: $(INSTALLED)
	$(BIN)/python -m build

# uv installs in seconds what takes pip minutes; where uv cannot, pip does the same.
export UV_SYSTEM_CERTS := 1
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=/path/to/python3")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv || true
	{ $(BIN)/uv pip install -q --python $(BIN)/python -r constraints.txt && \
	  $(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e . ; } || \
	{ $(BIN)/python -m pip install -q -r constraints.txt && $(BIN)/python -m pip install -q --no-deps -e . ; }
	touch $@

# The tested versions of everything: plain name==version lines.
constraints: $(INSTALLED)
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --group dev pyproject.toml -o constraints.txt
	$(BIN)/uv pip compile -q --upgrade --python-version 3.11 --no-emit-index-url --no-annotate --no-header \
	  --group databases pyproject.toml -o constraints-databases.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist docs/_build
