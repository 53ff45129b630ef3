// What the parts of the addon share: the state of an environment, and reading arguments. Theory of operation: addon.c.

#pragma once

#define _GNU_SOURCE  // recvmmsg, sendmmsg, struct ucred: this header comes first
#define NAPI_VERSION 8
#include <node_api.h>
#include <uv.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

// ---- state

// Entries by small ids; the ids of removed ones are given out again.
struct slot {
  void *entry;    // NULL in a free slot,
  uint32_t next;  // which is in a list: the next free one
};

struct table {
  struct slot *slots;
  uint32_t size;
  uint32_t free;  // the first free slot; size: none
};

// Sockets of the reactor (reactor.c).
struct known {
  uint8_t kind;     // 0: none of them
  bool written;     // TCP: something was written, and
  bool undelayed;   // TCP_NODELAY is set
  uint32_t serial;  // which of the sockets that have had this descriptor
};
struct reactor {
  int epoll;            // -1: not made yet
  int reserve;          // for clients that are turned away; -1: none
  struct known *known;  // by descriptor
  size_t size;
  uint32_t serials;
  bool cuts;            // the kernel cuts datagrams (UDP_SEGMENT)
};

struct state {
  napi_env env;
  uv_loop_t *loop;
  napi_async_cleanup_hook_handle exit_hook;
  bool exiting;
  uint32_t users;         // the environment itself, batches, watches, forwarders
  uint32_t open_watches;  // from uv_poll_init to the close callback
  struct table batches;
  struct table watches;
  struct table forwarders;
  struct reactor reactor;
};

bool table_add(struct table *t, void *entry, uint32_t *id);
void table_remove(struct table *t, uint32_t id);

// NULL when there is none.
static inline void *table_get(const struct table *t, double id) {
  return id < t->size ? t->slots[(uint32_t)id].entry : NULL;
}

void state_release(struct state *st);

// Closes all watches of an environment that ends, then removes its exit hook.
void watches_end(struct state *st);

// Closes all sockets of the reactor of an environment that ends; gives back what they needed.
void reactor_end(struct state *st);
void reactor_free(struct state *st);

// ---- arguments and results

// Reads the arguments of a function into argv, and the state into st.
#define ARGUMENTS(n)                                                                        \
  napi_value argv[n];                                                                       \
  struct state *st;                                                                         \
  size_t argc = n;                                                                          \
  if (napi_get_cb_info(env, info, &argc, argv, NULL, (void **)&st) != napi_ok) return NULL; \
  (void)st

