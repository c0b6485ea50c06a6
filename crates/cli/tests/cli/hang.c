/*
 * A file system that hangs: while the file that HANG_WHILE names is there, to open or look at a path that ends in
 * HANG_AT does not return. It is preloaded (LD_PRELOAD).
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hang(const char *path) {
    const char *at = getenv("HANG_AT"), *flag = getenv("HANG_WHILE");
    if (at == NULL || flag == NULL || path == NULL || strlen(path) < strlen(at))
        return;
    if (strcmp(path + strlen(path) - strlen(at), at) == 0)
        while (access(flag, F_OK) == 0)
            usleep(10000);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    hang(path);
    return next(path, flags, mode);
}

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *into) {
    int (*next)(int, const char *, int, unsigned, struct statx *) =
        (int (*)(int, const char *, int, unsigned, struct statx *))dlsym(RTLD_NEXT, "statx");
    hang(path);
    return next(dir, path, flags, mask, into);
}
