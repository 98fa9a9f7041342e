# `make lint` is quick and part of `make test`; `make tidy` looks deeper and takes minutes; `make format` rewrites.

LINT_C := $(shell find proxy modules tests bench -name '*.[ch]' 2>/dev/null | sort)

lint: lint-layers lint-words lint-format lint-cppcheck

lint-layers:
	@tests/lint/layers $(LAYERS)

lint-words:
	@tests/lint/words

lint-format:
	@clang-format --dry-run -Werror $(LINT_C)

lint-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	@cppcheck -q -j2 --cppcheck-build-dir=$(BUILD)/cppcheck --std=c11 --language=c --enable=warning,performance,portability \
		--inline-suppr --suppress=missingInclude --error-exitcode=1 -Iproxy -D_GNU_SOURCE -DWEIR_VERSION='"$(VERSION)"' \
		--template='{file}:{line}: {severity}: {message} [{id}]' proxy

tidy: compile_commands.json
	@clang-tidy --quiet -p . $(SRC)

format:
	@clang-format -i $(LINT_C)

.PHONY: lint lint-layers lint-words lint-format lint-cppcheck tidy format
