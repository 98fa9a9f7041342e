/* main.c - the door to the commands. */
#include "cli/cli.h"
#include "io/tls_memory.h"

int main(int argc, char **argv)
{
	tls_memory_install();
	return cli_main(argc, argv);
}
