# `make install`: PREFIX (/usr/local) for the program, SYSCONFDIR (/etc) for its configuration, DESTDIR for packagers. Files of an
# administrator are never overwritten: the configuration to begin with is installed as weir.yaml.example.

SYSCONFDIR ?= /etc
DOCDIR := $(PREFIX)/share/doc/weir
UNITDIR ?= $(PREFIX)/lib/systemd/system
TMPFILESDIR ?= $(PREFIX)/lib/tmpfiles.d
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
	$(Q)install -m 644 conf/example.yaml conf/quickstart.yaml conf/prometheus.yaml conf/prometheus-alerts.yaml conf/grafana-weir.json $(DESTDIR)$(DOCDIR)/examples
	$(Q)cd proxy && for f in base/*.h base/*.def config/*.h http/*.h http/*.def io/*.h exchange/module.h; do \
		install -D -m 644 $$f $(DESTDIR)$(PREFIX)/include/weir/$$f; done
	$(Q)install -m 644 README.md LICENSE NOTICE CHANGELOG.md $(wildcard docs/*.md) $(DESTDIR)$(DOCDIR)

.PHONY: install
