// What the sockets of the reactor have in common (reactor.c).

#pragma once

#include "addon.h"

// Added to the family of a socket that is adopted: it tells only of datagrams and errors.
#define DATAGRAMS 0x80

bool is_known(const struct state *st, int fd);

// The family and DATAGRAMS of a known socket.
static inline int kind_of(const struct state *st, int fd) { return st->reactor.known[fd].kind; }

// The epoll, made when there is none; -1: errno.
int reactor_epoll(struct state *st);

// Takes over `fd`, a socket of that family; it is closed when that fails. The descriptor, or -errno.
int adopt(struct state *st, int fd, int family);

// Fetches what happened into a table of `len` cells; how many entries there are.
int reactor_events(struct state *st, int32_t *cells, size_t len);

// Reads argument i, the descriptor of a known socket, or leaves the function with an exception.
#define SOCKET(name, i) \
  FD(name, i);          \
  if (!is_known(st, name)) return range_error(env, #name, "is no open socket of the reactor")
