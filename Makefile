# weir's build: `make run` and `make test` do everything from an empty clone on Debian 12.
#
#   make            build/weir               make test       everything, with the end-to-end tests
#   make run        try it out               make unit       the C unit tests alone
#   make deps       Debian packages          make test-asan / test-tsan   the suite under sanitizers
#   make lint       layers, tidy, format     make fuzz       every fuzzer, bounded (FUZZ_SECONDS)
#   make bench      against the peers        make install    DESTDIR, PREFIX
#   make soak       reloads, upgrades, deaths under load, for hours (SOAK_SCALE=0.01 for minutes)
#   make docs       the generated pages
#
# SAN=address|thread builds into a directory of its own. V=1 shows the commands.

.DEFAULT_GOAL := all
MAKEFLAGS += --no-print-directory
# Makes below this one share its jobs. GNU make 4.3 does not show them in MAKEFLAGS while it reads.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

CC ?= gcc
SAN ?=
BUILD ?= build$(if $(SAN),-$(SAN))
PREFIX ?= /usr/local
VERSION := 0.1.0
Q := $(if $(V),,@)

PKGS := libevent_core openssl libnghttp2 yaml-0.1 jansson libpcre2-8 libcares libxxhash sqlite3 libmaxminddb hiredis \
	zlib libbrotlienc libzstd
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lcrypt -lpthread -lm -ldl

OPT := -O2 -g
ifeq ($(SAN),address)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
ifeq ($(SAN),thread)
OPT := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
endif
CFLAGS ?= $(OPT)
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
ALL_CFLAGS := -std=gnu11 $(WARN) -fno-strict-aliasing -Iproxy -I$(BUILD)/gen -D_GNU_SOURCE \
	-DWEIR_VERSION='"$(VERSION)"' -DXXH_INLINE_ALL $(PKG_CFLAGS) $(CFLAGS)

# The layers, lowest first: a folder includes only its own and those before it (make lint checks it).
LAYERS := base config io http upstream route exchange worker control supervisor cli
SRC := $(shell find proxy modules -name '*.c' | sort)
OBJ := $(SRC:%.c=$(BUILD)/%.o)
MAIN_OBJ := $(BUILD)/proxy/main.o
LIB_OBJ := $(filter-out $(MAIN_OBJ),$(OBJ))
MODULE_OBJ := $(filter $(BUILD)/modules/%,$(OBJ))

include tests/unit/unit.mk tests/tests.mk
-include conf/deps.mk conf/install.mk docs/docs.mk tests/lint/lint.mk bench/bench.mk

all: $(BUILD)/weir compile_commands.json

$(BUILD)/weir: $(OBJ)
	@echo "  LINK $@"
	$(Q)$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^ $(PKG_LIBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Becomes part of it (.incbin), which the compiler's list of what was read does not tell.
$(BUILD)/proxy/control/admin/dashboard.o build-fuzz/obj/proxy/control/admin/dashboard.o: proxy/control/admin/dashboard.html

-include $(OBJ:.o=.d)

compile_commands.json: Makefile $(SRC)
	$(Q){ echo '['; sep=; for f in $(SRC); do \
		printf '%s{"directory":"%s","file":"%s","command":"%s"}\n' "$$sep" "$(CURDIR)" "$$f" \
		'$(subst ",\\\",$(CC) $(ALL_CFLAGS)) -c '"$$f"; sep=,; done; echo ']'; } > $@

run: deps
	@$(MAKE) all
	@conf/run-quickstart

clean:
	rm -rf build build-address build-thread build-fuzz compile_commands.json

.PHONY: all run clean
