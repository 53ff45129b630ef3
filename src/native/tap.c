// TAP interfaces: frames of the kernel of this host, or of another network namespace.
//
// With a vnet header (struct virtio_net_hdr, 10 bytes before each frame) the kernel leaves to us what it leaves to a
// network card: checksums of TCP and UDP, and cutting TCP data into segments. So one read(2) brings up to 64 KiB of a
// guest's stream, and one write(2) hands over as much.
//
//   read    vnet header | frame, at `base + 10`: TCP up to 65,549 bytes, its checksum not computed; other checksums are
//           completed here
//   write   TCP: the header is made here, and the sum of the pseudo header put into the checksum field, whatever was
//           there; a frame longer than the MTU is marked to be cut into segments that fit it. The rest goes out as it is.
//
// Another namespace is entered by a child, since a process of several threads may not enter a user namespace; the child
// makes only system calls, and sends the descriptor back.

#include "addon.h"
#include "batch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/route.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define VNET_LEN ((int)sizeof(struct virtio_net_hdr))
#define ETH_LEN 14
#define IPV6_LEN 40
#define TCP_MIN 20
#define TCP_CHECKSUM 16  // offset of the field

// What the kernel may leave to us is kept with the interface. One that outlives us (`ip tuntap add`) is given plain frames,
// or the next program to open it, which knows nothing of that, would get large segments without checksums; so may we,
// after a program that left it so.
static unsigned long offloads(int fd, bool vnet_header) {
  struct ifreq now = {0};
  bool stays = ioctl(fd, TUNGETIFF, &now) < 0 || (now.ifr_flags & IFF_PERSIST) != 0;
  return vnet_header && !stays ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0;
}

static int tap_open(const char *name, bool vnet_header) {
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  if (vnet_header) request.ifr_flags |= IFF_VNET_HDR;
  memcpy(request.ifr_name, name, strlen(name));
  int header_len = VNET_LEN;
  if (ioctl(fd, TUNSETIFF, &request) < 0 || (vnet_header && ioctl(fd, TUNSETVNETHDRSZ, &header_len) < 0) ||
      ioctl(fd, TUNSETOFFLOAD, offloads(fd, vnet_header)) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// Reads the name of an interface; 0, or -errno that the function returns, or 1: an exception was thrown.
static int get_name(napi_env env, napi_value v, char name[IFNAMSIZ]) {
  size_t len;
  if (napi_get_value_string_utf8(env, v, NULL, 0, &len) != napi_ok) {
    type_error(env, "name", "a string");
    return 1;
  }
  if (len >= IFNAMSIZ) return -ENAMETOOLONG;
  if (napi_get_value_string_utf8(env, v, name, IFNAMSIZ, &len) != napi_ok) return 1;
  // An empty name would make the kernel choose one that nobody learns.
  return len == 0 || memchr(name, '\0', len) != NULL ? -EINVAL : 0;
}

// tap(name, vnetHeader): the descriptor, or -errno.
napi_value fn_tap(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  bool vnet_header;
  if (napi_get_value_bool(env, argv[1], &vnet_header) != napi_ok) return type_error(env, "vnetHeader", "a boolean");
  char name[IFNAMSIZ] = "";
  int rc = get_name(env, argv[0], name);
  if (rc != 0) return rc > 0 ? NULL : number(env, rc);
  return number(env, tap_open(name, vnet_header));
}

// ---- another namespace

// Which step failed: told as -(step << 16 | errno), so that the caller can say what was tried.
enum step { STEP_FORK = 1, STEP_USER, STEP_NET, STEP_TAP, STEP_LINK, STEP_ADDRESS, STEP_ROUTE };

struct setup {
  int user_fd;  // -1: our own
  int net_fd;
  char name[IFNAMSIZ];
  bool vnet_header;
  int mtu;
  uint32_t address;  // network order; 0: none
  int prefix_len;
  uint32_t gateway;  // network order; 0: no default route
};

static void set_address(struct sockaddr *to, uint32_t address) {
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {.s_addr = address}};
  memcpy(to, &in, sizeof(in));
}

static int bring_up(int fd, const char *name) {
  struct ifreq r = {0};
  memcpy(r.ifr_name, name, strlen(name));
  if (ioctl(fd, SIOCGIFFLAGS, &r) < 0) return -1;
  r.ifr_flags |= IFF_UP;
  return ioctl(fd, SIOCSIFFLAGS, &r);
}

static int configure(const struct setup *s) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return STEP_LINK;
  struct ifreq r = {.ifr_mtu = s->mtu};
  memcpy(r.ifr_name, s->name, IFNAMSIZ);
  if (ioctl(fd, SIOCSIFMTU, &r) < 0 || bring_up(fd, "lo") < 0 || bring_up(fd, s->name) < 0) return STEP_LINK;
  if (s->address == 0) return 0;
  set_address(&r.ifr_addr, s->address);
  if (ioctl(fd, SIOCSIFADDR, &r) < 0) return STEP_ADDRESS;
  set_address(&r.ifr_netmask, s->prefix_len == 0 ? 0 : htonl(UINT32_MAX << (32 - s->prefix_len)));
  if (ioctl(fd, SIOCSIFNETMASK, &r) < 0) return STEP_ADDRESS;
  if (s->gateway == 0) return 0;
  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
  set_address(&route.rt_dst, 0);
  set_address(&route.rt_genmask, 0);
  set_address(&route.rt_gateway, s->gateway);
  return ioctl(fd, SIOCADDRT, &route) < 0 ? STEP_ROUTE : 0;
}

