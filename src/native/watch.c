// Watches: readiness of descriptors, told to JavaScript (addon.c, "Watches").

#include "addon.h"
#include "reactor.h"

#define MAX_EVENTS (UV_READABLE | UV_WRITABLE | UV_DISCONNECT)

_Static_assert(UV_READABLE == 1 && UV_WRITABLE == 2 && UV_DISCONNECT == 4, "native.ts has the same numbers");

struct watch {
  uv_poll_t handle;
  struct state *state;
  uint32_t id;
  int fd;
  int events;
  struct pump pump;
  int32_t *table;  // of the watch of the reactor, for its events; else NULL
  size_t table_len;
  napi_ref table_ref;
  napi_ref ready;
  napi_async_context context;
};

static struct watch *get_watch(napi_env env, struct state *st, napi_value v) {
  double id;
  if (!get_integer(env, v, "watch", 0, UINT32_MAX, &id)) return NULL;
  struct watch *w = table_get(&st->watches, id);
  if (w == NULL) range_error(env, "watch", "is unknown");
  return w;
}

static void on_watch_closed(uv_handle_t *handle) {
  struct watch *w = handle->data;
  struct state *st = w->state;
  napi_handle_scope scope;
  if (napi_open_handle_scope(st->env, &scope) == napi_ok) {
    napi_async_destroy(st->env, w->context);
    napi_delete_reference(st->env, w->ready);
    if (w->table_ref != NULL) napi_delete_reference(st->env, w->table_ref);
    napi_close_handle_scope(st->env, scope);
  }
  free(w);
  bool last = --st->open_watches == 0 && st->exiting;
  napi_async_cleanup_hook_handle hook = st->exit_hook;
  state_release(st);
  if (last) napi_remove_async_cleanup_hook(hook);
}

static void watch_close(struct watch *w) {
  table_remove(&w->state->watches, w->id);
  uv_close((uv_handle_t *)&w->handle, on_watch_closed);
}

void watches_end(struct state *st) {
  st->exiting = true;
  for (uint32_t i = 0; i < st->watches.size; i++) {
    struct watch *w = st->watches.slots[i].entry;
    if (w != NULL) watch_close(w);
  }
  if (st->open_watches == 0) napi_remove_async_cleanup_hook(st->exit_hook);
}

