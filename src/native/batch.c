// Batches: receiving into and sending from memory of JavaScript, and summing it (addon.c, "Batches").

#include "batch.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_CAPACITY 1024  // frames in a batch: UIO_MAXIOV, the limit of one sendmmsg or writev

struct batch *get_batch(napi_env env, struct state *st, napi_value v) {
  double id;
  if (!get_integer(env, v, "batch", 0, UINT32_MAX, &id)) return NULL;
  struct batch *b = table_get(&st->batches, id);
  if (b == NULL) range_error(env, "batch", "is unknown");
  return b;
}

// ---- life

static void batch_free(struct batch *b) {
  struct state *st = b->state;
  if (b->slab_ref != NULL) napi_delete_reference(st->env, b->slab_ref);
  if (b->table_ref != NULL) napi_delete_reference(st->env, b->table_ref);
  table_remove(&st->batches, b->id);
  free(b->rx_iov);
  free(b->rx_msg);
  free(b);
  state_release(st);
}

static void on_owner_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  batch_free(data);
}

static struct batch *batch_alloc(struct state *st, uint32_t capacity) {
  struct batch *b = calloc(1, sizeof(*b));
  if (b == NULL) return NULL;
  b->state = st;
  b->capacity = capacity;
  b->rx_iov = calloc(2 * (size_t)capacity, sizeof(*b->rx_iov));
  b->rx_msg = calloc(2 * (size_t)capacity, sizeof(*b->rx_msg));
  if (b->rx_iov == NULL || b->rx_msg == NULL || !table_add(&st->batches, b, &b->id)) {
    free(b->rx_iov);
    free(b->rx_msg);
    free(b);
    return NULL;
  }
  st->users++;
  b->tx_iov = b->rx_iov + capacity;
  b->tx_msg = b->rx_msg + capacity;
  for (uint32_t i = 0; i < capacity; i++) {
    b->rx_msg[i].msg_hdr = (struct msghdr){.msg_iov = &b->rx_iov[i], .msg_iovlen = 1};
    b->tx_msg[i].msg_hdr = (struct msghdr){.msg_iov = &b->tx_iov[i], .msg_iovlen = 1};
  }
  return b;
}

static bool is_resizable(napi_env env, napi_value buffer) {
  napi_value v;
  bool yes = false;
  // The first is a property of an ArrayBuffer, the second of a SharedArrayBuffer.
  for (int i = 0; i < 2 && !yes; i++) {
    const char *name = i == 0 ? "resizable" : "growable";
    if (napi_get_named_property(env, buffer, name, &v) == napi_ok) napi_get_value_bool(env, v, &yes);
  }
  return yes;
}

// newBatch(memory, capacity, table, owner): table has 2 * capacity cells, with addresses (inet.c) ADDRESS_CELLS *
// capacity more, and three in the end; the batch lives as long as owner.
napi_value fn_new_batch(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  uint8_t *data;
  size_t size;
  napi_value slab;
  if (!get_bytes(env, argv[0], "memory", &data, &size, &slab)) return NULL;
  INTEGER(uint32_t, capacity, 1, 1, MAX_CAPACITY);
  if (size == 0 || size > UINT32_MAX) return range_error(env, "memory", "must have 1 to 2^32 - 1 bytes");
  if (is_resizable(env, slab)) return type_error(env, "memory", "of fixed size");

  bool is = false;
  napi_typedarray_type type;
  size_t cells;
  uint32_t *cells_data;
  napi_value table;
  if (napi_is_typedarray(env, argv[2], &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, argv[2], &type, &cells, (void **)&cells_data, &table, NULL) != napi_ok ||
      type != napi_uint32_array || napi_is_arraybuffer(env, table, &is) != napi_ok || is)
    return type_error(env, "table", "a Uint32Array on a SharedArrayBuffer");
  bool addressed = cells == (2 + ADDRESS_CELLS) * (size_t)capacity + 3;
  if (!addressed && cells != 2 * (size_t)capacity + 3) return range_error(env, "table", "has the wrong length");
  napi_valuetype owner;
  if (napi_typeof(env, argv[3], &owner) != napi_ok || owner != napi_object)
    return type_error(env, "owner", "an object");

  struct batch *b = batch_alloc(st, capacity);
  if (b == NULL) return out_of_memory(env);
  b->data = data;
  b->size = size;
  b->offs = cells_data;
  b->lens = cells_data + capacity;
  b->addresses = addressed ? cells_data + 2 * (size_t)capacity : NULL;
  b->used = cells_data + cells - 3;
  b->sent = cells_data + cells - 2;
  b->direct = cells_data + cells - 1;
  if (napi_create_reference(env, slab, 1, &b->slab_ref) != napi_ok ||
      napi_create_reference(env, table, 1, &b->table_ref) != napi_ok ||
      napi_add_finalizer(env, argv[3], b, on_owner_gone, NULL, NULL) != napi_ok) {
    batch_free(b);
    return out_of_memory(env);
  }
  return number(env, b->id);
}

