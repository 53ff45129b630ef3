// The reactor: many sockets behind one epoll.
//
// Readiness. One epoll per environment watches the sockets, and one watch (watch.c) watches the epoll. It fetches the
// events of a turn of the event loop into a table, and calls JavaScript once for all of them. Sockets are registered once,
// edge-triggered, for everything: what JavaScript does not want to hear now it ignores, and asks again by reactorRearm
// (EPOLL_CTL_MOD tells anew what is ready). So neither a pause nor a full socket costs a system call per event, and a
// socket with a reset waiting cannot make the loop spin.
//
// Ownership. A socket of the reactor is known by its descriptor until reactorClose. All calls refuse a descriptor that is
// not known, so a number used too late cannot hit a file of somebody else. What is known when the environment ends is
// closed then. The epoll forgets a socket with its last descriptor. A child that was just forked may have one for a while:
// events carry the serial number of the socket, and those of one that is no longer ours are left out.

#include "reactor.h"

#include <sys/epoll.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define EVENT_CELLS 2  // descriptor, events
#define FIRST_SIZE 64

_Static_assert(EPOLLIN == 1 && EPOLLOUT == 4 && EPOLLERR == 8 && EPOLLHUP == 16 && EPOLLRDHUP == 0x2000,
               "native.ts has the same numbers");
_Static_assert(EPOLLPRI == 2, "native.ts has the same number");

bool is_known(const struct state *st, int fd) {
  return fd >= 0 && (size_t)fd < st->reactor.size && st->reactor.known[fd].kind != 0;
}

static bool make_known(struct state *st, int fd, int family) {
  if ((size_t)fd >= st->reactor.size) {
    size_t size = st->reactor.size == 0 ? FIRST_SIZE : st->reactor.size;
    while (size <= (size_t)fd) size *= 2;
    struct known *known = realloc(st->reactor.known, size * sizeof(*known));
    if (known == NULL) return false;
    memset(known + st->reactor.size, 0, (size - st->reactor.size) * sizeof(*known));
    st->reactor.known = known;
    st->reactor.size = size;
  }
  st->reactor.known[fd] = (struct known){.kind = (uint8_t)family, .serial = ++st->reactor.serials};
  return true;
}

int reactor_epoll(struct state *st) {
  if (st->reactor.epoll < 0) st->reactor.epoll = epoll_create1(EPOLL_CLOEXEC);
  return st->reactor.epoll;
}

static int arm(struct state *st, int operation, int fd, uint32_t events) {
  uint64_t serial = st->reactor.known[fd].serial;
  struct epoll_event e = {.events = events | EPOLLET, .data.u64 = serial << 32 | (uint32_t)fd};
  return epoll_ctl(st->reactor.epoll, operation, fd, &e);
}

static uint32_t events_of(const struct state *st, int fd) {
  return kind_of(st, fd) & DATAGRAMS ? EPOLLIN : EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP;
}

int adopt(struct state *st, int fd, int family) {
  if (reactor_epoll(st) >= 0) {
    if (!make_known(st, fd, family)) errno = ENOMEM;
    else if (arm(st, EPOLL_CTL_ADD, fd, events_of(st, fd)) == 0) return fd;
    else st->reactor.known[fd].kind = 0;
  }
  int error = errno;
  close(fd);
  return -error;
}

static int forget(struct state *st, int fd) {
  st->reactor.known[fd].kind = 0;
  return close(fd);
}

void reactor_end(struct state *st) {
  for (size_t fd = 0; fd < st->reactor.size; fd++)
    if (st->reactor.known[fd].kind != 0) (void)forget(st, (int)fd);
}

void reactor_free(struct state *st) {
  if (st->reactor.epoll >= 0) close(st->reactor.epoll);
  if (st->reactor.reserve >= 0) close(st->reactor.reserve);
  free(st->reactor.known);
}

int reactor_events(struct state *st, int32_t *cells, size_t len) {
  size_t max = len / EVENT_CELLS < MAX_EVENTS ? len / EVENT_CELLS : MAX_EVENTS;
  struct epoll_event events[MAX_EVENTS];
  int n;
  do n = epoll_wait(st->reactor.epoll, events, (int)max, 0);
  while (n < 0 && errno == EINTR);
  int count = 0;
  for (int i = 0; i < n; i++) {
    int fd = (int)(uint32_t)events[i].data.u64;
    if (!is_known(st, fd) || st->reactor.known[fd].serial != events[i].data.u64 >> 32) continue;
    cells[EVENT_CELLS * count] = fd;
    cells[EVENT_CELLS * count++ + 1] = (int32_t)events[i].events;
  }
  return count;
}

// reactorRearm(fd): what the socket is ready for is told again, in the next turn of the event loop.
napi_value fn_reactor_rearm(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  SOCKET(fd, 0);
  return result(env, arm(st, EPOLL_CTL_MOD, fd, events_of(st, fd)));
}

// reactorClose(fd, reset): closes; with `reset` TCP by RST, what was not sent is lost.
napi_value fn_reactor_close(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  SOCKET(fd, 0);
  bool reset;
  if (napi_get_value_bool(env, argv[1], &reset) != napi_ok) return type_error(env, "reset", "a boolean");
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (reset) (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  int rc = forget(st, fd);
  return result(env, rc < 0 && errno == EINTR ? 0 : rc);
}
