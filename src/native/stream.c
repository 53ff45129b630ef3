// Byte streams and connections: listening sockets, pipes, plain reads, and the process group they end with.

#include "batch.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

napi_value fn_listen(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  FD(fd, 0);
  INTEGER(int, backlog, 1, 0, INT32_MAX);
  return result(env, listen(fd, backlog));
}

napi_value fn_accept(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  FD(fd, 0);
  int rc;
  do rc = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  while (rc < 0 && errno == EINTR);
  return result(env, rc);
}

// pipe(ends): ends[0] is to be read, ends[1] to be written. Both block: one of them is for a child process.
napi_value fn_pipe(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int32_t *ends;
  if (!get_cells(env, argv[0], "ends", 2, &ends)) return NULL;
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) return result(env, -1);
  ends[0] = fds[0];
  ends[1] = fds[1];
  return number(env, 0);
}

napi_value fn_pipe_size(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  FD(fd, 0);
  INTEGER(int, size, 1, 0, INT32_MAX);
  return result(env, size == 0 ? fcntl(fd, F_GETPIPE_SZ) : fcntl(fd, F_SETPIPE_SZ, size));
}

napi_value fn_own_group(napi_env env, napi_callback_info info) {
  (void)info;
  return result(env, setpgid(0, 0));
}

// readStream(fd, batch, base, len): bytes read into the memory of the batch, or -errno.
napi_value fn_read_stream(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  FD(fd, 0);
  struct batch *b = get_batch(env, st, argv[1]);
  if (b == NULL) return NULL;
  INTEGER(size_t, base, 2, 0, UINT32_MAX);
  INTEGER(size_t, len, 3, 1, UINT32_MAX);
  if (base + len > b->size) return range_error(env, "range", "reaches beyond the memory of the batch");
  ssize_t n;
  do n = read(fd, b->data + base, len);
  while (n < 0 && errno == EINTR);
  return result(env, n);
}
