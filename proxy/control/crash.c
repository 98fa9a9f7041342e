#include "control/crash.h"

#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/obj.h"
#include "base/str.h"
#include "control/channel.h"

#define FRAMES_MAX 64

/* A sanitizer's own report of a bad access says more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const int watched[] = {SIGABRT};
#else
static const int watched[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#endif

/* Only what signal-safety(7) allows; backtrace() too, once it has been called before. */
static void on_fatal(int number, siginfo_t *info, void *context)
{
	char buf[512], thread[17] = "";
	struct text t = text_in(buf, sizeof(buf));
	void *frames[FRAMES_MAX];

	(void)context;
	prctl(PR_GET_NAME, thread);
	text_put(&t, STR("signal: "));
	text_u64(&t, (uint64_t)number);
	text_put(&t, STR("\nthread: "));
	text_put(&t, str_of(thread));
	if (number == SIGABRT && info->si_code == SI_QUEUE && info->si_value.sival_ptr) {
		text_put(&t, STR("\nreason: "));
		text_put(&t, str_head(str_of(info->si_value.sival_ptr), 300));
	}
	text_put(&t, STR("\nstack:\n"));
	if (write(CHANNEL_CRASH_FD, t.p, t.n) > 0)
		backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), CHANNEL_CRASH_FD);
	/* The handler is gone (SA_RESETHAND): this time it is fatal, once we return. */
	raise(number);
}

void crash_watch(void)
{
	struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_RESETHAND};
	void *frame;

	backtrace(&frame, 1); /* loads what it needs */
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < COUNT_OF(watched); i++)
		sigaction(watched[i], &action, NULL);
}
