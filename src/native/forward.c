// Forwarding by a table: the plain frames of a batch go into the queues of the ports that they leave by, without a call
// into JavaScript for each. The layout of the table is that of src/core/forward-table.ts, where its words are explained.
//
// A frame is forwarded as a whole or not at all: everything is checked before the first queue is touched. Cells are
// written by JavaScript: whatever is used as an index is read once and checked, so that a wrong table gives wrong
// forwarding, never an access outside the memory that was registered.
//
// A pump is a watch that receives by itself, and forwards and sends too as long as there is a table that is valid (LIVE), all
// frames are plain and the sockets take them: then JavaScript is not called. Whatever is left over, it is called for. What was done
// is added up in the sums, where JavaScript fetches it.

#include "batch.h"

enum { HEADER_WORDS = 8, PORT_WORDS = 6, PORT_SUMS = 9 };
enum { TICK, AGE_TICKS, FULL, TOUCHED, SEED_HI, SEED_LO, LIVE, FULL_PORT };
enum { IN, OUT, QUEUE, MAX_FRAME, LIST, LIST_LENGTH };
enum { RX_FRAMES, RX_BYTES, TX_FRAMES, TX_BYTES, PUMPED_FRAMES, PUMPED_BYTES, SENT_FRAMES, SENT_BYTES, NOT_LEARNED };

#define TICK_MS 100   // of the station table
#define MAX_ROUNDS 4  // batches of one wake-up

// The station table (src/switch/fdb.ts).
enum { ENTRY_WORDS = 4, MAX_PROBE = 128, STATIC = 0x7fffffff };
enum { KEY_HI, KEY_LO, PORT_PLUS_1, SEEN };

#define HEADER_LEN 14
#define TYPE_VLAN 0x8100

struct forwarder {
  struct state *state;
  uint32_t id;
  uint32_t ports;
  uint32_t n_words;
  uint32_t *words;
  double *sums;
  uint32_t *stations;
  uint32_t mask;
  uint64_t tick_ns;  // when JavaScript last told the time; 0: never
  uint32_t *filled;  // ports whose queues got frames while they were empty
  uint32_t n_filled;
  napi_ref refs[3];
};

// ---- life

static void forwarder_free(struct forwarder *f) {
  struct state *st = f->state;
  for (int i = 0; i < 3; i++)
    if (f->refs[i] != NULL) napi_delete_reference(st->env, f->refs[i]);
  table_remove(&st->forwarders, f->id);
  free(f->filled);
  free(f);
  state_release(st);
}

static void on_owner_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  forwarder_free(data);
}

// Reads a typed array on shared memory, which neither moves nor goes away while `buffer` is referenced.
static bool get_shared(napi_env env, napi_value v, const char *what, napi_typedarray_type want, size_t *cells,
                       void **data, napi_value *buffer) {
  bool is = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, v, &is) == napi_ok && is &&
      napi_get_typedarray_info(env, v, &type, cells, data, buffer, NULL) == napi_ok && type == want &&
      napi_is_arraybuffer(env, *buffer, &is) == napi_ok && !is)
    return true;
  type_error(env, what, "a typed array on a SharedArrayBuffer");
  return false;
}

