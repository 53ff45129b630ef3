// Sockets, options, addresses, locks: system calls with checked arguments.

#include "addon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PATH 107  // bytes of a Unix address: sun_path less its closing NUL

napi_value fn_socket(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  INTEGER(int, domain, 0, 0, INT32_MAX);
  INTEGER(int, type, 1, 0, INT32_MAX);
  INTEGER(int, protocol, 2, 0, INT32_MAX);
  return result(env, socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

typedef int address_call(int, const struct sockaddr *, socklen_t);

static napi_value unix_address_call(napi_env env, napi_callback_info info, address_call *call) {
  ARGUMENTS(2);
  FD(fd, 0);
  size_t len;
  if (napi_get_value_string_utf8(env, argv[1], NULL, 0, &len) != napi_ok) return type_error(env, "path", "a string");
  if (len > MAX_PATH) return number(env, -ENAMETOOLONG);
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (napi_get_value_string_utf8(env, argv[1], a.sun_path, sizeof(a.sun_path), &len) != napi_ok) return NULL;
  // An empty path would ask bind for a random name; a NUL further on would cut a path short.
  bool abstract = len > 0 && a.sun_path[0] == '\0';
  if (len == 0 || (!abstract && memchr(a.sun_path, '\0', len) != NULL)) return number(env, -EINVAL);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
  return result(env, call(fd, (struct sockaddr *)&a, size));
}

napi_value fn_bind_unix(napi_env env, napi_callback_info info) { return unix_address_call(env, info, bind); }

napi_value fn_connect_unix(napi_env env, napi_callback_info info) {
  return unix_address_call(env, info, connect);
}

static napi_value inet_address_call(napi_env env, napi_callback_info info, address_call *call) {
  ARGUMENTS(3);
  FD(fd, 0);
  uint8_t *bytes;
  size_t len;
  if (!get_bytes(env, argv[1], "address", &bytes, &len, NULL)) return NULL;
  INTEGER(uint16_t, port, 2, 0, UINT16_MAX);
  if (len == 4) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&a.sin_addr, bytes, 4);
    return result(env, call(fd, (struct sockaddr *)&a, sizeof(a)));
  }
  if (len != 16) return range_error(env, "address", "must have 4 or 16 bytes");
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  memcpy(&a.sin6_addr, bytes, 16);
  return result(env, call(fd, (struct sockaddr *)&a, sizeof(a)));
}

napi_value fn_bind_inet(napi_env env, napi_callback_info info) { return inet_address_call(env, info, bind); }

napi_value fn_connect_inet(napi_env env, napi_callback_info info) {
  return inet_address_call(env, info, connect);
}

napi_value fn_setsockopt(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  FD(fd, 0);
  INTEGER(int, level, 1, 0, INT32_MAX);
  INTEGER(int, name, 2, 0, INT32_MAX);
  INTEGER(int, value, 3, INT32_MIN, INT32_MAX);
  return result(env, setsockopt(fd, level, name, &value, sizeof(value)));
}

napi_value fn_getsockopt(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  FD(fd, 0);
  INTEGER(int, level, 1, 0, INT32_MAX);
  INTEGER(int, name, 2, 0, INT32_MAX);
  int value = 0;
  socklen_t len = sizeof(value);
  return result(env, getsockopt(fd, level, name, &value, &len) < 0 ? -1 : value);
}

napi_value fn_local_port(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  FD(fd, 0);
  struct sockaddr_storage a;
  socklen_t len = sizeof(a);
  if (getsockname(fd, (struct sockaddr *)&a, &len) < 0) return result(env, -1);
  if (a.ss_family == AF_INET) return number(env, ntohs(((struct sockaddr_in *)&a)->sin_port));
  if (a.ss_family == AF_INET6) return number(env, ntohs(((struct sockaddr_in6 *)&a)->sin6_port));
  return number(env, -EAFNOSUPPORT);
}

napi_value fn_peer_cred(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  FD(fd, 0);
  napi_value out;
  struct ucred cred;
  socklen_t len = sizeof(cred);
  // A socket without peer answers with uid -1. (pid 0 is a peer in a foreign pid namespace.)
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid == (uid_t)-1)
    return napi_get_null(env, &out) == napi_ok ? out : NULL;
  napi_value pid = number(env, cred.pid);
  napi_value uid = number(env, cred.uid);
  napi_value gid = number(env, cred.gid);
  if (napi_create_object(env, &out) != napi_ok || napi_set_named_property(env, out, "pid", pid) != napi_ok ||
      napi_set_named_property(env, out, "uid", uid) != napi_ok ||
      napi_set_named_property(env, out, "gid", gid) != napi_ok)
    return NULL;
  return out;
}

napi_value fn_flock(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  FD(fd, 0);
  int rc;
  do rc = flock(fd, LOCK_EX | LOCK_NB);
  while (rc < 0 && errno == EINTR);
  return result(env, rc);
}

napi_value fn_close(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  FD(fd, 0);
  // Linux frees the descriptor even when close(2) is interrupted; a second call could hit somebody else's.
  int rc = close(fd);
  return result(env, rc < 0 && errno == EINTR ? 0 : rc);
}
