# make demo: see it work · make test: the suite · make check: lint, types, layers
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := postgresql redis-server chromium chromium-driver
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo -n)
# Compiled once at installation: Airflow's processes start in half the time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-system system faults fuzz restore-kills compat release-check cluster-test bench docs check compose-env format lock pictures vendor clean

help:
	@printf "%-20s%s\n" "make demo" "run the backup gate against a simulator, in a real Airflow (KEEP=1 leaves it up)"
	@printf "%-20s%s\n" "make test" "the test suite, without what the next line runs (7 minutes)"
	@printf "%-20s%s\n" "make test-system" "tests that start Airflow, PostgreSQL, Redis, a browser (13 minutes; see make system)"
	@printf "%-20s%s\n" "make system" "install those servers and the browser where they are missing (apt, sudo)"
	@printf "%-20s%s\n" "make faults" "every fault of docs/faults.md with every product, driver and page (7 minutes)"
	@printf "%-20s%s\n" "make fuzz" "100,000 made-up answers and policies (a quarter of an hour)"
	@printf "%-20s%s\n" "make restore-kills" "kill the worker of a restore 50 times at each point (half an hour)"
	@printf "%-20s%s\n" "make cluster-test" "300 gates in a Celery cluster whose parts are killed (13 minutes)"
	@printf "%-20s%s\n" "make compat" "the suite on every supported Airflow, from the wheel (ten runs, an hour and a half)"
	@printf "%-20s%s\n" "make release-check" "build, check and install the wheel, and run the demo from it (3 minutes)"
	@printf "%-20s%s\n" "make bench" "measure beside HttpOperator and HttpSensor, and write the tables of docs/benchmarks.md (15 minutes)"
	@printf "%-20s%s\n" "make check" "ruff, mypy --strict, the import directions"
	@printf "%-20s%s\n" "make docs" "build the documentation into docs/_build/html, and check its links"
	@printf "%-20s%s\n" "make compose-env" "write the .env that docker-compose.yaml needs"
	@printf "%-20s%s\n" "make format" "let ruff format the code"
	@printf "%-20s%s\n" "make lock" "resolve constraints.txt anew"
	@printf "%-20s%s\n" "make pictures" "take the pictures of docs/pictures anew: page, gate, form, report (two minutes)"
	@printf "%-20s%s\n" "make vendor" "fetch the libraries of the page in Airflow anew (npm)"
	@printf "%-20s%s\n" "make clean" "remove the virtual environment and what the demo left"
	@echo "Minutes are those of two cores."

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "This project needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt --editable '.[simulator]' --group dev --group docs
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/python -m demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadgroup --cov --cov-report=
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --fail-under=100 --include='airflow_provider_avepoint/core/*'

test-system: $(VENV)/.installed system
	$(BIN)/python -m pytest -m system --numprocesses auto --dist loadgroup

# Debian keeps PostgreSQL's programs off the PATH. RUNLEVEL asks Debian to start no service; the tests start their own.
system:
	@missing=; PATH="$$PATH:$$(echo /usr/lib/postgresql/*/bin | tr ' ' :)"; \
	for program in postgres redis-server chromium chromedriver; do \
		command -v "$$program" >/dev/null || missing="$$missing $$program"; \
	done; \
	test -z "$$missing" && exit; \
	echo "Missing programs:$$missing. Installing Debian's packages: $(SYSTEM_PACKAGES)"; \
	$(SUDO) apt-get -qq update && $(SUDO) env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -qq install --yes --no-install-recommends $(SYSTEM_PACKAGES)

faults: $(VENV)/.installed
	AVEPOINT_ALL_FAULTS=1 $(BIN)/python -m pytest tests/faults tests/hooks/test_edge_rows.py tests/hooks/test_protection.py --numprocesses 3

fuzz: $(VENV)/.installed
	AVEPOINT_FUZZ_EXAMPLES=100000 $(BIN)/python -m pytest tests/fuzz tests/triggers/test_poll.py::test_a_shared_poll_never_opens_a_gate --numprocesses 2

restore-kills: $(VENV)/.installed
	@echo "| intent kept in | worker killed | times | no restore | one restore | more | the retry ends |"
	AVEPOINT_RESTORE_KILLS=50 $(BIN)/python -m pytest -m system --quiet tests/operators/test_restore_crashes.py

compat: $(VENV)/.installed system
	$(BIN)/python -m compat

release-check: $(VENV)/.installed
	$(BIN)/python -m compat.release

cluster-test: $(VENV)/.installed system
	$(BIN)/python -m cluster
	$(BIN)/python -m cluster.demo

bench: $(VENV)/.installed system
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks --write

check: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_layers.py tests/test_docstrings.py

# Warnings are errors. Nothing is fetched: neither by the build nor by the pages.
docs: $(VENV)/.installed
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env --builder html --doctree-dir docs/_build/doctrees docs docs/_build/html
	$(BIN)/python -m docs.links docs/_build/html

compose-env:
	@$(PYTHON) demo/compose_env.py

format: $(VENV)/.installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(VENV)/.installed
	$(BIN)/uv pip compile --quiet --universal --no-header --no-annotate --upgrade --extra simulator --group dev --group docs pyproject.toml --output-file constraints.txt

pictures: $(VENV)/.installed system
	$(BIN)/python -m demo.pictures

# The page's libraries, in the versions of the file; npm is needed here alone.
vendor:
	@cd airflow_provider_avepoint/page/vendor && while read -r name version; do \
		npm pack --silent --pack-destination /tmp "$$name@$$version" >/dev/null && \
		tar xzf "/tmp/$$name-$$version.tgz" --to-stdout package/LICENSE > "$$name.LICENSE" && \
		tar xzf "/tmp/$$name-$$version.tgz" --to-stdout package/dist/uPlot.iife.min.js > "$$name.js" && \
		tar xzf "/tmp/$$name-$$version.tgz" --to-stdout package/dist/uPlot.min.css > "$$name.css" || exit 1; \
	done < versions.txt

clean:
	rm -rf $(VENV) .demo .compat docs/_build
