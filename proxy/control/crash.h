/* control/crash.h - what a worker process says while it dies: signal, reason, thread and stack, into CHANNEL_CRASH_FD. The supervisor
 * reads it there once the process is gone; nothing here allocates or waits. Lines of "key: value", then the stack, a line a frame. */
#ifndef WEIR_CONTROL_CRASH_H
#define WEIR_CONTROL_CRASH_H

/* Installs the handlers of SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT. Before threads are started. */
void crash_watch(void);

#endif