// Reads argument i, a whole number lo to hi, or leaves the function with an exception.
#define INTEGER(type, name, i, lo, hi)                                    \
  type name;                                                              \
  do {                                                                    \
    double number_;                                                       \
    if (!get_integer(env, argv[i], #name, lo, hi, &number_)) return NULL; \
    name = (type)number_;                                                 \
  } while (0)

#define FD(name, i) INTEGER(int, name, i, INT32_MIN, INT32_MAX)

// Throw "WHAT must be EXPECTED" and "WHAT PROBLEM"; return NULL.
napi_value type_error(napi_env env, const char *what, const char *expected);
napi_value range_error(napi_env env, const char *what, const char *problem);
napi_value out_of_memory(napi_env env);

// Reads a whole number lo to hi; false: an exception was thrown.
bool get_integer(napi_env env, napi_value v, const char *what, double lo, double hi, double *out);

// Reads the bytes of a Uint8Array; `buffer` may be NULL. False: an exception was thrown.
bool get_bytes(napi_env env, napi_value v, const char *what, uint8_t **data, size_t *len, napi_value *buffer);

// Reads the cells of an Int32Array of at least `least`; their number goes to `len`. False: an exception was thrown.
bool get_table(napi_env env, napi_value v, const char *what, size_t least, int32_t **cells, size_t *len);

static inline bool get_cells(napi_env env, napi_value v, const char *what, size_t least, int32_t **cells) {
  size_t len;
  return get_table(env, v, what, least, cells, &len);
}

// What a watch does by itself with what comes in: receive it, and forward it by a table (forward.c).
struct pump {
  bool on;
  int64_t forwarder;  // -1: none, everything is left over
  uint32_t port;
  uint32_t batch;
  size_t base;
  size_t stride;
  uint32_t max;
  uint32_t longest;
};

// What a pump has left over: `count` is what a receive returned, frames or -errno, and `next` the first of these frames
// that was not forwarded.
struct pumped {
  bool received;
  int count;
  uint32_t next;
};

// Receives and forwards; false: something is left for JavaScript to do. A handle scope must be open.
bool pump(struct state *st, int fd, const struct pump *p, struct pumped *left);

static inline napi_value number(napi_env env, int64_t n) {
  napi_value v;
  return napi_create_int64(env, n, &v) == napi_ok ? v : NULL;
}

// The result of a system call: what it returned, or -errno.
static inline napi_value result(napi_env env, ssize_t rc) { return number(env, rc < 0 ? -errno : rc); }

// The count that a call on a descriptor that does not block returned, 0 for EAGAIN, or -errno.
static inline napi_value count_or_error(napi_env env, ssize_t rc) {
  return rc < 0 && errno == EAGAIN ? number(env, 0) : result(env, rc);
}

// ---- the functions, as JavaScript calls them

#define FUNCTIONS(X)                  \
  X("socket", fn_socket)              \
  X("bindUnix", fn_bind_unix)         \
  X("connectUnix", fn_connect_unix)   \
  X("bindInet", fn_bind_inet)         \
  X("connectInet", fn_connect_inet)   \
  X("setsockopt", fn_setsockopt)      \
  X("getsockopt", fn_getsockopt)      \
  X("localPort", fn_local_port)       \
  X("peerCred", fn_peer_cred)         \
  X("flock", fn_flock)                \
  X("tap", fn_tap)                    \
  X("tapIn", fn_tap_in)               \
  X("readOffloaded", fn_read_offloaded)   \
  X("writeOffloaded", fn_write_offloaded) \
  X("readSegments", fn_read_segments)   \
  X("writeSegments", fn_write_segments) \
  X("splitSegments", fn_split_segments) \
  X("mergeSegments", fn_merge_segments) \
  X("close", fn_close)                \
  X("newBatch", fn_new_batch)         \
  X("recv", fn_recv)                  \
  X("send", fn_send)                  \
  X("newForwarder", fn_new_forwarder) \
  X("forward", fn_forward)            \
  X("recvFrom", fn_recv_from)         \
  X("sendTo", fn_send_to)             \
  X("recvError", fn_recv_error)       \
  X("ifIndex", fn_if_index)           \
  X("joinGroup", fn_join_group)       \
  X("readFrames", fn_read_frames)     \
  X("writeFrames", fn_write_frames)   \
  X("writeStream", fn_write_stream)   \
  X("readStream", fn_read_stream)     \
  X("listen", fn_listen)              \
  X("accept", fn_accept)              \
  X("pipe", fn_pipe)                  \
  X("pipeSize", fn_pipe_size)         \
  X("ownGroup", fn_own_group)         \
  X("exec", fn_exec)                  \
  X("packet", fn_packet)              \
  X("recvPackets", fn_recv_packets)   \
  X("sendPackets", fn_send_packets)   \
  X("sum", fn_sum)                    \
  X("tcpConnect", fn_tcp_connect)     \
  X("tcpOpened", fn_tcp_opened)       \
  X("tcpListen", fn_tcp_listen)       \
  X("tcpAccept", fn_tcp_accept)       \
  X("tcpName", fn_tcp_name)           \
  X("tcpRead", fn_tcp_read)           \
  X("tcpWrite", fn_tcp_write)         \
  X("tcpEnd", fn_tcp_end)             \
  X("udpOpen", fn_udp_open)           \
  X("reactorRearm", fn_reactor_rearm) \
  X("reactorClose", fn_reactor_close) \
  X("pollReactor", fn_poll_reactor)   \
  X("poll", fn_poll)                  \
  X("pollModify", fn_poll_modify)     \
  X("pollForward", fn_poll_forward)   \
  X("pollRef", fn_poll_ref)           \
  X("pollUnref", fn_poll_unref)       \
  X("pollClose", fn_poll_close)

#define DECLARE(name, fn) napi_value fn(napi_env env, napi_callback_info info);
FUNCTIONS(DECLARE)
#undef DECLARE
