# Conveniences for work on metarl; each line can be typed by hand as well.
.PHONY: check docs format site slow

check:   # what CI runs: format, lint, types, the fast tests
	.ci/check

format:  # let ruff put the code in order
	ruff format .
	ruff check --fix .

docs:    # write the generated parts of README and docs/ anew, from conf/, the code and outputs/reference/
	python docs/generate.py

site:    # the static site, into site/: pip install -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

slow:    # learning, kill -9 and resume, the built wheel
	pytest -m slow