// ---- receiving

static void lay_out(struct batch *b, size_t base, size_t stride, uint32_t max) {
  if (b->rx_base != base || b->rx_stride != stride) {
    b->rx_base = base;
    b->rx_stride = stride;
    b->rx_laid = 0;
  }
  for (; b->rx_laid < max; b->rx_laid++) {
    b->rx_iov[b->rx_laid].iov_base = b->data + b->rx_base + b->rx_laid * b->rx_stride;
    b->rx_iov[b->rx_laid].iov_len = b->rx_stride;
  }
}

bool get_receive(napi_env env, napi_callback_info info, struct receive *r) {
  napi_value argv[5];
  struct state *st;
  size_t argc = 5;
  double fd, base, stride, max;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, (void **)&st) != napi_ok) return false;
  if (!get_integer(env, argv[0], "fd", INT32_MIN, INT32_MAX, &fd)) return false;
  struct batch *b = get_batch(env, st, argv[1]);
  if (b == NULL || !get_integer(env, argv[2], "base", 0, UINT32_MAX, &base) ||
      !get_integer(env, argv[3], "stride", 1, UINT32_MAX, &stride) ||
      !get_integer(env, argv[4], "max", 0, b->capacity, &max))
    return false;
  // Whole numbers below 2^32 times at most 1024: exact in a double.
  if (base + stride * max > (double)b->size) {
    range_error(env, "slots", "reach beyond the memory of the batch");
    return false;
  }
  r->fd = (int)fd;
  r->max = (uint32_t)max;
  r->b = b;
  lay_out(b, (size_t)base, (size_t)stride, r->max);
  return true;
}

static int receive_laid(struct batch *b, int fd, uint32_t max) {
  int n;
  do n = recvmmsg(fd, b->rx_msg, max, MSG_DONTWAIT | MSG_TRUNC, NULL);
  while (n < 0 && errno == EINTR);
  for (int i = 0; i < n; i++) {
    b->offs[i] = (uint32_t)(b->rx_base + (size_t)i * b->rx_stride);
    b->lens[i] = b->rx_msg[i].msg_len;
  }
  return n;
}

int receive_datagrams(struct batch *b, int fd, size_t base, size_t stride, uint32_t max) {
  lay_out(b, base, stride, max);
  return receive_laid(b, fd, max);
}

napi_value fn_recv(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  if (r.max == 0) return number(env, 0);
  return count_or_error(env, receive_laid(r.b, r.fd, r.max));
}

napi_value fn_read_frames(napi_env env, napi_callback_info info) {
  struct receive r;
  if (!get_receive(env, info, &r)) return NULL;
  struct batch *b = r.b;
  uint32_t n = 0;
  ssize_t got = 1;
  while (n < r.max && got > 0) {
    // One byte more than the slot has shows that a frame was longer.
    uint8_t beyond;
    struct iovec iov[2] = {b->rx_iov[n], {.iov_base = &beyond, .iov_len = 1}};
    do got = readv(r.fd, iov, 2);
    while (got < 0 && errno == EINTR);
    if (got < 0) break;
    b->offs[n] = (uint32_t)(b->rx_base + (size_t)n * b->rx_stride);
    b->lens[n] = (uint32_t)got;
    n++;
  }
  return n == 0 && got < 0 ? count_or_error(env, -1) : number(env, n);
}

// ---- sending

// Puts frames of a batch into the first entries of tx_iov; false: one reaches beyond the memory.
static bool gather(struct batch *b, uint32_t start, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    uint64_t off = cell(&b->offs[start + i]);
    uint64_t len = cell(&b->lens[start + i]);
    if (off + len > b->size) return false;
    b->tx_iov[i].iov_base = b->data + off;
    b->tx_iov[i].iov_len = len;
  }
  return true;
}

bool get_frames(napi_env env, struct state *st, napi_value *argv, struct transmit *t) {
  double start, count;
  struct batch *b = get_batch(env, st, argv[0]);
  if (b == NULL || !get_integer(env, argv[1], "start", 0, b->capacity, &start) ||
      !get_integer(env, argv[2], "count", 0, b->capacity - start, &count))
    return false;
  t->start = (uint32_t)start;
  t->count = (uint32_t)count;
  t->b = b;
  if (gather(b, t->start, t->count)) return true;
  range_error(env, "a frame", "reaches beyond the memory of the batch");
  return false;
}

