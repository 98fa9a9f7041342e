# The bench: weir beside a raw relay and the peers that Debian ships. bench/README.md says how to read it.
#
#   make bench               everything, about 30 minutes on a machine that does nothing else
#   make bench-quick         the main workloads, about 2 minutes
#   make bench-tools         only the C programs
#
# BENCH_ROUNDS, BENCH_SCALE, BENCH_ONLY, BENCH_PEERS, BENCH_PIN: the same as bench.py's options of these names.

BENCH_TOOLS := $(addprefix $(BUILD)/bench/,relay origin grpc paced idle handshake message)
BENCH_CFLAGS := -std=gnu11 $(WARN) -D_GNU_SOURCE -O2 -g
PYTHON ?= /usr/bin/python3

bench: $(BUILD)/weir $(BENCH_TOOLS)
	$(Q)$(PYTHON) bench/bench.py --build $(BUILD)

bench-quick: $(BUILD)/weir $(BENCH_TOOLS)
	$(Q)$(PYTHON) bench/bench.py --build $(BUILD) --quick

bench-tools: $(BENCH_TOOLS)

$(BUILD)/bench/%.o: bench/%.c bench/net.h
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(BENCH_CFLAGS) -c -o $@ $<

$(BENCH_TOOLS): $(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/bench/net.o
	@echo "  LINK $@"
	$(Q)$(CC) $(BENCH_CFLAGS) -o $@ $^ $(BENCH_LIBS)

$(BUILD)/bench/origin: BENCH_LIBS := -lcrypto
$(BUILD)/bench/idle: BENCH_LIBS := -lssl -lcrypto
$(BUILD)/bench/handshake: BENCH_LIBS := -lssl -lcrypto -lpthread
$(BUILD)/bench/grpc: BENCH_LIBS := -lnghttp2

.PHONY: bench bench-quick bench-tools
