# Conveniences for work on metarl; each line can be typed by hand as well.
.PHONY: check format lists slow

check:   # what CI runs: format, lint, types, the fast tests
	.ci/check

format:  # let ruff put the code in order
	ruff format .
	ruff check --fix .

lists:   # write README's tables of environments and algorithms anew, from conf/
	python docs/lists.py

slow:    # learning, kill -9 and resume, the built wheel
	pytest -m slow
