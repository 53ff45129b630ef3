// Frames of a network interface: AF_PACKET sockets.
//
// The kernel hands over frames as its own drivers have them: the VLAN tag beside the frame, and of local senders the
// checksum not computed yet, or many segments in one. The socket is therefore opened with PACKET_AUXDATA and
// PACKET_VNET_HDR, and recvPackets puts tag and checksum where they belong on the wire. What is longer than one frame
// is told with its whole length; the caller drops it. Frames that this socket sent are not received by it; those that the
// machine itself sends through the interface are.
//
//   slot   |  6 free  | vnet header (10) | frame ...            without a tag: the frame at 16
//          |      dst and src move down by 4, the tag behind    with one:      the frame at 12

#include "addon.h"
#include "batch.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_AT 16  // in a slot
#define VNET_AT (FRAME_AT - (int)sizeof(struct virtio_net_hdr))
#define TAG_LEN 4
#define MACS_LEN 12
#define CONTROL_LEN 64
#define MAX_AT_ONCE 64

static int packet_open(int index, bool promiscuous) {
  // Without protocol at first: nothing may come in from other interfaces before it is bound.
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  int on = 1;
  struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
  struct packet_mreq all = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0 ||
      bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
      (promiscuous && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0)) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// packet(index, promiscuous): a socket bound to an interface, or -errno.
napi_value fn_packet(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  INTEGER(int, index, 0, 1, INT32_MAX);
  bool promiscuous;
  if (napi_get_value_bool(env, argv[1], &promiscuous) != napi_ok) return type_error(env, "promiscuous", "a boolean");
  return number(env, packet_open(index, promiscuous));
}

static const struct tpacket_auxdata *find_auxdata(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) return (const void *)CMSG_DATA(c);
  }
  return NULL;
}

// Puts the frame of a slot into the form it has on the wire; its offset in the slot, and its length in *len.
static uint32_t finish_frame(uint8_t *slot, struct msghdr *m, size_t room, size_t *len) {
  uint8_t *frame = slot + FRAME_AT;
  struct virtio_net_hdr h;
  memcpy(&h, slot + VNET_AT, sizeof(h));
  *len = *len < sizeof(h) ? 0 : *len - sizeof(h);
  size_t whole = *len;
  if (whole <= room) complete_checksum(frame, whole, &h);
  const struct tpacket_auxdata *aux = find_auxdata(m);
  if (aux == NULL || (aux->tp_status & TP_STATUS_VLAN_VALID) == 0 || whole < MACS_LEN) return FRAME_AT;
  uint16_t tag[2] = {htons((aux->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? aux->tp_vlan_tpid : ETH_P_8021Q),
                     htons(aux->tp_vlan_tci)};
  memmove(frame - TAG_LEN, frame, MACS_LEN);
  memcpy(frame - TAG_LEN + MACS_LEN, tag, TAG_LEN);
  *len += TAG_LEN;
  return FRAME_AT - TAG_LEN;
}

// recvPackets(fd, batch, base, stride, max): as recv, of a socket made by packet(); slots of at least 64 bytes.
napi_value fn_recv_packets(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  struct batch *b = r.b;
  uint32_t max = r.max < MAX_AT_ONCE ? r.max : MAX_AT_ONCE;
  if (max == 0) return number(env, 0);
  if (b->rx_stride < 64) return range_error(env, "stride", "is too small");
  struct iovec iov[MAX_AT_ONCE];
  struct mmsghdr messages[MAX_AT_ONCE];
  _Alignas(struct cmsghdr) uint8_t control[MAX_AT_ONCE][CONTROL_LEN];
  for (uint32_t i = 0; i < max; i++) {
    iov[i] = (struct iovec){.iov_base = b->data + b->rx_base + i * b->rx_stride + VNET_AT,
                            .iov_len = b->rx_stride - VNET_AT};
    messages[i].msg_hdr = (struct msghdr){
      .msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = CONTROL_LEN};
  }
  int n;
  do n = recvmmsg(r.fd, messages, max, MSG_DONTWAIT | MSG_TRUNC, NULL);
  while (n < 0 && errno == EINTR);
  if (n < 0) return count_or_error(env, n);
  for (int i = 0; i < n; i++) {
    size_t at = b->rx_base + (size_t)i * b->rx_stride;
    size_t len = messages[i].msg_len;
    b->offs[i] = (uint32_t)at + finish_frame(b->data + at, &messages[i].msg_hdr, b->rx_stride - FRAME_AT, &len);
    b->lens[i] = (uint32_t)len;
  }
  return number(env, n);
}

// sendPackets(fd, batch, start, count): as send, of a socket made by packet(); at most 64 at once.
napi_value fn_send_packets(napi_env env, napi_callback_info info) {
  static const struct virtio_net_hdr whole = {.gso_type = VIRTIO_NET_HDR_GSO_NONE};
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  uint32_t count = t.count < MAX_AT_ONCE ? t.count : MAX_AT_ONCE;
  if (count == 0) return number(env, 0);
  struct iovec iov[MAX_AT_ONCE][2];
  struct mmsghdr messages[MAX_AT_ONCE];
  for (uint32_t i = 0; i < count; i++) {
    iov[i][0] = (struct iovec){.iov_base = (void *)&whole, .iov_len = sizeof(whole)};
    iov[i][1] = t.b->tx_iov[i];
    messages[i].msg_hdr = (struct msghdr){.msg_iov = iov[i], .msg_iovlen = 2};
  }
  int n;
  do n = sendmmsg(t.fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  // A full queue of the device is told as ENOBUFS; there is nothing to wait for.
  return sent_or_error(env, &t, n);
}
