// Segments of TCP many at a time: what network cards do with them for a kernel, done for links that carry plain frames.
//
// For a TAP interface at the end of a cable, opened with a vnet header (tap.c):
//
//   read    up to 64 KiB of a stream come with one read(2), and are cut into frames here, with lengths, sequence numbers
//           and checksums of their own. What does not fit into the batch stays in `scratch`, a batch of one slot:
//           lens[0] are the bytes in its memory, vnet header included, 0 for none; offs[0] is how much payload of them
//           has been cut.
//   write   frames of one batch that continue each other are handed over with one writev(2), as a network card does that
//           merges what it receives. Nothing is copied: only the headers of the first are made anew.
//
// For the router, whose TCP takes and gives segments of up to 64 KiB without checksums, between batches of one memory:
//
//   split   large segments become frames of the link's MTU, copied to a region; all are summed
//   merge   frames that continue each other become one, copied to a region; of the others that are TCP it is noted that
//           their checksums hold
//
// What is merged must be what the receiver would have seen: segments of one connection with the same acknowledgement,
// window, options and IP fields, all but the last of one size, whose checksums hold. All else is written as it is, frame
// by frame and in order; a frame whose checksum does not hold arrives so.

#include "addon.h"
#include "batch.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/uio.h>
#include <unistd.h>

#define VNET_LEN sizeof(struct virtio_net_hdr)
#define MACS_LEN 12
#define ETH_LEN 14
#define TAG_LEN 4
#define IPV4_LEN 20
#define IPV6_LEN 40
#define TCP_MIN 20
#define MAX_PACKET 65535
#define MAX_HEADERS (ETH_LEN + TAG_LEN + IPV6_LEN + 60)
#define MAX_RUN 128  // frames of one write

// Offsets in the headers of IPv4, IPv6 and TCP.
enum { IP4_TOTAL = 2, IP4_ID = 4, IP4_FRAGMENT = 6, IP4_PROTOCOL = 9, IP4_CHECKSUM = 10, IP4_ADDRESSES = 12 };
enum { IP6_PAYLOAD = 4, IP6_NEXT = 6, IP6_ADDRESSES = 8 };
enum { TCP_SEQ = 4, TCP_ACK = 8, TCP_OFFSET = 12, TCP_FLAGS = 13, TCP_WINDOW = 14, TCP_CHECKSUM = 16, TCP_OPTIONS = 20 };
enum { FIN = 0x01, PSH = 0x08, ACK = 0x10, CWR = 0x80 };

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void put16(uint8_t *p, size_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static void put32(uint8_t *p, uint32_t v) {
  put16(p, v >> 16);
  put16(p + 2, v & 0xffff);
}

static uint16_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum >> 16) + (sum & 0xffff);
  return (uint16_t)sum;
}

static void put_sum(uint8_t *p, uint16_t sum) { memcpy(p, &sum, sizeof(sum)); }  // sums are in memory order

// Where the IP header of a frame begins.
static size_t ip_at(const uint8_t *f) {
  uint16_t type = get16(f + MACS_LEN);
  return type == 0x8100 || type == 0x88a8 ? ETH_LEN + TAG_LEN : ETH_LEN;
}

// Sum of the pseudo header of `segment` bytes of TCP.
static uint32_t pseudo_sum(const uint8_t *ip, size_t segment) {
  bool v4 = ip[0] >> 4 == 4;
  return sum_bytes(ip + (v4 ? IP4_ADDRESSES : IP6_ADDRESSES), v4 ? 8 : 32) + (uint32_t)htons(IPPROTO_TCP) +
         htons((uint16_t)segment);
}

static void put_ip_lengths(uint8_t *ip, size_t packet) {
  if (ip[0] >> 4 == 4) {
    put16(ip + IP4_TOTAL, packet);
    put16(ip + IP4_CHECKSUM, 0);
    put_sum(ip + IP4_CHECKSUM, (uint16_t)~sum_bytes(ip, (size_t)(ip[0] & 15) * 4));
  } else {
    put16(ip + IP6_PAYLOAD, packet - IPV6_LEN);
  }
}

// ---- reading

// The TCP segments that one read brought.
struct large {
  const uint8_t *frame;
  size_t ip, tcp, headers;  // offsets of the headers, and bytes of all of them
  size_t payload;
  size_t size;  // payload of a segment
};

