# Debian packages. `make deps` installs what building and `make run` need, as far as it is missing; deps-test and deps-bench
# add what the tests and the bench need. As root, or with sudo.

DEPS_BUILD := build-essential pkg-config libevent-dev libssl-dev libnghttp2-dev libyaml-dev libjansson-dev libpcre2-dev \
	libc-ares-dev libcrypt-dev libxxhash-dev libsqlite3-dev libmaxminddb-dev libhiredis-dev \
	zlib1g-dev libbrotli-dev libzstd-dev
DEPS_RUN := openssl curl
DEPS_TEST := libcmocka-dev libhttp-parser-dev clang libclang-rt-14-dev clang-format clang-tidy cppcheck python3-pytest python3-pytest-timeout \
	python3-pytest-xdist python3-h2 python3-requests python3-websockets python3-grpcio python3-yaml python3-httpx \
	python3-jsonschema python3-cryptography prometheus nghttp2-client wrk curl openssl iproute2 zsh fish mandoc man-db jq \
	systemd redis-server mmdb-bin python3-maxminddb python3-brotli python3-zstandard chromium fonts-dejavu-core
DEPS_BENCH := nginx-light haproxy h2o nghttp2-proxy nghttp2-client caddy wrk valgrind strace

deps:
	@conf/install-packages $(DEPS_BUILD) $(DEPS_RUN)

deps-test: deps
	@conf/install-packages $(DEPS_TEST)

deps-bench: deps
	@conf/install-packages $(DEPS_BENCH)

.PHONY: deps deps-test deps-bench
