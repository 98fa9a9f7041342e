# The tests. `make test` is the whole: packages, build, lint, units, end to end, docs. test-asan and test-tsan run units and
# end-to-end tests on builds of their own; fuzz runs every fuzzer for FUZZ_SECONDS.

FUZZ_SECONDS ?= 20
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=build-fuzz/%)

test: deps deps-test
	@$(MAKE) all
	@$(MAKE) lint docs-check
	@$(MAKE) unit
	@$(MAKE) e2e

test-asan test-tsan: deps deps-test
	@$(MAKE) SAN=$(if $(findstring asan,$@),address,thread) all unit
	@$(MAKE) SAN=$(if $(findstring asan,$@),address,thread) e2e

e2e: $(BUILD)/weir
	@WEIR_BIN=$(CURDIR)/$(BUILD)/weir tests/run $(E2E)

# What the e2e tests show in seconds, at full size, which takes hours. SOAK_SCALE=0.01 is a look.
soak: deps deps-test
	@$(MAKE) all $(BUILD)/tests/unit/exchange/test_smuggling
	@WEIR_BIN=$(CURDIR)/$(BUILD)/weir tests/soak/run $(SOAK)

# Fuzzers are built by clang with the whole of weir's own code instrumented.
build-fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  FUZZ $<"
	$(Q)clang $(filter-out -O2,$(ALL_CFLAGS)) -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<

build-fuzz/%: tests/fuzz/%.c $(LIB_OBJ:$(BUILD)/%=build-fuzz/obj/%)
	@echo "  LINK $@"
	$(Q)clang $(ALL_CFLAGS) -Itests/unit -Itests -fsanitize=fuzzer,address,undefined -o $@ $^ $(PKG_LIBS)

.SECONDARY: $(LIB_OBJ:$(BUILD)/%=build-fuzz/obj/%)
-include $(LIB_OBJ:$(BUILD)/%.o=build-fuzz/obj/%.d)

fuzz: deps deps-test
	@$(MAKE) fuzz-run

fuzz-run: $(FUZZ_BIN)
	@tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_BIN)

.PHONY: soak test test-asan test-tsan e2e fuzz fuzz-run