// In the child: 0 and the descriptor in *fd, or the step that failed, with errno.
static int set_up(const struct setup *s, int *fd) {
  if (s->user_fd >= 0 && setns(s->user_fd, CLONE_NEWUSER) < 0) return STEP_USER;
  if (setns(s->net_fd, CLONE_NEWNET) < 0) return STEP_NET;
  *fd = tap_open(s->name, s->vnet_header);
  if (*fd < 0) {
    errno = -*fd;
    return STEP_TAP;
  }
  return configure(s);
}

union fd_message {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

static void send_result(int to, int32_t result, int fd) {
  union fd_message control = {0};
  struct iovec iov = {.iov_base = &result, .iov_len = sizeof(result)};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
  if (result == 0) {
    m.msg_control = &control;
    m.msg_controllen = sizeof(control);
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
  }
  sendmsg(to, &m, MSG_NOSIGNAL);
}

// The descriptor, or what the child said, or -(STEP_FORK << 16 | errno).
static int receive_result(int from) {
  int32_t result = 0;
  int fd = -1;
  union fd_message control;
  struct iovec iov = {.iov_base = &result, .iov_len = sizeof(result)};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
  ssize_t n;
  do n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n != sizeof(result)) return -(STEP_FORK << 16 | (n < 0 ? errno : ECHILD));
  if (result < 0) return result;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (c == NULL || c->cmsg_type != SCM_RIGHTS) return -(STEP_FORK << 16 | EPROTO);
  memcpy(&fd, CMSG_DATA(c), sizeof(fd));
  return fd;
}

static int tap_in(const struct setup *s) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return -(STEP_FORK << 16 | errno);
  pid_t child = fork();
  if (child == 0) {
    int fd = -1;
    int step = set_up(s, &fd);
    send_result(ends[1], step == 0 ? 0 : -(step << 16 | errno), fd);
    _exit(0);
  }
  int error = errno;
  close(ends[1]);
  int rc = child < 0 ? -(STEP_FORK << 16 | error) : receive_result(ends[0]);
  close(ends[0]);
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  return rc;
}

// tapIn(userFd, netFd, name, vnetHeader, mtu, address, prefixLen, gateway): makes a TAP interface in the network
// namespace netFd (of the user namespace userFd, -1: ours), up, with that MTU, and an IPv4 address and a default route
// where they are not 0. The descriptor, or -(step << 16 | errno).
napi_value fn_tap_in(napi_env env, napi_callback_info info) {
  ARGUMENTS(8);
  struct setup s = {0};
  INTEGER(int, user_fd, 0, -1, INT32_MAX);
  INTEGER(int, net_fd, 1, 0, INT32_MAX);
  INTEGER(int, mtu, 4, 68, 65535);
  INTEGER(uint32_t, address, 5, 0, UINT32_MAX);
  INTEGER(int, prefix_len, 6, 0, 32);
  INTEGER(uint32_t, gateway, 7, 0, UINT32_MAX);
  if (napi_get_value_bool(env, argv[3], &s.vnet_header) != napi_ok) return type_error(env, "vnetHeader", "a boolean");
  int rc = get_name(env, argv[2], s.name);
  if (rc != 0) return rc > 0 ? NULL : number(env, -(STEP_TAP << 16 | -rc));
  s.user_fd = user_fd;
  s.net_fd = net_fd;
  s.mtu = mtu;
  s.address = htonl(address);
  s.prefix_len = prefix_len;
  s.gateway = htonl(gateway);
  return number(env, tap_in(&s));
}