// newForwarder(ports, words, sums, stations, owner): its id; it lives as long as owner.
napi_value fn_new_forwarder(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  INTEGER(uint32_t, ports, 0, 1, 1 << 16);
  size_t n_words, n_sums, n_stations;
  void *words, *sums, *stations;
  napi_value buffers[3];
  if (!get_shared(env, argv[1], "words", napi_int32_array, &n_words, &words, &buffers[0]) ||
      !get_shared(env, argv[2], "sums", napi_float64_array, &n_sums, &sums, &buffers[1]) ||
      !get_shared(env, argv[3], "stations", napi_int32_array, &n_stations, &stations, &buffers[2]))
    return NULL;
  if (n_words != HEADER_WORDS + (PORT_WORDS + 2) * (size_t)ports) return range_error(env, "words", "has a wrong length");
  if (n_sums != PORT_SUMS * (size_t)ports) return range_error(env, "sums", "has a wrong length");
  size_t entries = n_stations / ENTRY_WORDS;
  if (n_stations % ENTRY_WORDS != 0 || entries == 0 || entries > 1u << 24 || (entries & (entries - 1)) != 0)
    return range_error(env, "stations", "must have a power of two of entries");
  napi_valuetype owner;
  if (napi_typeof(env, argv[4], &owner) != napi_ok || owner != napi_object)
    return type_error(env, "owner", "an object");

  struct forwarder *f = calloc(1, sizeof(*f));
  if (f == NULL) return out_of_memory(env);
  f->state = st;
  f->ports = ports;
  f->n_words = (uint32_t)n_words;
  f->words = words;
  f->sums = sums;
  f->stations = stations;
  f->mask = (uint32_t)entries - 1;
  f->filled = calloc(ports, sizeof(*f->filled));
  if (f->filled == NULL || !table_add(&st->forwarders, f, &f->id)) {
    free(f->filled);
    free(f);
    return out_of_memory(env);
  }
  st->users++;
  for (int i = 0; i < 3; i++) {
    if (napi_create_reference(env, buffers[i], 1, &f->refs[i]) == napi_ok) continue;
    forwarder_free(f);
    return out_of_memory(env);
  }
  if (napi_add_finalizer(env, argv[4], f, on_owner_gone, NULL, NULL) != napi_ok) {
    forwarder_free(f);
    return out_of_memory(env);
  }
  return number(env, f->id);
}

// ---- stations

static inline uint32_t be32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

// The entry of a station, or NULL; the hash is that of Fdb.home.
static uint32_t *find_station(const struct forwarder *f, uint32_t vlan, const uint8_t *mac) {
  uint32_t hi = vlan << 16 | (uint32_t)mac[0] << 8 | mac[1];
  uint32_t lo = be32(mac + 2);
  uint32_t h = (hi ^ f->words[SEED_HI]) * 0x9e3779b1u ^ lo;
  h = (h ^ h >> 15) * 0x85ebca6bu ^ f->words[SEED_LO];
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  uint32_t slot = (h ^ h >> 16) & f->mask;
  for (int n = 0; n < MAX_PROBE; n++) {
    uint32_t *entry = f->stations + (size_t)slot * ENTRY_WORDS;
    if (entry[PORT_PLUS_1] == 0) return NULL;
    if (entry[KEY_LO] == lo && entry[KEY_HI] == hi) return entry;
    slot = (slot + 1) & f->mask;
  }
  return NULL;
}

// ---- frames

// What the frames of one call have in common.
struct run {
  struct forwarder *f;
  const struct batch *from;
  uint32_t port;
  uint32_t vlan;
  uint32_t tick;
  bool full;  // sources that are not known cannot be learned
};

static inline uint32_t *port_words(const struct forwarder *f, uint32_t port) {
  return f->words + HEADER_WORDS + PORT_WORDS * (size_t)port;
}

// The queue of port `to` when a frame of `len` bytes can be put there as it is, else NULL.
static inline struct batch *queue_of(const struct run *r, uint32_t to, uint32_t len) {
  struct forwarder *f = r->f;
  if (to >= f->ports) return NULL;
  const uint32_t *port = port_words(f, to);
  if (port[OUT] != r->vlan || len > port[MAX_FRAME]) return NULL;
  struct batch *queue = table_get(&f->state->batches, port[QUEUE]);
  if (queue == NULL || queue->data != r->from->data || queue->size != r->from->size) return NULL;
  return cell(queue->used) < queue->capacity ? queue : NULL;
}

// The sums of a port to which something is to be added.
static inline double *sums_of(struct forwarder *f, uint32_t port) {
  double *sums = f->sums + PORT_SUMS * (size_t)port;
  // The first frame since the sums were set to 0 tells that the port is to be listed.
  uint32_t touched = cell(&f->words[TOUCHED]);
  if (sums[RX_FRAMES] == 0 && sums[TX_FRAMES] == 0 && touched < f->ports) {
    f->words[HEADER_WORDS + PORT_WORDS * (size_t)f->ports + touched] = port;
    f->words[TOUCHED] = touched + 1;
  }
  return sums;
}

