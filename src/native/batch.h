// Batches, as the functions that receive into and send from them share them (addon.c, "Batches").

#pragma once

#include "addon.h"

#define ADDRESS_CELLS 8  // of one slot in the table of a batch with addresses (inet.c)

struct batch {
  struct state *state;
  uint32_t id;
  uint32_t capacity;
  uint8_t *data;
  size_t size;
  uint32_t *offs;       // the table: `capacity` offsets,
  uint32_t *lens;       // then as many lengths,
  uint32_t *addresses;  // then as many addresses, or NULL,
  uint32_t *used;       // then how many slots a queue has in use,
  uint32_t *sent;       // how many bytes the last send took,
  uint32_t *direct;     // and the descriptor that whoever fills the queue may send it to, plus 1, or 0
  napi_ref slab_ref;
  napi_ref table_ref;
  size_t rx_base;  // how rx_iov is laid out at present, for the first rx_laid slots
  size_t rx_stride;
  uint32_t rx_laid;
  struct iovec *rx_iov;
  struct iovec *tx_iov;
  struct mmsghdr *rx_msg;
  struct mmsghdr *tx_msg;
};

// The table is written by JavaScript at any time, were it shared with a worker even during a call: read each cell once.
static inline uint32_t cell(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }

// The arguments (fd, batch, base, stride, max) of a receive, checked, with the receive side laid out for them.
struct receive {
  int fd;
  uint32_t max;
  struct batch *b;
};

// Receives up to `max` frames from a datagram socket into slots `stride` bytes apart, which must lie in the memory of the
// batch; how many, or -1 with errno set.
int receive_datagrams(struct batch *b, int fd, size_t base, size_t stride, uint32_t max);

// Sends the first `count` frames of a queue, all of which must lie in its memory; how many, or -1 with errno set.
int send_datagrams(struct batch *b, int fd, uint32_t count);

// The arguments (fd, batch, start, count) of a send, checked, with the frames gathered in tx_iov.
struct transmit {
  int fd;
  uint32_t start;
  uint32_t count;
  struct batch *b;
};

// The batch whose id `v` is, or NULL: an exception was thrown.
struct batch *get_batch(napi_env env, struct state *st, napi_value v);

// False: an exception was thrown.
bool get_receive(napi_env env, napi_callback_info info, struct receive *r);
bool get_transmit(napi_env env, napi_callback_info info, struct transmit *t);

// The same without descriptor: (batch, start, count) are the arguments at `argv`.
bool get_frames(napi_env env, struct state *st, napi_value *argv, struct transmit *t);

// The result of a send that took `n` frames, or failed; the bytes it took are noted in the batch.
napi_value sent_or_error(napi_env env, const struct transmit *t, ssize_t n);

// One's complement sum of `len` bytes, in memory order: what it is added to or stored as needs no swapping.
uint16_t sum_bytes(const uint8_t *p, size_t len);

// Where TCP begins in a frame of IPv4 (not a fragment) or IPv6 without extension headers; 0: it is something else.
size_t find_tcp(const uint8_t *f, size_t len);

struct virtio_net_hdr;

// Computes the checksum that the sender of a frame left to the device; `len` bytes of frame are there.
void complete_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *h);