static bool look_at(const uint8_t *f, size_t len, const struct virtio_net_hdr *h, struct large *l) {
  if (len < ETH_LEN + TAG_LEN) return false;
  l->frame = f;
  l->ip = ip_at(f);
  l->tcp = h->csum_start;
  l->size = h->gso_size;
  if (l->tcp < l->ip + IPV4_LEN || l->tcp + TCP_MIN > len || l->size == 0) return false;
  if (f[l->ip] >> 4 != 4 && (f[l->ip] >> 4 != 6 || l->tcp < l->ip + IPV6_LEN)) return false;
  l->headers = l->tcp + (size_t)(f[l->tcp + TCP_OFFSET] >> 4) * 4;
  if (l->headers < l->tcp + TCP_MIN || l->headers >= len) return false;
  l->payload = len - l->headers;
  return true;
}

// The segment at `at` of the payload as a frame of its own; its length, also where that is more than `room`: then
// nothing is written.
static size_t cut(const struct large *l, size_t at, uint8_t *to, size_t room) {
  size_t data = l->payload - at < l->size ? l->payload - at : l->size;
  size_t len = l->headers + data;
  if (len > room) return len;
  memcpy(to, l->frame, l->headers);
  memcpy(to + l->headers, l->frame + l->headers + at, data);
  uint8_t *ip = to + l->ip;
  uint8_t *tcp = to + l->tcp;
  // The identification means nothing where no fragments may be made (RFC 6864 section 4.1).
  if (ip[0] >> 4 == 4 && (ip[IP4_FRAGMENT] & 0x40) == 0) put16(ip + IP4_ID, (get16(ip + IP4_ID) + at / l->size) & 0xffff);
  put_ip_lengths(ip, len - l->ip);
  put32(tcp + TCP_SEQ, get32(tcp + TCP_SEQ) + (uint32_t)at);
  if (at > 0) tcp[TCP_FLAGS] &= (uint8_t)~CWR;
  if (at + data < l->payload) tcp[TCP_FLAGS] &= (uint8_t)~(FIN | PSH);
  size_t segment = len - l->tcp;
  put16(tcp + TCP_CHECKSUM, 0);
  put_sum(tcp + TCP_CHECKSUM, (uint16_t)~fold(pseudo_sum(ip, segment) + sum_bytes(tcp, segment)));
  return len;
}

