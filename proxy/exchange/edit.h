/* exchange/edit.h - changes to a head's headers, as routes and module headers name them. */
#ifndef WEIR_EXCHANGE_EDIT_H
#define WEIR_EXCHANGE_EDIT_H

#include "config/conf.h"
#include "http/head.h"

struct exchange;

/* `remove`, `rename`, `set`, `add`, in this order. answer: the head is the answer's, not the request's. Values that variables make empty
 * are not set. */
void headers_edit(struct exchange *x, struct head *head, const struct conf_headers *h, bool answer);

#endif
