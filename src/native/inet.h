// Internet addresses in cells, as JavaScript and the addon pass them (inet.c).

#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

enum { W0, W1, W2, W3, PORT, SCOPE, TTL, CELLS };

// Fills W0 to SCOPE; zeros for an address of another family.
void put_address(uint32_t *cells, const struct sockaddr_storage *a);

// Reads W0 to SCOPE, each cell once; the length of the address.
socklen_t get_address(const uint32_t *shared, struct sockaddr_storage *a);