// Moves what is in `scratch`, as far as the batch has room from slot n on; the next free slot.
static uint32_t empty(struct batch *scratch, struct batch *b, uint32_t n, uint32_t max) {
  size_t filled = cell(&scratch->lens[0]);
  size_t done = cell(&scratch->offs[0]);
  if (filled > scratch->size) filled = scratch->size;
  scratch->lens[0] = 0;
  if (filled < VNET_LEN) return n;
  uint8_t *frame = scratch->data + VNET_LEN;
  size_t len = filled - VNET_LEN;
  struct virtio_net_hdr h;
  memcpy(&h, scratch->data, sizeof(h));
  struct large large = {0};
  bool whole = (h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_NONE || !look_at(frame, len, &h, &large);
  if (whole) complete_checksum(frame, len, &h);
  do {
    uint8_t *slot = b->rx_iov[n].iov_base;
    size_t frame_len = len;
    if (!whole) frame_len = cut(&large, done, slot, b->rx_stride);
    else if (len <= b->rx_stride) memcpy(slot, frame, len);
    b->offs[n] = (uint32_t)(b->rx_base + (size_t)n * b->rx_stride);
    b->lens[n++] = (uint32_t)frame_len;  // longer than the slot: the caller drops it
    done += large.size;
  } while (!whole && done < large.payload && n < max);
  if (!whole && done < large.payload) {
    scratch->lens[0] = (uint32_t)filled;
    scratch->offs[0] = (uint32_t)done;
  }
  return n;
}

// readSegments(fd, batch, base, stride, max, scratch): as recv, from a TAP interface opened with a vnet header.
napi_value fn_read_segments(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  ARGUMENTS(6);
  struct batch *scratch = get_batch(env, st, argv[5]);
  if (scratch == NULL) return NULL;
  if (scratch->size < VNET_LEN + ETH_LEN + TAG_LEN + MAX_PACKET) return range_error(env, "scratch", "is too small");
  uint32_t n = 0;
  ssize_t got = 0;
  while (n < r.max) {
    if (cell(&scratch->lens[0]) == 0) {
      do got = read(r.fd, scratch->data, scratch->size);
      while (got < 0 && errno == EINTR);
      if (got <= 0) break;
      scratch->lens[0] = (uint32_t)got;
      scratch->offs[0] = 0;
    }
    n = empty(scratch, r.b, n, r.max);
  }
  return n == 0 && got < 0 ? count_or_error(env, -1) : number(env, n);
}

// ---- writing

// A frame with one TCP segment.
struct segment {
  const uint8_t *frame;
  size_t ip, tcp, headers;
  size_t payload;
  uint32_t seq;
};

enum look { OTHER, SUMMED, CONTINUABLE };

// What a frame is: CONTINUABLE, data that more may follow in one piece; SUMMED, TCP whose checksum holds, and `s` is not
// set; OTHER, all else.
static enum look look_for_segment(const uint8_t *f, size_t len, struct segment *s) {
  if (len < ETH_LEN + TAG_LEN + IPV4_LEN + TCP_MIN) return OTHER;
  const uint8_t *ip = f + (s->ip = ip_at(f));
  uint16_t type = get16(ip - 2);
  size_t room = len - s->ip;
  size_t packet;
  if (type == 0x0800) {
    packet = get16(ip + IP4_TOTAL);
    if (ip[0] != 0x45 || ip[IP4_PROTOCOL] != IPPROTO_TCP || (get16(ip + IP4_FRAGMENT) & 0x3fff) != 0) return OTHER;
    s->tcp = s->ip + IPV4_LEN;
  } else if (type == 0x86dd) {
    packet = IPV6_LEN + (size_t)get16(ip + IP6_PAYLOAD);
    if (ip[0] >> 4 != 6 || ip[IP6_NEXT] != IPPROTO_TCP) return OTHER;
    s->tcp = s->ip + IPV6_LEN;
  } else {
    return OTHER;
  }
  if (packet > room || s->ip + packet < s->tcp + TCP_MIN) return OTHER;
  const uint8_t *tcp = f + s->tcp;
  size_t segment = s->ip + packet - s->tcp;
  if (fold(pseudo_sum(ip, segment) + sum_bytes(tcp, segment)) != 0xffff) return OTHER;
  s->headers = s->tcp + (size_t)(tcp[TCP_OFFSET] >> 4) * 4;
  if ((tcp[TCP_FLAGS] & ~PSH) != ACK || (tcp[TCP_OFFSET] & 0x0f) != 0 || packet != room ||
      s->headers < s->tcp + TCP_MIN || s->headers >= len || (type == 0x0800 && sum_bytes(ip, IPV4_LEN) != 0xffff))
    return SUMMED;
  s->frame = f;
  s->payload = len - s->headers;
  s->seq = get32(tcp + TCP_SEQ);
  return CONTINUABLE;
}

static bool same(const struct segment *a, const struct segment *b, size_t from, size_t to) {
  return memcmp(a->frame + from, b->frame + from, to - from) == 0;
}

// Whether `b` is a segment of the same connection, with the same words in its headers as `a`.
static bool alike(const struct segment *a, const struct segment *b) {
  if (a->ip != b->ip || a->tcp != b->tcp || a->headers != b->headers) return false;
  size_t ip = a->ip, tcp = a->tcp;
  bool fields = get16(a->frame + ip - 2) == 0x0800
                  ? same(a, b, 0, ip + IP4_TOTAL) && same(a, b, ip + IP4_FRAGMENT, ip + IP4_CHECKSUM) &&
                      same(a, b, ip + IP4_ADDRESSES, tcp + TCP_SEQ)
                  : same(a, b, 0, ip + IP6_PAYLOAD) && same(a, b, ip + IP6_NEXT, tcp + TCP_SEQ);
  return fields && same(a, b, tcp + TCP_ACK, tcp + TCP_FLAGS) && same(a, b, tcp + TCP_WINDOW, tcp + TCP_CHECKSUM) &&
         same(a, b, tcp + TCP_OPTIONS, a->headers);
}

// Frames that continue each other.
struct run {
  struct segment first;
  uint32_t count;    // frames, 1: nothing continues the first
  enum look look;    // at the first
  size_t payload;    // of all
  bool push;         // PSH of the last
  const uint8_t *data[MAX_RUN];  // payload of each,
  size_t lens[MAX_RUN];          // and how long it is
};

static void find_run(const struct iovec *frames, uint32_t count, struct run *r) {
  r->count = 1;
  r->look = look_for_segment(frames[0].iov_base, frames[0].iov_len, &r->first);
  if (r->look != CONTINUABLE) return;
  const struct segment *first = &r->first;
  struct segment next = *first;
  size_t headers = first->headers - first->ip;
  r->payload = 0;
  for (uint32_t n = 0;;) {
    r->data[n] = next.frame + next.headers;
    r->lens[n] = next.payload;
    r->payload += next.payload;
    r->push = (next.frame[next.tcp + TCP_FLAGS] & PSH) != 0;
    r->count = ++n;
    if (n == count || n == MAX_RUN || r->push || next.payload < first->payload) return;
    if (look_for_segment(frames[n].iov_base, frames[n].iov_len, &next) != CONTINUABLE || !alike(first, &next) ||
        next.seq != first->seq + (uint32_t)r->payload || next.payload > first->payload ||
        headers + r->payload + next.payload > MAX_PACKET)
      return;
  }
}

// Writes the headers of all in one to `to`; those of TCP have the sum of the pseudo header for a checksum.
static void write_headers(const struct run *r, uint8_t *to) {
  const struct segment *s = &r->first;
  memcpy(to, s->frame, s->headers);
  uint8_t *ip = to + s->ip;
  uint8_t *tcp = to + s->tcp;
  put_ip_lengths(ip, s->headers - s->ip + r->payload);
  if (r->push) tcp[TCP_FLAGS] |= PSH;
  put_sum(tcp + TCP_CHECKSUM, fold(pseudo_sum(ip, s->headers - s->tcp + r->payload)));
}

static ssize_t write_run(int fd, const struct iovec *frame, const struct run *r) {
  struct virtio_net_hdr h = {0};
  uint8_t headers[MAX_HEADERS];
  struct iovec iov[MAX_RUN + 2];
  int n = 2;
  iov[0] = (struct iovec){.iov_base = &h, .iov_len = sizeof(h)};
  iov[1] = *frame;
  if (r->count > 1) {
    const struct segment *s = &r->first;
    write_headers(r, headers);
    iov[1] = (struct iovec){.iov_base = headers, .iov_len = s->headers};
    for (uint32_t i = 0; i < r->count; i++)
      iov[n++] = (struct iovec){.iov_base = (uint8_t *)r->data[i], .iov_len = r->lens[i]};
    h = (struct virtio_net_hdr){
      .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
      .gso_type = headers[s->ip] >> 4 == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
      .hdr_len = (uint16_t)s->headers,
      .gso_size = (uint16_t)s->payload,
      .csum_start = (uint16_t)s->tcp,
      .csum_offset = TCP_CHECKSUM,
    };
  }
  ssize_t rc;
  do rc = writev(fd, iov, n);
  while (rc < 0 && errno == EINTR);
  return rc;
}

// writeSegments(fd, batch, start, count): as send, to such an interface.
napi_value fn_write_segments(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  struct run r;
  uint32_t done = 0;
  while (done < t.count) {
    find_run(t.b->tx_iov + done, t.count - done, &r);
    if (write_run(t.fd, t.b->tx_iov + done, &r) < 0) break;
    done += r.count;
  }
  return sent_or_error(env, &t, done == 0 && t.count > 0 ? -1 : (ssize_t)done);
}

// ---- for the router

// The region that frames are written to, of the memory that both batches have, and the batch that tells of them.
struct region {
  struct batch *out;
  size_t at, end;
  uint32_t n;
};

// Reads arguments 4 to 6: out, base, limit.
static bool get_region(napi_env env, struct state *st, napi_value *argv, const struct batch *in, struct region *r) {
  double base, limit;
  r->out = get_batch(env, st, argv[4]);
  if (r->out == NULL || !get_integer(env, argv[5], "base", 0, UINT32_MAX, &base) ||
      !get_integer(env, argv[6], "limit", base, (double)r->out->size, &limit))
    return false;
  if (r->out->data != in->data || r->out->size != in->size) {
    range_error(env, "out", "is a batch of other memory");
    return false;
  }
  r->at = (size_t)base;
  r->end = (size_t)limit;
  r->n = 0;
  return true;
}

// Where the next frame goes: at 2 (mod 4), which aligns its IP header.
static size_t next_at(const struct region *r) { return (r->at + 1) / 4 * 4 + 2; }

static void add(struct region *r, const uint8_t *frame, size_t len, uint32_t mark) {
  r->out->offs[r->n] = (uint32_t)(frame - r->out->data);
  r->out->lens[r->n++] = (uint32_t)len | mark;
}

static napi_value finish(napi_env env, const struct region *r, uint32_t done) {
  *r->out->used = r->n;
  *r->out->sent = (uint32_t)r->at;
  return number(env, done);
}

// Cuts a large segment into frames for an MTU; false: there is no room for all of them.
static bool split(struct region *r, const uint8_t *f, size_t len, size_t tcp, size_t mtu) {
  struct large l = {.frame = f, .ip = ETH_LEN, .tcp = tcp};
  l.headers = tcp + (size_t)(f[tcp + TCP_OFFSET] >> 4) * 4;
  if (l.headers >= len || l.headers - ETH_LEN >= mtu) return false;
  l.payload = len - l.headers;
  l.size = mtu - (l.headers - ETH_LEN);
  uint32_t n = r->n;
  size_t at = r->at;
  for (size_t done = 0; done < l.payload; done += l.size) {
    size_t to = next_at(r);
    size_t frame_len = r->n == r->out->capacity || to > r->end ? SIZE_MAX : cut(&l, done, r->out->data + to, r->end - to);
    if (frame_len > r->end - to) {
      r->n = n;
      r->at = at;
      return false;
    }
    add(r, r->out->data + to, frame_len, 0);
    r->at = to + frame_len;
  }
  return true;
}

// splitSegments(batch, start, count, mtu, out, base, limit): how many frames of the batch are in `out` now.
napi_value fn_split_segments(napi_env env, napi_callback_info info) {
  ARGUMENTS(7);
  struct transmit t;
  struct region r;
  INTEGER(size_t, mtu, 3, 68, 65535);
  if (!get_frames(env, st, argv, &t) || !get_region(env, st, argv, t.b, &r)) return NULL;
  uint32_t done = 0;
  for (; done < t.count && r.n < r.out->capacity; done++) {
    uint8_t *f = t.b->tx_iov[done].iov_base;
    size_t len = t.b->tx_iov[done].iov_len;
    size_t tcp = find_tcp(f, len);
    if (tcp > 0 && len > ETH_LEN + mtu) {
      if (split(&r, f, len, tcp, mtu)) continue;
      if (r.n > 0) break;
    }
    if (tcp > 0) {
      const uint8_t *ip = f + ETH_LEN;
      size_t packet = ip[0] >> 4 == 4 ? get16(ip + IP4_TOTAL) : IPV6_LEN + (size_t)get16(ip + IP6_PAYLOAD);
      if (ETH_LEN + packet <= len && ETH_LEN + packet >= tcp + TCP_MIN) {
        size_t segment = ETH_LEN + packet - tcp;
        put16(f + tcp + TCP_CHECKSUM, 0);
        put_sum(f + tcp + TCP_CHECKSUM, (uint16_t)~fold(pseudo_sum(ip, segment) + sum_bytes(f + tcp, segment)));
      }
    }
    add(&r, f, len, 0);
  }
  return finish(env, &r, done);
}

#define SUM_HOLDS 0x80000000u

// mergeSegments(batch, start, count, 0, out, base, limit): how many frames of the batch are in `out` now.
napi_value fn_merge_segments(napi_env env, napi_callback_info info) {
  ARGUMENTS(7);
  struct transmit t;
  struct region region;
  if (!get_frames(env, st, argv, &t) || !get_region(env, st, argv, t.b, &region)) return NULL;
  struct run r;
  uint32_t done = 0;
  while (done < t.count && region.n < region.out->capacity) {
    const struct iovec *frame = &t.b->tx_iov[done];
    find_run(frame, t.count - done, &r);
    uint8_t *to = region.out->data + next_at(&region);
    if (r.count > 1 && next_at(&region) + r.first.headers + r.payload <= region.end) {
      write_headers(&r, to);
      size_t len = r.first.headers;
      for (uint32_t i = 0; i < r.count; len += r.lens[i++]) memcpy(to + len, r.data[i], r.lens[i]);
      add(&region, to, len, SUM_HOLDS);
      region.at = (size_t)(to - region.out->data) + len;
      done += r.count;
    } else {
      add(&region, frame->iov_base, frame->iov_len, r.look == OTHER ? 0 : SUM_HOLDS);
      done++;
    }
  }
  return finish(env, &region, done);
}
