// Datagrams with their addresses, and the error queue: AF_INET and AF_INET6 sockets that are not connected.
//
// A batch made "with addresses" has, behind offsets and lengths, ADDRESS_CELLS cells for each slot:
//
//   w0 w1 w2 w3   address, four words in host byte order; IPv4 mapped (0, 0, 0xffff, a.b.c.d)
//   port          0 to 65535
//   scope         interface index of a link-local IPv6 address, else 0
//   ttl           receiving: TTL or hop limit, -1 when the socket was not asked to tell it (IP_RECVTTL)
//   segment       receiving: length of the datagrams that lie in the slot one behind the other, the last may be shorter; 0
//                 when it holds one
//
// Many at once. Datagrams of one length for one peer that lie one behind the other are handed to the kernel in one piece, which
// it cuts as late as it can (UDP_SEGMENT, Linux 4.18), and what the kernel has of that kind comes in one piece (UDP_GRO, Linux
// 5.0): a way through its stack costs more than a datagram. Only sockets of the reactor do so.
//
// Errors. What ICMP says about a datagram waits in a queue of the socket that asked for it (IP_RECVERR), one entry per
// error: errno, type and code, who sent it, whom the datagram was for, and its first bytes. recvError takes one.

#include "addon.h"
#include "batch.h"
#include "inet.h"
#include "reactor.h"

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <unistd.h>

#define MAPPED 0xffff   // third word of an IPv4 address
#define CONTROL_LEN 64  // two control messages with a number each, of either family; aligned
#define MAX_PIECE 65000 // of datagrams in one piece: with headers it fits the length field of IP

_Static_assert(CELLS <= ADDRESS_CELLS, "batch.h leaves room for the address");

// ---- addresses

void put_address(uint32_t *cells, const struct sockaddr_storage *a) {
  const struct sockaddr_in *v4 = (const void *)a;
  const struct sockaddr_in6 *v6 = (const void *)a;
  memset(cells, 0, (SCOPE + 1) * sizeof(*cells));
  if (a->ss_family == AF_INET) {
    cells[W2] = MAPPED;
    cells[W3] = ntohl(v4->sin_addr.s_addr);
    cells[PORT] = ntohs(v4->sin_port);
  } else if (a->ss_family == AF_INET6) {
    memcpy(cells, &v6->sin6_addr, 16);
    for (int i = W0; i <= W3; i++) cells[i] = ntohl(cells[i]);
    cells[PORT] = ntohs(v6->sin6_port);
    cells[SCOPE] = v6->sin6_scope_id;
  }
}

socklen_t get_address(const uint32_t *shared, struct sockaddr_storage *a) {
  uint32_t cells[CELLS];
  for (int i = 0; i < CELLS; i++) cells[i] = cell(&shared[i]);
  memset(a, 0, sizeof(*a));
  struct sockaddr_in *v4 = (void *)a;
  struct sockaddr_in6 *v6 = (void *)a;
  if (cells[W0] == 0 && cells[W1] == 0 && cells[W2] == MAPPED) {
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(cells[W3]);
    v4->sin_port = htons((uint16_t)cells[PORT]);
    return sizeof(*v4);
  }
  v6->sin6_family = AF_INET6;
  for (int i = W0; i <= W3; i++) cells[i] = htonl(cells[i]);
  memcpy(&v6->sin6_addr, cells, 16);
  v6->sin6_port = htons((uint16_t)cells[PORT]);
  v6->sin6_scope_id = cells[SCOPE];
  return sizeof(*v6);
}

// What the kernel tells beside a datagram.
static void put_notes(uint32_t *cells, struct msghdr *m) {
  cells[TTL] = (uint32_t)-1;
  cells[SEGMENT] = 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    int number;
    memcpy(&number, CMSG_DATA(c), sizeof(number));
    if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT))
      cells[TTL] = (uint32_t)number;
    else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
      cells[SEGMENT] = (uint32_t)number;
  }
}

// ---- datagrams

// Datagrams of one call: their addresses and control messages lie on the stack.
#define MAX_AT_ONCE 64

napi_value fn_recv_from(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  struct batch *b = r.b;
  if (b->addresses == NULL) return range_error(env, "batch", "has no addresses");
  uint32_t max = r.max < MAX_AT_ONCE ? r.max : MAX_AT_ONCE;
  if (max == 0) return number(env, 0);
  struct sockaddr_storage names[MAX_AT_ONCE];
  _Alignas(struct cmsghdr) uint8_t control[MAX_AT_ONCE][CONTROL_LEN];
  for (uint32_t i = 0; i < max; i++) {
    struct msghdr *m = &b->rx_msg[i].msg_hdr;
    m->msg_name = &names[i];
    m->msg_namelen = sizeof(names[i]);
    m->msg_control = control[i];
    m->msg_controllen = CONTROL_LEN;
  }
  int n;
  do n = recvmmsg(r.fd, b->rx_msg, max, MSG_DONTWAIT | MSG_TRUNC, NULL);
  while (n < 0 && errno == EINTR);
  int error = errno;
  for (int i = 0; i < n; i++) {
    uint32_t *cells = b->addresses + (size_t)i * ADDRESS_CELLS;
    put_address(cells, &names[i]);
    put_notes(cells, &b->rx_msg[i].msg_hdr);
    b->offs[i] = (uint32_t)(b->rx_base + (size_t)i * b->rx_stride);
    b->lens[i] = b->rx_msg[i].msg_len;
  }
  for (uint32_t i = 0; i < max; i++) {
    // recv leaves these alone and expects none; they point into this call's stack.
    struct msghdr *m = &b->rx_msg[i].msg_hdr;
    m->msg_name = m->msg_control = NULL;
    m->msg_namelen = 0;
    m->msg_controllen = 0;
  }
  errno = error;
  return n < 0 ? count_or_error(env, n) : number(env, n);
}