// ---- frames with vnet headers

size_t find_tcp(const uint8_t *f, size_t len) {
  if (len < ETH_LEN + 20 + TCP_MIN) return 0;
  const uint8_t *ip = f + ETH_LEN;
  size_t at = 0;
  if (f[12] == 0x08 && f[13] == 0x00 && ip[9] == IPPROTO_TCP && ((ip[6] & 0x3f) | ip[7]) == 0)
    at = ETH_LEN + (size_t)(ip[0] & 15) * 4;
  else if (f[12] == 0x86 && f[13] == 0xdd && ip[6] == IPPROTO_TCP)
    at = ETH_LEN + IPV6_LEN;
  return at + TCP_MIN <= len ? at : 0;
}

// Leaves checksum and segmentation of a TCP segment to the kernel.
static struct virtio_net_hdr offload(uint8_t *f, size_t len, size_t tcp, uint32_t mtu) {
  bool v4 = f[12] == 0x08;
  const uint8_t *addresses = f + ETH_LEN + (v4 ? 12 : 8);
  uint32_t sum = sum_bytes(addresses, v4 ? 8 : 32);
  size_t segment = len - tcp;
  sum += htons(IPPROTO_TCP);
  sum += htons((uint16_t)segment);
  sum = (sum & 0xffff) + (sum >> 16);
  uint16_t folded = (uint16_t)((sum & 0xffff) + (sum >> 16));
  memcpy(f + tcp + TCP_CHECKSUM, &folded, sizeof(folded));
  struct virtio_net_hdr h = {
    .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)tcp, .csum_offset = TCP_CHECKSUM};
  size_t header = (size_t)(f[tcp + 12] >> 4) * 4;
  size_t headers = tcp - ETH_LEN + header;
  if (len > ETH_LEN + (size_t)mtu && headers < mtu) {
    h.gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
    h.gso_size = (uint16_t)(mtu - headers);
    h.hdr_len = (uint16_t)(ETH_LEN + headers);
  }
  return h;
}

// writeOffloaded(fd, batch, start, count, mtu): as send, to a TAP interface opened with a vnet header.
napi_value fn_write_offloaded(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  ARGUMENTS(5);
  INTEGER(uint32_t, mtu, 4, 68, 65535);
  uint32_t done = 0;
  for (; done < t.count; done++) {
    const struct iovec *frame = &t.b->tx_iov[done];
    struct virtio_net_hdr h = {0};
    size_t tcp = find_tcp(frame->iov_base, frame->iov_len);
    if (tcp > 0) h = offload(frame->iov_base, frame->iov_len, tcp, mtu);
    struct iovec iov[2] = {{.iov_base = &h, .iov_len = sizeof(h)}, *frame};
    ssize_t n;
    do n = writev(t.fd, iov, 2);
    while (n < 0 && errno == EINTR);
    if (n < 0) break;
  }
  return done == 0 && t.count > 0 ? count_or_error(env, -1) : number(env, done);
}

// readOffloaded(fd, batch, base, stride, max): as recv, from a TAP interface opened with a vnet header. A frame is at
// offset 10 of its slot; checksums of TCP that the sender left to the device are not computed, others are.
napi_value fn_read_offloaded(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  struct batch *b = r.b;
  uint32_t n = 0;
  ssize_t got = 0;
  while (n < r.max) {
    do got = read(r.fd, b->rx_iov[n].iov_base, b->rx_iov[n].iov_len);
    while (got < 0 && errno == EINTR);
    if (got < VNET_LEN) break;
    uint8_t *slot = b->rx_iov[n].iov_base;
    size_t len = (size_t)got - VNET_LEN;
    struct virtio_net_hdr h;
    memcpy(&h, slot, sizeof(h));
    if (find_tcp(slot + VNET_LEN, len) == 0) complete_checksum(slot + VNET_LEN, len, &h);
    b->offs[n] = (uint32_t)(b->rx_base + (size_t)n * b->rx_stride + VNET_LEN);
    b->lens[n] = (uint32_t)len;
    n++;
  }
  return n == 0 && got < 0 ? count_or_error(env, -1) : number(env, n);
}
