// TCP sockets: many of them behind one epoll.
//
// Readiness. One epoll per environment watches all TCP sockets, and one watch (watch.c) watches the epoll: JavaScript is
// called once per turn of the event loop, and fetches the events of that turn by one tcpEvents. Sockets are registered
// once, edge-triggered, for everything: what JavaScript does not want to hear now it ignores, and asks again by tcpRearm
// (EPOLL_CTL_MOD tells anew what is ready). So neither a pause nor a full socket costs a system call per event, and a
// socket with a reset waiting cannot make the loop spin.
//
// Memory. Bytes are read into, and written from, pieces of JavaScript's memory that each call names; nothing of it is
// remembered beyond the call.
//
// Ownership. A socket made here is known by its descriptor until tcpClose. All calls refuse a descriptor that is not
// known, so a number used too late cannot hit a file of somebody else. What is known when the
// environment ends is closed then. The epoll is told of a close by itself, because a child that was just forked may still
// hold the connection open.
//
// Errors. A connecting socket asks for the queue of ICMP errors (inet.c) and tcpOpened takes that back: on an open
// connection the kernel would end it by any such error, which is against RFC 1122 section 4.2.3.9.

#include "addon.h"
#include "inet.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_EVENTS 256
#define MAX_ACCEPTS 64
#define MAX_PIECES 64
#define EVENT_CELLS 2   // descriptor, events
#define ACCEPT_CELLS 8  // descriptor, then the peer's address
#define FIRST_SIZE 64

_Static_assert(EPOLLIN == 1 && EPOLLOUT == 4 && EPOLLERR == 8 && EPOLLHUP == 16 && EPOLLRDHUP == 0x2000,
               "native.ts has the same numbers");
_Static_assert(1 + SCOPE < ACCEPT_CELLS, "an address fits behind the descriptor");

// ---- the sockets of an environment

static bool is_known(const struct state *st, int fd) {
  return fd >= 0 && (size_t)fd < st->tcp.size && st->tcp.known[fd] != 0;
}

static bool make_known(struct state *st, int fd, int family) {
  if ((size_t)fd >= st->tcp.size) {
    size_t size = st->tcp.size == 0 ? FIRST_SIZE : st->tcp.size;
    while (size <= (size_t)fd) size *= 2;
    uint8_t *known = realloc(st->tcp.known, size);
    if (known == NULL) return false;
    memset(known + st->tcp.size, 0, size - st->tcp.size);
    st->tcp.known = known;
    st->tcp.size = size;
  }
  st->tcp.known[fd] = (uint8_t)family;
  return true;
}

static int epoll_of(struct state *st) {
  if (st->tcp.epoll < 0) st->tcp.epoll = epoll_create1(EPOLL_CLOEXEC);
  return st->tcp.epoll;
}

static int arm(struct state *st, int operation, int fd) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
  return epoll_ctl(st->tcp.epoll, operation, fd, &e);
}

// Takes over `fd`, a socket of that family; it is closed when that fails. The descriptor, or -errno.
static int adopt(struct state *st, int fd, int family) {
  if (make_known(st, fd, family)) {
    if (arm(st, EPOLL_CTL_ADD, fd) == 0) return fd;
    st->tcp.known[fd] = 0;
  } else {
    errno = ENOMEM;
  }
  int error = errno;
  close(fd);
  return -error;
}

