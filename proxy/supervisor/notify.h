/* supervisor/notify.h - what the service manager is told: sd_notify(3)'s protocol, which is a datagram of NAME=value lines to
 * $NOTIFY_SOCKET. Without that variable every call does nothing. */
#ifndef WEIR_SUPERVISOR_NOTIFY_H
#define WEIR_SUPERVISOR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct notifier {
	int fd; /* connected; -1: nobody wants to know */
	uint32_t watchdog_ms; /* how often WATCHDOG=1 is to be sent: half of what was asked for; 0: never */
};

/* Reads the environment, and takes its part out of it: children are not meant. */
void notify_open(struct notifier *n);
/* printf-like; lines as in sd_notify(3). */
__attribute__((format(printf, 2, 3))) void notify_send(const struct notifier *n, const char *fmt, ...);
/* The same with descriptors, for FDSTORE=1. Some 250 at most. */
void notify_send_fds(const struct notifier *n, const char *text, const int *fds, uint32_t fd_n);
/* RELOADING=1, with the time that systemd tells this reload by. */
void notify_reloading(const struct notifier *n);

#endif
