/* config/manual.h - the tables of the configuration as a manual page. */
#ifndef WEIR_CONFIG_MANUAL_H
#define WEIR_CONFIG_MANUAL_H

#include <stdio.h>

/* A section (.SS) of a man(7) page for each object of the configuration. */
void conf_manual(FILE *f);

#endif