static void set_option(int fd, int level, int name, int value) {
  // Fails only for a family or protocol that the socket does not have.
  (void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_error_queue(int fd, int family, int on) {
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, on);
  else set_option(fd, IPPROTO_IP, IP_RECVERR, on);
}

static void set_ttl(int fd, int family, int ttl) {
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
  else set_option(fd, IPPROTO_IP, IP_TTL, ttl);
}

void tcp_end(struct state *st) {
  for (size_t fd = 0; fd < st->tcp.size; fd++) {
    if (st->tcp.known[fd] == 0) continue;
    st->tcp.known[fd] = 0;
    if (st->tcp.epoll >= 0) (void)epoll_ctl(st->tcp.epoll, EPOLL_CTL_DEL, (int)fd, NULL);
    close((int)fd);
  }
}

void tcp_free(struct state *st) {
  if (st->tcp.epoll >= 0) close(st->tcp.epoll);
  if (st->tcp.reserve >= 0) close(st->tcp.reserve);
  free(st->tcp.known);
}

// Reads argument i, the descriptor of a socket made here, or leaves the function with an exception.
#define SOCKET(name, i) \
  FD(name, i);          \
  if (!is_known(st, name)) return range_error(env, #name, "is no open TCP socket")

// ---- opening

static int open_socket(struct state *st, int family) {
  if (epoll_of(st) < 0) return -1;
  return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

// tcpConnect(address): a connecting socket, or -errno. The address's TTL is that of what it sends, 0: the system's.
napi_value fn_tcp_connect(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int32_t *cells;
  if (!get_cells(env, argv[0], "address", CELLS, &cells)) return NULL;
  struct sockaddr_storage to;
  socklen_t len = get_address((uint32_t *)cells, &to);
  int fd = open_socket(st, to.ss_family);
  if (fd < 0) return result(env, -1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_error_queue(fd, to.ss_family, 1);
  if (cells[TTL] > 0) set_ttl(fd, to.ss_family, cells[TTL]);
  int rc;
  do rc = connect(fd, (struct sockaddr *)&to, len);
  while (rc < 0 && errno == EINTR);
  if (rc < 0 && errno != EINPROGRESS) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, adopt(st, fd, to.ss_family));
}

// tcpOpened(fd): how the connect ended, 0 or -errno. The queue of errors is left as it is when it failed.
napi_value fn_tcp_opened(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  SOCKET(fd, 0);
  int error = 0;
  socklen_t len = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) return result(env, -1);
  if (error != 0) return number(env, -error);
  set_error_queue(fd, st->tcp.known[fd], 0);
  return number(env, 0);
}

static int open_reserve(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

// tcpListen(address, backlog): a listening socket, or -errno.
napi_value fn_tcp_listen(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int32_t *cells;
  if (!get_cells(env, argv[0], "address", CELLS, &cells)) return NULL;
  INTEGER(int, backlog, 1, 0, INT32_MAX);
  struct sockaddr_storage at;
  socklen_t len = get_address((uint32_t *)cells, &at);
  if (st->tcp.reserve < 0) st->tcp.reserve = open_reserve();
  if (st->tcp.reserve < 0) return result(env, -1);
  int fd = open_socket(st, at.ss_family);
  if (fd < 0) return result(env, -1);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (at.ss_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, backlog) < 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, adopt(st, fd, at.ss_family));
}

// Out of descriptors a client would wait for ever: it is let in by the reserve and shown out.
static bool turn_away(struct state *st, int listener) {
  if (st->tcp.reserve < 0) return false;
  close(st->tcp.reserve);
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  st->tcp.reserve = open_reserve();
  return fd >= 0;
}

// tcpAccept(fd, table): how many connections were taken (fewer than there is room for: no more wait), or -errno.
napi_value fn_tcp_accept(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  SOCKET(listener, 0);
  int32_t *cells;
  size_t len;
  if (!get_table(env, argv[1], "table", ACCEPT_CELLS, &cells, &len)) return NULL;
  size_t max = len / ACCEPT_CELLS < MAX_ACCEPTS ? len / ACCEPT_CELLS : MAX_ACCEPTS;
  size_t n = 0;
  for (size_t tries = 0; n < max && tries < 2 * MAX_ACCEPTS; tries++) {
    struct sockaddr_storage from = {0};
    socklen_t size = sizeof(from);
    int fd = accept4(listener, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) {
        if (turn_away(st, listener)) continue;
      } else if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) {
        continue;
      }
      if (n > 0 || errno == EAGAIN) break;
      return result(env, -1);
    }
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if ((fd = adopt(st, fd, from.ss_family)) < 0) continue;
    int32_t *entry = cells + n++ * ACCEPT_CELLS;
    entry[0] = fd;
    put_address((uint32_t *)entry + 1, &from);
  }
  return number(env, (int64_t)n);
}

// tcpName(fd, address): puts the own address there; 0, or -errno.
napi_value fn_tcp_name(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  SOCKET(fd, 0);
  int32_t *cells;
  if (!get_cells(env, argv[1], "address", CELLS, &cells)) return NULL;
  struct sockaddr_storage own = {0};
  socklen_t len = sizeof(own);
  if (getsockname(fd, (struct sockaddr *)&own, &len) < 0) return result(env, -1);
  put_address((uint32_t *)cells, &own);
  return number(env, 0);
}

// ---- readiness

