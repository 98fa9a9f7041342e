/* control/admin/request.h - the states of a request, for those who move it: request.c until it is handled, answer.c from then on. */
#ifndef WEIR_CONTROL_ADMIN_REQUEST_H
#define WEIR_CONTROL_ADMIN_REQUEST_H

#include "control/admin/admin.h"

enum admin_request_state {
	ADMIN_READING, /* its body is still coming, or it has not been let in yet */
	ADMIN_HANDLING, /* the handler has it; it may answer later */
	ADMIN_STREAMING,
	ADMIN_ANSWERED, /* what follows of the answer is certain */
	ADMIN_STATES
};

void admin_set_state(struct admin_request *rq, enum admin_request_state to);
/* Tells the handler, once, that nobody waits for rq any more. */
void admin_gone(struct admin_request *rq);

/* What the reader has room for of a long answer; nothing if there is none. */
void admin_send_rest(struct admin_request *rq);

#endif
