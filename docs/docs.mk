# Pages that are made from tables in the code. `make docs` writes them; `make docs-check` fails if one is stale.

DOCS_MADE := docs/configuration.md docs/reasons.md docs/metrics.md

docs: $(BUILD)/weir
	$(Q)$(BUILD)/weir reference > docs/configuration.md
	$(Q)$(BUILD)/weir reasons > docs/reasons.md
	$(Q)$(BUILD)/weir metrics-reference > docs/metrics.md

docs-check: $(BUILD)/weir
	$(Q)$(BUILD)/weir reference | diff -u docs/configuration.md - && $(BUILD)/weir reasons | diff -u docs/reasons.md - && \
		$(BUILD)/weir metrics-reference | diff -u docs/metrics.md - || \
		{ echo "$(DOCS_MADE): stale; run make docs" >&2; exit 1; }

.PHONY: docs docs-check