static void call_ready(struct watch *w, napi_env env, int events, const struct pumped *left) {
  napi_value ready, global, error, arguments[3];
  size_t count = left->received ? 3 : 1;
  if (napi_get_reference_value(env, w->ready, &ready) != napi_ok || napi_get_global(env, &global) != napi_ok ||
      (arguments[0] = number(env, events)) == NULL || (arguments[1] = number(env, left->count)) == NULL ||
      (arguments[2] = number(env, left->next)) == NULL)
    return;
  // `w` must not be used after the call: JavaScript may have closed it.
  if (napi_make_callback(env, w->context, global, ready, count, arguments, NULL) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  struct watch *w = handle->data;
  napi_env env = w->state->env;
  if (status < 0) {
    events = UV_READABLE | UV_DISCONNECT;
    uv_poll_start(handle, w->events, on_ready);
  }
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  struct pumped left = {.received = false};
  bool done = false;
  if (w->table != NULL) {
    left = (struct pumped){.received = true, .count = reactor_events(w->state, w->table, w->table_len)};
    done = left.count == 0;
  } else if (w->pump.on && events == UV_READABLE) {
    done = pump(w->state, w->fd, &w->pump, &left);
  }
  if (!done) call_ready(w, env, events, &left);
  napi_close_handle_scope(env, scope);
}

static int watch_set(struct watch *w, int events) {
  w->events = events;
  return events == 0 ? uv_poll_stop(&w->handle) : uv_poll_start(&w->handle, events, on_ready);
}

static bool watch_prepare(napi_env env, struct watch *w, napi_value ready) {
  napi_value name;
  if (napi_create_string_utf8(env, "VDEPOLL", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_async_init(env, NULL, name, &w->context) != napi_ok)
    return false;
  if (napi_create_reference(env, ready, 1, &w->ready) == napi_ok) {
    if (table_add(&w->state->watches, w, &w->id)) return true;
    napi_delete_reference(env, w->ready);
  }
  napi_async_destroy(env, w->context);
  return false;
}

// The id of a new watch, which is put into `opened`; or -errno, or NULL: an exception was thrown.
static napi_value watch_open(napi_env env, struct state *st, int fd, int events, napi_value ready, struct watch **opened) {
  *opened = NULL;
  napi_valuetype type;
  if (napi_typeof(env, ready, &type) != napi_ok || type != napi_function) return type_error(env, "ready", "a function");
  struct watch *w = calloc(1, sizeof(*w));
  if (w == NULL) return out_of_memory(env);
  w->state = st;
  w->fd = fd;
  if (!watch_prepare(env, w, ready)) {
    free(w);
    return out_of_memory(env);
  }
  int rc = uv_poll_init(st->loop, &w->handle, fd);
  if (rc < 0) {
    table_remove(&st->watches, w->id);
    napi_delete_reference(env, w->ready);
    napi_async_destroy(env, w->context);
    free(w);
    return number(env, rc);
  }
  w->handle.data = w;
  st->users++;
  st->open_watches++;
  rc = watch_set(w, events);
  if (rc < 0) {
    watch_close(w);
    return number(env, rc);
  }
  *opened = w;
  return number(env, w->id);
}

// poll(fd, events, ready): the id of a watch, or -errno.
napi_value fn_poll(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  FD(fd, 0);
  INTEGER(int, events, 1, 0, MAX_EVENTS);
  struct watch *w;
  return watch_open(env, st, fd, events, argv[2], &w);
}

napi_value fn_poll_modify(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  struct watch *w = get_watch(env, st, argv[0]);
  if (w == NULL) return NULL;
  INTEGER(int, events, 1, 0, MAX_EVENTS);
  return number(env, watch_set(w, events));
}

// pollReactor(ready, table): the id of a watch of the reactor, or -errno. What happened is in the table when `ready` is
// called, with the number of entries as its second argument. The table lies in memory that cannot be detached.
napi_value fn_poll_reactor(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int32_t *table;
  size_t len;
  if (!get_table(env, argv[1], "table", 2, &table, &len)) return NULL;
  int fd = reactor_epoll(st);
  if (fd < 0) return result(env, -1);
  struct watch *w;
  napi_value id = watch_open(env, st, fd, UV_READABLE, argv[0], &w);
  if (w == NULL) return id;
  if (napi_create_reference(env, argv[1], 1, &w->table_ref) != napi_ok) {
    watch_close(w);
    return out_of_memory(env);
  }
  w->table = table;
  w->table_len = len;
  return id;
}

// pollForward(watch, forwarder, port, batch, base, stride, max, longest): what comes in is received, and goes through a
// forwarder where that is not -1. Ids and numbers are looked at each time they are used (forward.c).
napi_value fn_poll_forward(napi_env env, napi_callback_info info) {
  ARGUMENTS(8);
  struct watch *w = get_watch(env, st, argv[0]);
  if (w == NULL) return NULL;
  INTEGER(int64_t, forwarder, 1, -1, UINT32_MAX);
  INTEGER(uint32_t, port, 2, 0, UINT32_MAX);
  INTEGER(uint32_t, batch, 3, 0, UINT32_MAX);
  INTEGER(size_t, base, 4, 0, UINT32_MAX);
  INTEGER(size_t, stride, 5, 1, UINT32_MAX);
  INTEGER(uint32_t, max, 6, 1, UINT32_MAX);
  INTEGER(uint32_t, longest, 7, 0, UINT32_MAX);
  w->pump = (struct pump){.on = true,
                          .forwarder = forwarder,
                          .port = port,
                          .batch = batch,
                          .base = base,
                          .stride = stride,
                          .max = max,
                          .longest = longest};
  return NULL;
}

napi_value fn_poll_ref(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct watch *w = get_watch(env, st, argv[0]);
  if (w != NULL) uv_ref((uv_handle_t *)&w->handle);
  return NULL;
}

napi_value fn_poll_unref(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct watch *w = get_watch(env, st, argv[0]);
  if (w != NULL) uv_unref((uv_handle_t *)&w->handle);
  return NULL;
}

napi_value fn_poll_close(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct watch *w = get_watch(env, st, argv[0]);
  if (w != NULL) watch_close(w);
  return NULL;
}
