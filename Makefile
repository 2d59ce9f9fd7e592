# `make demo` and `make test` are all a newcomer needs; everything happens inside this folder.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-out
# Whoever starts Python here starts it often: without bytecode each process would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench bench-imaging bench-registry bench-repository bench-trust long audit sbom serve lock docs clean

.venv: .venv/installed
.venv/installed: requirements-dev.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "xdsi needs Python 3.11 (spyne 2.14 imports on no other); try: make PYTHON=python3.11")'
	@echo "1/3 making .venv"
	@$(PYTHON) -m venv .venv
	@echo "2/3 installing the libraries into .venv: 1 to 5 minutes, 640 MB"
	@$(BIN)/pip install --progress-bar on --disable-pip-version-check --require-hashes --use-pep517 -r requirements-dev.lock
	@echo "3/3 installing xdsi itself"
	@PYTHONWARNINGS="ignore:Editable installation" $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv
	@$(BIN)/xdsi demo --out $(OUT) $(if $(KEEP),--keep)

test: .venv
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: .venv
	$(BIN)/ruff check xdsi tests
	$(BIN)/ruff format --check xdsi tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

bench: .venv
	$(BIN)/python -m tests.bench

bench-imaging: .venv
	$(BIN)/python -m tests.bench.imaging

# ENTRIES=1000000 for a larger population (minutes of loading); more by `python -m tests.bench.registry --help`.
bench-registry: .venv
	$(BIN)/python -m tests.bench.registry $(if $(ENTRIES),--entries $(ENTRIES))

bench-repository: .venv
	$(BIN)/python -m tests.bench --only repository

# CONSENTS=10000000 for the largest number that was tried (46 GB of disk, half an hour).
bench-trust: .venv
	$(BIN)/python -m tests.bench.trust $(if $(CONSENTS),--consents $(CONSENTS))

# What takes hours of a processor, and is not part of `make check`.
long: .venv
	$(BIN)/python -m tests.differential
	$(BIN)/python -m tests.mutations
	$(BIN)/python -m tests.storage
	$(BIN)/python -m tests.faults.storm
	$(BIN)/python -m tests.faults.repository_storm
	$(BIN)/python -m tests.faults.fuzz
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	$(BIN)/python -m tests.faults.guided
	$(BIN)/python -m tests.bench.registry --entries 1000000 --count 1000 --seconds 60

# Known vulnerabilities of the pinned dependencies, as far as they can be looked up.
audit: .venv
	$(BIN)/python .ci/audit.py

# The bill of materials: CycloneDX, of requirements.lock.
sbom: .venv
	$(BIN)/python .ci/sbom.py sbom.cdx.json

serve: .venv
	$(BIN)/xdsi serve

docs: .venv
	$(BIN)/python docs/generate.py

lock: .venv
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-header --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-header --extra fuzz --constraint requirements.lock --output-file requirements-fuzz.lock pyproject.toml

clean:
	rm -rf .venv demo-out xdsi-data xdsi-open xdsi-hospital bench-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
