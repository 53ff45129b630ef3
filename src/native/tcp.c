// TCP sockets of the reactor (reactor.c).
//
// Memory. Bytes are read into, and written from, pieces of JavaScript's memory that each call names; nothing of it is
// remembered beyond the call.
//
// Errors. A connecting socket asks for the queue of ICMP errors (inet.c) and tcpOpened takes that back: on an open
// connection the kernel would end it by any such error, which is against RFC 1122 section 4.2.3.9.
//
// Small segments. They are not to wait for ACKs (TCP_NODELAY), but the option is set with the second write only: the first
// one is never held back (RFC 896; nor is the short end of a long one: Linux waits only behind another short segment), and
// many connections have no other.

#include "addon.h"
#include "inet.h"
#include "reactor.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_ACCEPTS 64
#define MAX_PIECES 64
#define ACCEPT_CELLS 8  // descriptor, then the peer's address

_Static_assert(1 + SCOPE < ACCEPT_CELLS, "an address fits behind the descriptor");

static void set_ttl(int fd, int family, int ttl) {
  if (family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
  else set_option(fd, IPPROTO_IP, IP_TTL, ttl);
}

// ---- opening

static int open_socket(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

// tcpConnect(address): a connecting socket, or -errno. The address's TTL is that of what it sends, 0: the system's.
napi_value fn_tcp_connect(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int32_t *cells;
  if (!get_cells(env, argv[0], "address", CELLS, &cells)) return NULL;
  struct sockaddr_storage to;
  socklen_t len = get_address((uint32_t *)cells, &to);
  int fd = open_socket(to.ss_family);
  if (fd < 0) return result(env, -1);
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

// tcpOpened(fd, events): how the connect ended of which these events told, 0 or -errno. The queue of errors is left as it is
// when it failed.
napi_value fn_tcp_opened(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  SOCKET(fd, 0);
  INTEGER(uint32_t, events, 1, 0, UINT32_MAX);
  int error = 0;
  socklen_t len = sizeof(error);
  if ((events & (EPOLLERR | EPOLLHUP)) != 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
    return result(env, -1);
  if (error != 0) return number(env, -error);
  set_error_queue(fd, kind_of(st, fd), 0);
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
  if (st->reactor.reserve < 0) st->reactor.reserve = open_reserve();
  if (st->reactor.reserve < 0) return result(env, -1);
  int fd = open_socket(at.ss_family);
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
  if (st->reactor.reserve < 0) return false;
  close(st->reactor.reserve);
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0) close(fd);
  st->reactor.reserve = open_reserve();
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
  struct known *socket = &st->reactor.known[fd];
  if (socket->written && !socket->undelayed) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    socket->undelayed = true;
  }
  socket->written = true;
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