// tcpEpoll(): the descriptor to watch, or -errno.
napi_value fn_tcp_epoll(napi_env env, napi_callback_info info) {
  ARGUMENTS(0);
  return result(env, epoll_of(st));
}

// tcpEvents(table): how many events there are; each is a descriptor and what it is ready for. Or -errno.
napi_value fn_tcp_events(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int32_t *cells;
  size_t len;
  if (!get_table(env, argv[0], "table", EVENT_CELLS, &cells, &len)) return NULL;
  size_t max = len / EVENT_CELLS < MAX_EVENTS ? len / EVENT_CELLS : MAX_EVENTS;
  struct epoll_event events[MAX_EVENTS];
  int n;
  do n = epoll_wait(st->tcp.epoll, events, (int)max, 0);
  while (n < 0 && errno == EINTR);
  for (int i = 0; i < n; i++) {
    cells[EVENT_CELLS * i] = events[i].data.fd;
    cells[EVENT_CELLS * i + 1] = (int32_t)events[i].events;
  }
  return result(env, n);
}

// tcpRearm(fd): what the socket is ready for is told again, in the next turn of the event loop.
napi_value fn_tcp_rearm(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  SOCKET(fd, 0);
  return result(env, arm(st, EPOLL_CTL_MOD, fd));
}

// ---- bytes

// Reads the arguments (fd, pieces, count, off, len) into `iov`: `len` bytes from `off` of the first piece on, then from the
// start of each. The number of pieces used, or -1: an exception was thrown.
static int get_pieces(napi_env env, napi_value *argv, struct iovec *iov) {
  double count, off, len;
  napi_value pieces[MAX_PIECES];
  if (!get_integer(env, argv[2], "count", 1, MAX_PIECES, &count) ||
      !get_integer(env, argv[3], "off", 0, UINT32_MAX, &off) || !get_integer(env, argv[4], "len", 1, UINT32_MAX, &len))
    return -1;
  // Fetching an element may run JavaScript; looking at the bytes does not. So no piece moves once it was looked at.
  for (int i = 0; i < (int)count; i++) {
    if (napi_get_element(env, argv[1], (uint32_t)i, &pieces[i]) != napi_ok) {
      type_error(env, "pieces", "an array");
      return -1;
    }
  }
  size_t start = (size_t)off;
  size_t left = (size_t)len;
  int used = 0;
  while (left > 0 && used < (int)count) {
    uint8_t *data;
    size_t size;
    if (!get_bytes(env, pieces[used], "a piece", &data, &size, NULL)) return -1;
    if (start > size) break;
    size_t n = size - start < left ? size - start : left;
    iov[used++] = (struct iovec){.iov_base = data + start, .iov_len = n};
    left -= n;
    start = 0;
  }
  if (left == 0) return used;
  range_error(env, "range", "reaches beyond the pieces");
  return -1;
}

// tcpRead(fd, pieces, count, off, len): bytes read, 0 at the peer's end, or -errno (-EAGAIN: none wait).
napi_value fn_tcp_read(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  SOCKET(fd, 0);
  struct iovec iov[MAX_PIECES];
  int count = get_pieces(env, argv, iov);
  if (count < 0) return NULL;
  ssize_t n;
  do n = readv(fd, iov, count);
  while (n < 0 && errno == EINTR);
  return result(env, n);
}

// tcpWrite(fd, pieces, count, off, len): bytes taken by the kernel, fewer when it is full, or -errno (-EAGAIN: none).
napi_value fn_tcp_write(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  SOCKET(fd, 0);
  struct iovec iov[MAX_PIECES];
  int count = get_pieces(env, argv, iov);
  if (count < 0) return NULL;
  struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
  ssize_t n;
  do n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return result(env, n);
}

// ---- ending

// tcpEnd(fd): FIN behind what was written.
napi_value fn_tcp_end(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  SOCKET(fd, 0);
  return result(env, shutdown(fd, SHUT_WR));
}

// tcpClose(fd, reset): closes; with `reset` by RST, what was not sent is lost.
napi_value fn_tcp_close(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  SOCKET(fd, 0);
  bool reset;
  if (napi_get_value_bool(env, argv[1], &reset) != napi_ok) return type_error(env, "reset", "a boolean");
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (reset) (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  st->tcp.known[fd] = 0;
  (void)epoll_ctl(st->tcp.epoll, EPOLL_CTL_DEL, fd, NULL);
  int rc = close(fd);
  return result(env, rc < 0 && errno == EINTR ? 0 : rc);
}
