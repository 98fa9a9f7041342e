# Unit tests: tests/unit/LAYER/.../test_NOUN.c is one program, linked with the objects of its layer and those below it.
# `make unit` runs all; `make unit-http` those of one layer; `make $(BUILD)/tests/unit/http/h1/test_parser` builds one.

UNIT_SRC := $(shell find tests/unit -name 'test_*.c' 2>/dev/null | sort)
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)

# $(call layer_objs,LAYER): what a program of that layer is linked with.
upto = $(if $(filter $(1),$(firstword $(2))),$(firstword $(2)),$(firstword $(2)) $(call upto,$(1),$(wordlist 2,99,$(2))))
layer_objs = $(foreach l,$(call upto,$(1),$(LAYERS)),$(filter $(BUILD)/proxy/$(l)/%,$(LIB_OBJ)))

# An exchange is tested in a worker, so that nothing of what a worker sets up for it is said twice.
unit_upto = $(if $(filter exchange,$(1)),worker,$(1))

define unit_rule
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $$(call layer_objs,$(call unit_upto,$(1)))
	@echo "  LINK $$@"
	$$(Q)$$(CC) $$(ALL_CFLAGS) -o $$@ $$^ $$(PKG_LIBS) -lcmocka
unit-$(1): $$(filter $(BUILD)/tests/unit/$(1)/%,$$(UNIT_BIN))
	@tests/unit/run $$^
.PHONY: unit-$(1)
endef
$(foreach l,$(LAYERS),$(eval $(call unit_rule,$(l))))

# Modules stand beside the layers: their tests have the exchange below them, and all modules.
$(BUILD)/tests/unit/modules/%: $(BUILD)/tests/unit/modules/%.o $(MODULE_OBJ) $(call layer_objs,worker)
	@echo "  LINK $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka -lbrotlidec
unit-modules: $(filter $(BUILD)/tests/unit/modules/%,$(UNIT_BIN))
	@tests/unit/run $^
.PHONY: unit-modules
$(UNIT_SRC:%.c=$(BUILD)/%.o): ALL_CFLAGS += -Itests/unit -Itests
# An HTTP parser that is not ours.
$(BUILD)/tests/unit/exchange/test_smuggling: PKG_LIBS += -lhttp_parser

unit: $(UNIT_BIN)
	@tests/unit/run $(UNIT_BIN)

.PRECIOUS: $(BUILD)/tests/%.o
-include $(UNIT_SRC:%.c=$(BUILD)/%.d)
.PHONY: unit
