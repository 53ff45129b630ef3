// The native addon: file descriptors and bytes, no protocol. native.ts is its only caller and documents what each
// function does for users. Here: how it works, and what the other files share.
//
// Calls. JavaScript passes plain numbers: descriptors, and small ids of batches and watches, because looking up a
// number costs a tenth of unwrapping an object. Every argument is checked: a wrong type throws a TypeError; an id,
// offset, length, count or event mask out of range throws a RangeError. What the kernel answers is never thrown: it
// is returned, an error as -errno.
//
// Batches. A batch points into memory owned by JavaScript: the slab with the frames, and a table of offsets and
// lengths. Both are pinned by strong references while the owner object lives; their addresses are read once. The
// table lies on a SharedArrayBuffer, which can neither move nor be detached. The slab may be any fixed-size buffer;
// as those can be detached (structuredClone with a transfer list, WebAssembly.Memory.grow) native.ts looks before
// each call: a load there, 17 ns here. The iovec and mmsghdr arrays are built once; the receive side is laid out
// again when base or stride change.
//
// Watches. One uv_poll_t each, on the event loop of the environment, so that a watch works in the main thread and in
// workers. libuv stops a poll that sees POLLERR; it is started again, and the callback is told READABLE | DISCONNECT:
// the error is fetched by the next recv or send. A watch is freed in its close callback, never earlier, so closing
// one inside its own callback is safe. When the environment ends, an asynchronous clean-up hook closes what is left:
// without it a worker's exit would abort the process ("uv_loop_close() while having open handles").
//
// Sockets of the host have one epoll of their own, which one watch watches: reactor.c.
//
// State. One struct per environment (main thread, each worker), given to each function as its data pointer. It lives
// until the environment, all batches and all watches are gone, in whatever order the finalizers run.

#include "addon.h"

#include <stdio.h>

#define ABI 9  // of these files and load.ts: raised when a function changes

// ---- state

bool table_add(struct table *t, void *entry, uint32_t *id) {
  if (t->free == t->size) {
    uint32_t size = t->size == 0 ? 16 : t->size * 2;
    struct slot *slots = realloc(t->slots, size * sizeof(*slots));
    if (slots == NULL) return false;
    for (uint32_t i = t->size; i < size; i++) slots[i] = (struct slot){.next = i + 1};
    t->slots = slots;
    t->size = size;
  }
  *id = t->free;
  t->free = t->slots[*id].next;
  t->slots[*id].entry = entry;
  return true;
}

void table_remove(struct table *t, uint32_t id) {
  t->slots[id] = (struct slot){.next = t->free};
  t->free = id;
}

void state_release(struct state *st) {
  if (--st->users > 0) return;
  free(st->batches.slots);
  free(st->watches.slots);
  free(st->forwarders.slots);
  reactor_free(st);
  free(st);
}

// ---- arguments

napi_value type_error(napi_env env, const char *what, const char *expected) {
  char text[96];
  snprintf(text, sizeof(text), "%s must be %s", what, expected);
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", text);
  return NULL;
}

napi_value range_error(napi_env env, const char *what, const char *problem) {
  char text[96];
  snprintf(text, sizeof(text), "%s %s", what, problem);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", text);
  return NULL;
}

napi_value out_of_memory(napi_env env) {
  napi_throw_error(env, "ERR_MEMORY_ALLOCATION_FAILED", "out of memory");
  return NULL;
}

bool get_integer(napi_env env, napi_value v, const char *what, double lo, double hi, double *out) {
  if (napi_get_value_double(env, v, out) != napi_ok) {
    type_error(env, what, "a number");
    return false;
  }
  // Written so that NaN fails; the cast is defined only inside the range.
  if (!(*out >= lo && *out <= hi) || *out != (double)(int64_t)*out) {
    range_error(env, what, "is out of range");
    return false;
  }
  return true;
}

bool get_bytes(napi_env env, napi_value v, const char *what, uint8_t **data, size_t *len, napi_value *buffer) {
  bool is = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, v, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, v, &type, len, (void **)data, buffer, NULL) != napi_ok ||
      type != napi_uint8_array) {
    type_error(env, what, "a Uint8Array");
    return false;
  }
  return true;
}

bool get_table(napi_env env, napi_value v, const char *what, size_t least, int32_t **cells, size_t *len) {
  bool is = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, v, &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, v, &type, len, (void **)cells, NULL, NULL) != napi_ok || type != napi_int32_array) {
    type_error(env, what, "an Int32Array");
    return false;
  }
  if (*len < least) {
    range_error(env, what, "is too short");
    return false;
  }
  return true;
}

// ---- the module

static void on_environment_exit(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  reactor_end(data);
  watches_end(data);
}

static void on_state_gone(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  state_release(data);
}

#ifdef BUILD_STAMP
// Read by scripts/build-native.mjs out of the binary, to tell whether it is up to date.
__attribute__((used)) static const char build_stamp[] = BUILD_STAMP;
#endif

NAPI_MODULE_INIT() {
  struct state *st = calloc(1, sizeof(*st));
  if (st == NULL) return out_of_memory(env);
  st->env = env;
  st->users = 1;
  st->reactor.epoll = st->reactor.reserve = -1;
  if (napi_get_uv_event_loop(env, &st->loop) != napi_ok ||
      napi_set_instance_data(env, st, on_state_gone, NULL) != napi_ok) {
    free(st);
    napi_throw_error(env, NULL, "cannot set up the environment");
    return NULL;
  }
  if (napi_add_async_cleanup_hook(env, on_environment_exit, st, &st->exit_hook) != napi_ok) return NULL;

  napi_value abi = number(env, ABI);
  const napi_property_descriptor members[] = {
    {.utf8name = "abi", .value = abi, .attributes = napi_enumerable},
#define MEMBER(name, fn) {.utf8name = name, .method = fn, .data = st, .attributes = napi_enumerable},
    FUNCTIONS(MEMBER)
#undef MEMBER
  };
  if (napi_define_properties(env, exports, sizeof(members) / sizeof(members[0]), members) != napi_ok) return NULL;
  return exports;
}
