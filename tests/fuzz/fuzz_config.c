/* Configurations out of arbitrary text: loading must end, refuse or accept, and leave nothing behind. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "config/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct conf_report report;
	struct conf *c;

	/* What the machine's own files hold is not of interest, and differs from run to run. */
	if (memmem(data, size, "include", 7))
		return 0;
	c = conf_load_text("fuzz.yaml", text, &report);
	free(conf_report_text(&report));
	free(conf_report_json(&report));
	if ((c == NULL) != (report.errors > 0))
		abort();
	conf_report_free(&report);
	conf_free(c);
	return 0;
}