// Number of datagrams from `iov` on, of `count`, that can leave in one piece.
static uint32_t piece_of(const struct iovec *iov, const struct sockaddr_storage *names, uint32_t count) {
  size_t len = iov->iov_len;
  uint32_t n = 1;
  // Behind a shorter one nothing can follow.
  while (n < count && len > 0 && (n + 1) * len <= MAX_PIECE && iov[n - 1].iov_len == len && iov[n].iov_len > 0 &&
         iov[n].iov_len <= len && iov[n].iov_base == (uint8_t *)iov->iov_base + n * len &&
         memcmp(&names[n], names, sizeof(*names)) == 0)
    n++;
  return n;
}

// Sends the datagrams, each for its own name, in pieces as large as may be: how many were taken, or -1.
static int send_pieces(int fd, struct iovec *iov, struct sockaddr_storage *names, const socklen_t *lens, uint32_t count,
                       bool cut) {
  struct mmsghdr messages[MAX_AT_ONCE] = {0};
  struct iovec pieces[MAX_AT_ONCE];
  uint32_t counts[MAX_AT_ONCE];
  _Alignas(struct cmsghdr) uint8_t control[MAX_AT_ONCE][CMSG_SPACE(sizeof(uint16_t))];
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; i += counts[n++]) {
    counts[n] = cut ? piece_of(iov + i, names + i, count - i) : 1;
    uint32_t last = i + counts[n] - 1;
    pieces[n] = (struct iovec){.iov_base = iov[i].iov_base,
                               .iov_len = iov[i].iov_len * (counts[n] - 1) + iov[last].iov_len};
    struct msghdr *m = &messages[n].msg_hdr;
    *m = (struct msghdr){.msg_name = &names[i], .msg_namelen = lens[i], .msg_iov = &pieces[n], .msg_iovlen = 1};
    if (counts[n] == 1) continue;
    uint16_t segment = (uint16_t)iov[i].iov_len;
    m->msg_control = control[n];
    m->msg_controllen = sizeof(control[n]);
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    *c = (struct cmsghdr){.cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(segment))};
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
  }
  int taken;
  do taken = sendmmsg(fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (taken < 0 && errno == EINTR);
  // Longer than the path's MTU, or a device that cannot: one by one then.
  if (taken < 0 && counts[0] > 1 && (errno == EINVAL || errno == EIO || errno == EMSGSIZE))
    return send_pieces(fd, iov, names, lens, counts[0], false);
  if (taken < 0) return -1;
  int sum = 0;
  for (int i = 0; i < taken; i++) sum += (int)counts[i];
  return sum;
}

napi_value fn_send_to(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  struct batch *b = t.b;
  if (b->addresses == NULL) return range_error(env, "batch", "has no addresses");
  uint32_t count = t.count < MAX_AT_ONCE ? t.count : MAX_AT_ONCE;
  if (count == 0) return number(env, 0);
  struct sockaddr_storage names[MAX_AT_ONCE];
  socklen_t lens[MAX_AT_ONCE];
  for (uint32_t i = 0; i < count; i++)
    lens[i] = get_address(b->addresses + ((size_t)t.start + i) * ADDRESS_CELLS, &names[i]);
  bool cut = b->state->reactor.cuts && is_known(b->state, t.fd) && (kind_of(b->state, t.fd) & DATAGRAMS) != 0;
  return count_or_error(env, send_pieces(t.fd, b->tx_iov, names, lens, count, cut));
}

// ---- the error queue

// Cells of the record that recvError fills; native.ts has the same order.
enum {
  E_ERRNO,
  E_ORIGIN,
  E_TYPE,
  E_CODE,
  E_INFO,
  E_OFFENDER,
  E_TO = E_OFFENDER + 4,
  E_PORT = E_TO + 4,
  E_LEN,
  E_DATA,
  E_CELLS = E_DATA + 2,
};

static const struct sock_extended_err *find_error(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
      return (const void *)CMSG_DATA(c);
  }
  return NULL;
}

