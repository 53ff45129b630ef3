// Another program in the place of this process.

#include "addon.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define MAX_WORDS 65536

static void free_words(char **words) {
  for (char **w = words; *w != NULL; w++) free(*w);
  free(words);
}

// A copy of an array of strings, with NULL behind it; NULL: an exception was thrown.
static char **copy_words(napi_env env, napi_value array) {
  bool is = false;
  uint32_t count;
  if (napi_is_array(env, array, &is) != napi_ok || !is || napi_get_array_length(env, array, &count) != napi_ok) {
    type_error(env, "argv", "an array of strings");
    return NULL;
  }
  if (count == 0 || count > MAX_WORDS) {
    range_error(env, "argv", "must have 1 to 65536 words");
    return NULL;
  }
  char **words = calloc(count + 1, sizeof(*words));
  if (words == NULL) {
    out_of_memory(env);
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    napi_value word;
    size_t len;
    if (napi_get_element(env, array, i, &word) != napi_ok ||
        napi_get_value_string_utf8(env, word, NULL, 0, &len) != napi_ok) {
      type_error(env, "argv", "an array of strings");
    } else if ((words[i] = malloc(len + 1)) == NULL) {
      out_of_memory(env);
    } else if (napi_get_value_string_utf8(env, word, words[i], len + 1, &len) == napi_ok && strlen(words[i]) == len) {
      continue;
    } else {
      range_error(env, "argv", "has a word with a NUL inside");
    }
    free_words(words);
    return NULL;
  }
  return words;
}

// exec(argv, fds): replaces the process by argv[0], looked for in PATH; -errno when that is not possible. The standard
// streams and the descriptors named go along. Node has given them all FD_CLOEXEC, has made the streams non-blocking, and
// the process ignore SIGPIPE and SIGXFSZ, all of which a program inherits: it is taken back.
napi_value fn_exec(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  bool is = false;
  napi_typedarray_type type;
  size_t count;
  int32_t *fds;
  if (napi_is_typedarray(env, argv[1], &is) != napi_ok || !is ||
      napi_get_typedarray_info(env, argv[1], &type, &count, (void **)&fds, NULL, NULL) != napi_ok ||
      type != napi_int32_array)
    return type_error(env, "fds", "an Int32Array");
  char **words = copy_words(env, argv[0]);
  if (words == NULL) return NULL;
  // Of what is not open nothing is heard here: the program will say it.
  for (int fd = 0; fd < 3; fd++) {
    fcntl(fd, F_SETFD, 0);
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) != 0) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  }
  for (size_t i = 0; i < count; i++) fcntl(fds[i], F_SETFD, 0);
  struct sigaction pipe_action, size_action;
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  sigaction(SIGPIPE, &by_default, &pipe_action);
  sigaction(SIGXFSZ, &by_default, &size_action);
  execvp(words[0], words);
  int error = errno;
  sigaction(SIGPIPE, &pipe_action, NULL);
  sigaction(SIGXFSZ, &size_action, NULL);
  free_words(words);
  return number(env, -error);
}
