/* Lists of backends out of arbitrary text: refuse or accept, with every member something that can be asked. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "config/backend_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct conf_report report;
	struct conf *c = backend_list_load("/list", text, &report);

	if ((c == NULL) != (report.errors > 0))
		abort();
	for (uint32_t i = 0; c && i < c->listed_n; i++)
		if (c->listed[i].kind == CONF_FILE || c->listed[i].address.n == 0 || c->listed[i].weight == 0)
			abort();
	free(conf_report_text(&report));
	conf_report_free(&report);
	conf_free(c);
	return 0;
}