// recvError(fd, record): 1 and the record filled, 0 when the queue is empty, or -errno.
napi_value fn_recv_error(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  FD(fd, 0);
  int32_t *out;
  if (!get_cells(env, argv[1], "record", E_CELLS, &out)) return NULL;

  struct sockaddr_storage to = {0};
  uint32_t data[2] = {0};
  struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
  _Alignas(struct cmsghdr) uint8_t control[512];
  struct msghdr m = {.msg_name = &to,
                     .msg_namelen = sizeof(to),
                     .msg_iov = &iov,
                     .msg_iovlen = 1,
                     .msg_control = control,
                     .msg_controllen = sizeof(control)};
  ssize_t n;
  do n = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0) return count_or_error(env, n);
  memset(out, 0, E_CELLS * sizeof(*out));
  uint32_t address[CELLS];
  const struct sock_extended_err *e = find_error(&m);
  if (e != NULL) {
    out[E_ERRNO] = (int32_t)e->ee_errno;
    out[E_ORIGIN] = e->ee_origin;
    out[E_TYPE] = e->ee_type;
    out[E_CODE] = e->ee_code;
    out[E_INFO] = (int32_t)e->ee_info;
    struct sockaddr_storage offender = {0};
    const struct sockaddr *o = (const void *)(e + 1);  // SO_EE_OFFENDER
    memcpy(&offender, o, o->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    put_address(address, &offender);
    memcpy(out + E_OFFENDER, address, 4 * sizeof(*out));
  }
  put_address(address, &to);
  memcpy(out + E_TO, address, 4 * sizeof(*out));
  out[E_PORT] = (int32_t)address[PORT];
  out[E_LEN] = (int32_t)n;
  out[E_DATA] = (int32_t)ntohl(data[0]);
  out[E_DATA + 1] = (int32_t)ntohl(data[1]);
  return number(env, 1);
}

napi_value fn_if_index(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  char name[IF_NAMESIZE];
  size_t len;
  if (napi_get_value_string_utf8(env, argv[0], NULL, 0, &len) != napi_ok) return type_error(env, "name", "a string");
  if (len >= sizeof(name)) return number(env, -ENAMETOOLONG);
  if (napi_get_value_string_utf8(env, argv[0], name, sizeof(name), &len) != napi_ok) return NULL;
  unsigned index = if_nametoindex(name);
  return result(env, index == 0 ? -1 : (ssize_t)index);
}

// joinGroup(fd, address, index): joins a multicast group on an interface (0: the one of the route) and sends to groups
// from there; 0 or -errno.
napi_value fn_join_group(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  FD(fd, 0);
  uint8_t *bytes;
  size_t len;
  if (!get_bytes(env, argv[1], "address", &bytes, &len, NULL)) return NULL;
  INTEGER(int, index, 2, 0, INT32_MAX);
  if (len != 4 && len != 16) return range_error(env, "address", "must have 4 or 16 bytes");
  struct group_req request = {.gr_interface = (uint32_t)index};
  struct sockaddr_in *v4 = (void *)&request.gr_group;
  struct sockaddr_in6 *v6 = (void *)&request.gr_group;
  int level = len == 4 ? IPPROTO_IP : IPPROTO_IPV6;
  int rc = 0;
  if (len == 4) {
    struct ip_mreqn out = {.imr_ifindex = index};
    v4->sin_family = AF_INET;
    memcpy(&v4->sin_addr, bytes, len);
    if (index != 0) rc = setsockopt(fd, level, IP_MULTICAST_IF, &out, sizeof(out));
  } else {
    v6->sin6_family = AF_INET6;
    memcpy(&v6->sin6_addr, bytes, len);
    if (index != 0) rc = setsockopt(fd, level, IPV6_MULTICAST_IF, &index, sizeof(index));
  }
  return result(env, rc < 0 ? rc : setsockopt(fd, level, MCAST_JOIN_GROUP, &request, sizeof(request)));
}

// ---- sockets of the reactor

// udpOpen(address, receive): a datagram socket bound to the address, with a receive buffer of that many bytes and a queue of
// errors; or -errno. The port of the address becomes the one that it got.
napi_value fn_udp_open(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int32_t *cells;
  if (!get_cells(env, argv[0], "address", CELLS, &cells)) return NULL;
  INTEGER(int, receive, 1, 0, INT32_MAX);
  struct sockaddr_storage at;
  socklen_t len = get_address((uint32_t *)cells, &at);
  int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return result(env, -1);
  if (at.ss_family == AF_INET6) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  set_error_queue(fd, at.ss_family, 1);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, receive);
  set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
  int segment;
  socklen_t segment_len = sizeof(segment);
  // A kernel that does not know it would send a piece as one datagram.
  st->reactor.cuts = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &segment_len) == 0;
  struct sockaddr_storage own = {0};
  socklen_t own_len = sizeof(own);
  if (bind(fd, (struct sockaddr *)&at, len) < 0 || getsockname(fd, (struct sockaddr *)&own, &own_len) < 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  put_address((uint32_t *)cells, &own);
  return number(env, adopt(st, fd, at.ss_family | DATAGRAMS));
}
