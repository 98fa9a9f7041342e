/* modules/networks.h - which of many networks an address is in, the narrowest first: a tree of bits, const once built. */
#ifndef WEIR_MODULES_NETWORKS_H
#define WEIR_MODULES_NETWORKS_H

#include "exchange/module.h"

struct network_node {
	uint32_t child[2]; /* index; 0: none */
	uint8_t mark; /* of the network that ends here; 0: none does */
};

/* Zeroed: no networks. */
struct networks {
	struct network_node *v; /* v[0]: IPv4, v[1]: IPv6; malloc'ed */
	uint32_t n, cap;
};

/* mark: 1 to 255. Of the same network named twice the larger mark stays. */
void networks_add(struct networks *all, const struct cidr *net, uint8_t mark);
/* The mark of the narrowest network that has the address; 0: none has. */
uint8_t networks_find(const struct networks *all, const struct addr *a);
void networks_free(struct networks *all);

#endif