bool get_transmit(napi_env env, napi_callback_info info, struct transmit *t) {
  napi_value argv[4];
  struct state *st;
  size_t argc = 4;
  double fd;
  if (napi_get_cb_info(env, info, &argc, argv, NULL, (void **)&st) != napi_ok ||
      !get_integer(env, argv[0], "fd", INT32_MIN, INT32_MAX, &fd))
    return false;
  t->fd = (int)fd;
  return get_frames(env, st, argv + 1, t);
}

static int send_gathered(struct batch *b, int fd, uint32_t count) {
  int n;
  do n = sendmmsg(fd, b->tx_msg, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n;
}

int send_datagrams(struct batch *b, int fd, uint32_t count) {
  if (gather(b, 0, count)) return send_gathered(b, fd, count);
  errno = EFAULT;
  return -1;
}

napi_value sent_or_error(napi_env env, const struct transmit *t, ssize_t n) {
  size_t bytes = 0;
  for (ssize_t i = 0; i < n; i++) bytes += t->b->tx_iov[i].iov_len;
  *t->b->sent = (uint32_t)bytes;
  return count_or_error(env, n);
}

napi_value fn_send(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  if (t.count == 0) return number(env, 0);
  return sent_or_error(env, &t, send_gathered(t.b, t.fd, t.count));
}

napi_value fn_write_frames(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  uint32_t n = 0;
  while (n < t.count) {
    ssize_t rc;
    do rc = write(t.fd, t.b->tx_iov[n].iov_base, t.b->tx_iov[n].iov_len);
    while (rc < 0 && errno == EINTR);
    if (rc < 0) break;
    n++;
  }
  return sent_or_error(env, &t, n == 0 && t.count > 0 ? -1 : (ssize_t)n);
}

napi_value fn_write_stream(napi_env env, napi_callback_info info) {
  struct transmit t;
  if (!get_transmit(env, info, &t)) return NULL;
  if (t.count == 0) return number(env, 0);
  struct msghdr message = {.msg_iov = t.b->tx_iov, .msg_iovlen = t.count};
  ssize_t n;
  do {
    n = sendmsg(t.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) n = writev(t.fd, t.b->tx_iov, (int)t.count);
  } while (n < 0 && errno == EINTR);
  return count_or_error(env, n);
}

// ---- one's complement sum

// Sum of 16-bit words in memory order, odd last byte padded with zero. Plain 32-bit steps, which compilers turn into
// vector instructions; the accumulator holds more than 2^32 of them.
static uint64_t sum_words(const uint8_t *p, size_t len) {
  uint64_t sum = 0;
  uint32_t word;
  size_t whole = len / sizeof(word);
  for (size_t i = 0; i < whole; i++) {
    memcpy(&word, p + i * sizeof(word), sizeof(word));
    sum += word;
  }
  word = 0;
  memcpy(&word, p + whole * sizeof(word), len % sizeof(word));
  return sum + word;
}

static uint16_t fold(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum >> 16) + (sum & 0xffff);
  return (uint16_t)sum;
}

uint16_t sum_bytes(const uint8_t *p, size_t len) { return fold(sum_words(p, len)); }

napi_value fn_sum(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  struct batch *b = get_batch(env, st, argv[0]);
  if (b == NULL) return NULL;
  INTEGER(size_t, off, 1, 0, UINT32_MAX);
  INTEGER(size_t, len, 2, 0, UINT32_MAX);
  INTEGER(uint32_t, initial, 3, 0, UINT32_MAX);
  if (off + len > b->size) return range_error(env, "range", "reaches beyond the memory of the batch");
  // Swapping the folded sum gives the sum of swapped words (RFC 1071 section 2, "Byte Order Independence").
  return number(env, fold((uint64_t)ntohs(fold(sum_words(b->data + off, len))) + initial));
}

// Computes the checksum that the sender left to the device; `len` bytes of frame are there.
void complete_checksum(uint8_t *frame, size_t len, const struct virtio_net_hdr *h) {
  size_t start = h->csum_start;
  size_t at = start + h->csum_offset;
  if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 || start >= len || at + 2 > len) return;
  // The field holds the sum of the pseudo header. UDP sends 0xffff for 0, which TCP may carry as well.
  uint16_t sum = (uint16_t)~sum_bytes(frame + start, len - start);
  if (sum == 0) sum = 0xffff;
  memcpy(frame + at, &sum, sizeof(sum));
}
