/* control/self.h - what the kernel says of this process. */
#ifndef WEIR_CONTROL_SELF_H
#define WEIR_CONTROL_SELF_H

#include <stdint.h>

struct self {
	uint64_t threads;
	uint64_t resident, address_space; /* bytes */
};

/* From /proc; all zero when it cannot be read. */
struct self self_now(void);
/* Of all threads, user and system. */
uint64_t self_cpu_us(void);
uint64_t self_open_fds(void);
uint64_t self_max_fds(void);

#endif
