# `make install`: PREFIX (/usr/local) for the program, SYSCONFDIR (/etc) for its configuration, DESTDIR for packagers. Files of an
# administrator are never overwritten: the configuration to begin with is installed as weir.yaml.example.

SYSCONFDIR ?= /etc
DOCDIR := $(PREFIX)/share/doc/weir
UNITDIR ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIRS := bash-completion/completions zsh/site-functions fish/vendor_completions.d
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d

install: $(BUILD)/weir
	@echo "  INSTALL $(DESTDIR)$(PREFIX)"
	$(Q)install -D -m 755 $(BUILD)/weir $(DESTDIR)$(PREFIX)/bin/weir
	$(Q)install -d -m 755 $(DESTDIR)$(UNITDIR) $(DESTDIR)$(DOCDIR)/examples $(DESTDIR)$(SYSCONFDIR)/weir
	$(Q)sed 's|@PREFIX@|$(PREFIX)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g' conf/weir.service > $(DESTDIR)$(UNITDIR)/weir.service
	$(Q)chmod 644 $(DESTDIR)$(UNITDIR)/weir.service
	$(Q)install -D -m 644 conf/weir.sysusers $(DESTDIR)$(SYSUSERSDIR)/weir.conf
	$(Q)install -D -m 644 conf/weir.tmpfiles $(DESTDIR)$(TMPFILESDIR)/weir.conf
	$(Q)install -D -m 644 conf/logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/weir
	$(Q)install -m 644 conf/example.yaml $(DESTDIR)$(SYSCONFDIR)/weir/weir.yaml.example
	$(Q)install -d -m 755 $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONDIRS))
	$(Q)$(BUILD)/weir manual weir.1 > $(DESTDIR)$(MANDIR)/man1/weir.1
	$(Q)$(BUILD)/weir manual weir.yaml.5 > $(DESTDIR)$(MANDIR)/man5/weir.yaml.5
	$(Q)cd $(DESTDIR)$(PREFIX)/share && $(CURDIR)/$(BUILD)/weir completion bash > bash-completion/completions/weir && \
		$(CURDIR)/$(BUILD)/weir completion zsh > zsh/site-functions/_weir && \
		$(CURDIR)/$(BUILD)/weir completion fish > fish/vendor_completions.d/weir.fish
	$(Q)install -m 644 conf/example.yaml conf/quickstart.yaml conf/prometheus.yaml conf/prometheus-alerts.yaml conf/grafana-weir.json $(DESTDIR)$(DOCDIR)/examples
	$(Q)install -d -m 755 $(DESTDIR)$(DOCDIR)/examples/pipelines
	$(Q)cp -p conf/pipelines/* $(DESTDIR)$(DOCDIR)/examples/pipelines
	$(Q)cd proxy && for f in base/*.h base/*.def config/*.h config/*.def http/*.h http/*.def io/*.h exchange/module.h exchange/dependency.h exchange/render.h; do \
		install -D -m 644 $$f $(DESTDIR)$(PREFIX)/include/weir/$$f; done
	$(Q)install -m 644 README.md LICENSE NOTICE CHANGELOG.md $(wildcard docs/*.md) docs/commands.schema.json $(DESTDIR)$(DOCDIR)

.PHONY: install