static inline void put(const struct run *r, uint32_t to, struct batch *queue, uint32_t off, uint32_t len) {
  struct forwarder *f = r->f;
  uint32_t at = cell(queue->used);
  if (at >= queue->capacity) return;  // the same queue twice in a list
  queue->offs[at] = off;
  queue->lens[at] = len;
  *queue->used = at + 1;
  if (at == 0 && f->n_filled < f->ports) f->filled[f->n_filled++] = to;
  double *sums = sums_of(f, to);
  sums[TX_FRAMES] += 1;
  sums[TX_BYTES] += len;
}

static bool flood(const struct run *r, uint32_t off, uint32_t len) {
  struct forwarder *f = r->f;
  const uint32_t *port = port_words(f, r->port);
  uint32_t at = cell(&port[LIST]);
  uint32_t n = cell(&port[LIST_LENGTH]);
  if (at > f->n_words || n > f->n_words - at) return false;
  const uint32_t *list = f->words + at;
  for (uint32_t i = 0; i < n; i++)
    if (list[i] != r->port && queue_of(r, list[i], len) == NULL) return false;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t to = cell(&list[i]);
    struct batch *queue = to == r->port ? NULL : queue_of(r, to, len);
    if (queue != NULL) put(r, to, queue, off, len);
  }
  return true;
}

// Forwards one frame; false: it is not plain. `full` counts sources that could not be learned.
static bool forward(const struct run *r, uint32_t off, uint32_t len, uint32_t *full) {
  const struct forwarder *f = r->f;
  const uint8_t *frame = r->from->data + off;
  const uint8_t *source = frame + 6;
  if ((source[0] & 1) != 0 || (source[0] << 8 | source[1] | be32(source + 2)) == 0) return false;
  if ((frame[12] << 8 | frame[13]) == TYPE_VLAN) return false;
  uint32_t tick = r->tick;
  uint32_t *entry = find_station(f, r->vlan, source);
  if (entry == NULL ? !r->full : entry[PORT_PLUS_1] != r->port + 1) return false;
  bool done;
  const uint32_t *to = (frame[0] & 1) != 0 ? NULL : find_station(f, r->vlan, frame);
  if (to == NULL) {
    done = flood(r, off, len);
  } else {
    uint32_t port = to[PORT_PLUS_1] - 1;
    if (to[SEEN] != STATIC && (int32_t)(tick - to[SEEN]) > (int32_t)f->words[AGE_TICKS]) return false;
    struct batch *queue = port == r->port ? NULL : queue_of(r, port, len);
    done = queue != NULL;
    if (done) put(r, port, queue, off, len);
  }
  if (!done) return false;
  if (entry == NULL) (*full)++;
  else if (entry[SEEN] != STATIC) entry[SEEN] = tick;
  return true;
}

// Forwards the frames `start` to `count - 1` of a batch until one is not plain; its number, or `count`.
static uint32_t forward_batch(const struct run *r, uint32_t start, uint32_t count, uint32_t longest, double *bytes) {
  uint32_t full = 0;
  const struct batch *b = r->from;
  uint32_t i = start;
  for (; i < count; i++) {
    uint32_t off = cell(&b->offs[i]);
    uint32_t len = cell(&b->lens[i]);
    if (len < HEADER_LEN || len > longest || (uint64_t)off + len > b->size || !forward(r, off, len, &full)) break;
    *bytes += len;
  }
  if (i > start) {
    double *sums = sums_of(r->f, r->port);
    sums[RX_FRAMES] += i - start;
    sums[RX_BYTES] += *bytes;
    sums[NOT_LEARNED] += full;
  }
  return i;
}

// forward(forwarder, port, batch, start, count): number of the first frame that is not plain, or count.
napi_value fn_forward(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  double id;
  if (!get_integer(env, argv[0], "forwarder", 0, UINT32_MAX, &id)) return NULL;
  struct forwarder *f = table_get(&st->forwarders, id);
  if (f == NULL) return range_error(env, "forwarder", "is unknown");
  INTEGER(uint32_t, port, 1, 0, f->ports - 1);
  struct batch *b = get_batch(env, st, argv[2]);
  if (b == NULL) return NULL;
  INTEGER(uint32_t, start, 3, 0, b->capacity);
  INTEGER(uint32_t, count, 4, 0, b->capacity);
  struct run r = {.f = f,
                  .from = b,
                  .port = port,
                  .vlan = port_words(f, port)[IN],
                  .tick = f->words[TICK],
                  .full = f->words[FULL] != 0};
  // Read behind the time that JavaScript told: a pump's time is never ahead of it.
  f->tick_ns = uv_hrtime();
  if (r.vlan == UINT32_MAX) return number(env, start);
  f->n_filled = 0;
  double bytes = 0;
  return number(env, forward_batch(&r, start, count, UINT32_MAX, &bytes));
}

