// Internet addresses in cells, as JavaScript and the addon pass them (inet.c).

#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

enum { W0, W1, W2, W3, PORT, SCOPE, TTL, SEGMENT, CELLS };

// Fills W0 to SCOPE; zeros for an address of another family.
void put_address(uint32_t *cells, const struct sockaddr_storage *a);

static inline void set_option(int fd, int level, int name, int value) {
  // Fails only for a family or protocol that the socket does not have; of a size the kernel grants what its limits allow.
  (void)setsockopt(fd, level, name, &value, sizeof(value));
}

// Has ICMP errors kept for recvError.
static inline void set_error_queue(int fd, int family, int on) {
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
  else set_option(fd, IPPROTO_IP, IP_RECVERR, on);
}

// Reads W0 to SCOPE, each cell once; the length of the address.
socklen_t get_address(const uint32_t *shared, struct sockaddr_storage *a);