// ---- pumps

// Sends a queue; false: frames are left in it, or may not be sent from here.
static bool send_queue(struct forwarder *f, uint32_t port) {
  struct batch *q = table_get(&f->state->batches, port_words(f, port)[QUEUE]);
  if (q == NULL) return false;
  uint32_t used = cell(q->used);
  uint32_t direct = cell(q->direct);
  if (used > q->capacity || direct == 0) return false;
  int n = send_datagrams(q, (int)(direct - 1), used);
  uint32_t sent = n > 0 ? (uint32_t)n : 0;
  double bytes = 0;
  for (uint32_t i = 0; i < sent; i++) bytes += q->tx_iov[i].iov_len;
  if (sent > 0) {
    double *sums = sums_of(f, port);
    sums[SENT_FRAMES] += sent;
    sums[SENT_BYTES] += bytes;
  }
  memmove(q->offs, q->offs + sent, (used - sent) * sizeof(*q->offs));
  memmove(q->lens, q->lens + sent, (used - sent) * sizeof(*q->lens));
  *q->used = used - sent;
  return sent == used;
}

static bool send_filled(struct forwarder *f) {
  bool all = true;
  for (uint32_t i = 0; i < f->n_filled; i++) all = send_queue(f, f->filled[i]) && all;
  return all;
}

// The memory of a batch is still there: it is not, when its buffer was transferred.
static bool is_there(const struct batch *b) {
  napi_value slab;
  bool gone = true;
  return napi_get_reference_value(b->state->env, b->slab_ref, &slab) == napi_ok && slab != NULL &&
         napi_is_detached_arraybuffer(b->state->env, slab, &gone) == napi_ok && !gone;
}

// One batch for JavaScript; true: nothing waits, for nobody.
static bool fetch(struct batch *b, int fd, const struct pump *p, struct pumped *left) {
  int n = receive_datagrams(b, fd, p->base, p->stride, p->max);
  if (n < 0 && errno == EAGAIN) return true;
  *left = (struct pumped){.received = true, .count = n < 0 ? -errno : n};
  return false;
}

bool pump(struct state *st, int fd, const struct pump *p, struct pumped *left) {
  struct batch *b = table_get(&st->batches, p->batch);
  if (b == NULL || p->max > b->capacity || (uint64_t)p->base + (uint64_t)p->stride * p->max > b->size || !is_there(b))
    return false;
  struct forwarder *f = p->forwarder < 0 ? NULL : table_get(&st->forwarders, (double)p->forwarder);
  if (f == NULL || p->port >= f->ports || f->words[LIVE] != 1 || f->tick_ns == 0) return fetch(b, fd, p, left);
  uint64_t ns = uv_now(st->loop) * 1000000;
  uint32_t passed = ns > f->tick_ns ? (uint32_t)((ns - f->tick_ns) / (TICK_MS * 1000000ull)) : 0;
  struct run r = {.f = f,
                  .from = b,
                  .port = p->port,
                  .vlan = port_words(f, p->port)[IN],
                  .tick = f->words[TICK] + passed,
                  .full = f->words[FULL_PORT] == p->port};
  if (r.vlan == UINT32_MAX) return fetch(b, fd, p, left);
  for (int round = 0; round < MAX_ROUNDS; round++) {
    if (fetch(b, fd, p, left)) return true;
    int n = left->count;
    if (n < 0) return false;
    double bytes = 0;
    f->n_filled = 0;
    left->next = forward_batch(&r, 0, (uint32_t)n, p->longest, &bytes);
    if (left->next > 0) {
      double *sums = sums_of(f, p->port);
      sums[PUMPED_FRAMES] += left->next;
      sums[PUMPED_BYTES] += bytes;
    }
    if (left->next < (uint32_t)n || !send_filled(f)) return false;
    if ((uint32_t)n < p->max) return true;
  }
  return true;
}
