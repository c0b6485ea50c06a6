/*
 * Makes the n-th file call of a program fail, come back short, or be its last.
 *
 * It is preloaded (LD_PRELOAD), which works for calls that go through the C library, and is told by the environment:
 *
 *   FAULTS_UNDER    only files under this directory count, and what is opened there; nothing of the loader's
 *   FAULTS_STREAMS  standard streams that count too, such as "1"
 *   FAULTS_CALL     the kind of call, see `names`
 *   FAULTS_WHAT     a number: the call is not made and fails with this errno; "one", "half": it is made with so many
 *                   of its bytes; "none": it is not made and gives 0; "die": the program ends before the call,
 *                   "die-half": in the middle of it, "die-after": after it, each with status 137
 *   FAULTS_AT       from 1 on: which call of that kind; 0: none, they are counted only
 *   FAULTS_FOREVER  if set, all that follow too
 *   FAULTS_LOG      a file that gets a line "fired KIND PATH" for the first fault, and at the end a line "KIND COUNT" for
 *                   each kind of call
 *
 * Only the names of the 64-bit file interface are taken over: those are what Rust's libraries call.
 */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { OPEN, READ, WRITE, STAT, LIST, CUT, SEEK, LOCK, POLL, EVENT, WATCH, HINT, STATFS, CALLS };

/* "event" is eventfd, "watch" makes and changes inotify watches, "hint" reads what they tell. */
static const char *const names[CALLS] = {"open", "read", "write", "stat",  "list", "cut",   "seek",
                                         "lock", "poll", "event", "watch", "hint", "statfs"};

/* What is done in place of a call, or with it. */
enum what { PASS, FAIL, ONE, HALF, NONE, DIE, DIE_HALF, DIE_AFTER };

static struct {
    enum call call;
    enum what what;
    int error;
    long at;
    bool forever;
} plan = {.call = CALLS};

static atomic_long counts[CALLS];
static const char *under;
static bool cwd_is_under;
static int log_fd = -1;

/* What an open descriptor is. */
enum mark { OTHER, OURS, HINTS };
#define FDS 65536
static _Atomic unsigned char marks[FDS];

/* The C library's own function. */
#define NEXT(name)                                                                                                     \
    ({                                                                                                                 \
        static __typeof__(&name) next;                                                                                 \
        if (next == NULL)                                                                                              \
            next = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                                         \
        next;                                                                                                          \
    })

static enum mark marked(int fd) { return fd >= 0 && fd < FDS ? marks[fd] : OTHER; }

static int mark(int fd, enum mark as) {
    if (fd >= 0 && fd < FDS)
        marks[fd] = as;
    return fd;
}

static bool is_under(const char *path) {
    size_t len = strlen(under);
    return strncmp(path, under, len) == 0 && (path[len] == '/' || path[len] == 0);
}

/* Whether a path, from a directory on, leads to what counts. */
static bool counts_at(int dir, const char *path) {
    static const char own[] = "/proc/self/fd/";
    if (under == NULL)
        return false;
    if (path == NULL || *path == 0)
        return marked(dir) == OURS;
    if (strncmp(path, own, sizeof own - 1) == 0)
        return marked(atoi(path + sizeof own - 1)) == OURS;
    if (*path == '/')
        return is_under(path);
    return dir == AT_FDCWD ? cwd_is_under : marked(dir) == OURS;
}

static void say(const char *line, int len) {
    if (log_fd >= 0 && NEXT(write)(log_fd, line, len) != len)
        abort();
}

static void tell(enum call call, int fd, const char *path) {
    char link[64], target[4096] = "", line[4300];
    if (path == NULL || *path == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = NEXT(readlink)(link, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = 0;
        path = target;
    }
    say(line, snprintf(line, sizeof line, "fired %s %s\n", names[call], path));
}

/* Counts a call, and says what becomes of it. FAIL: with errno set. */
static enum what begin(bool counted, enum call call, int fd, const char *path) {
    if (!counted)
        return PASS;
    long nth = ++counts[call];
    if (call != plan.call || plan.at == 0 || nth < plan.at || (nth > plan.at && !plan.forever))
        return PASS;
    if (nth == plan.at)
        tell(call, fd, path);
    if (plan.what == DIE)
        _exit(137);
    errno = plan.error;
    return plan.what;
}

static void end(enum what what) {
    if (what == DIE_HALF || what == DIE_AFTER)
        _exit(137);
}

static size_t shorter(enum what what, size_t len) {
    if (what == ONE)
        return len < 1 ? len : 1;
    return what == HALF || what == DIE_HALF ? (len + 1) / 2 : len;
}

/* The first buffers, so many bytes of them. */
static int first(struct iovec *into, const struct iovec *from, int count, enum what what) {
    size_t left = 0;
    for (int at = 0; at < count; at++)
        left += from[at].iov_len;
    left = shorter(what, left);
    for (int at = 0; at < count; at++) {
        into[at] = from[at];
        if (into[at].iov_len > left)
            into[at].iov_len = left;
        left -= into[at].iov_len;
    }
    return count;
}

/* A call that gives a number of bytes. */
#define BYTES(counted, call, fd, made)                                                                                 \
    ({                                                                                                                 \
        enum what what = begin(counted, call, fd, NULL);                                                               \
        ssize_t got = what == FAIL ? -1 : what == NONE ? 0 : (made);                                                   \
        end(what);                                                                                                     \
        got;                                                                                                           \
    })

/* Another call. */
#define MADE(counted, call, fd, path, failed, made)                                                                    \
    ({                                                                                                                 \
        enum what what = begin(counted, call, fd, path);                                                               \
        __typeof__(made) gave = what == FAIL ? (failed) : (made);                                                      \
        end(what);                                                                                                     \
        gave;                                                                                                          \
    })

__attribute__((constructor)) static void set_up(void) {
    char cwd[4096];
    const char *call = getenv("FAULTS_CALL"), *what = getenv("FAULTS_WHAT"), *at = getenv("FAULTS_AT");
    const char *streams = getenv("FAULTS_STREAMS"), *log = getenv("FAULTS_LOG");
    static const char *const whats[] = {"", "", "one", "half", "none", "die", "die-half", "die-after"};
    under = getenv("FAULTS_UNDER");
    cwd_is_under = under != NULL && getcwd(cwd, sizeof cwd) != NULL && is_under(cwd);
    for (; streams != NULL && *streams != 0; streams++)
        mark(*streams - '0', OURS);
    if (log != NULL)
        log_fd = NEXT(open64)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (call == NULL || what == NULL || at == NULL)
        return;
    plan.error = atoi(what);
    plan.what = plan.error > 0 ? FAIL : PASS;
    for (enum what is = ONE; is <= DIE_AFTER; is++)
        if (strcmp(what, whats[is]) == 0)
            plan.what = is;
    plan.at = atol(at);
    plan.forever = getenv("FAULTS_FOREVER") != NULL;
    for (enum call is = 0; is < CALLS; is++)
        if (strcmp(call, names[is]) == 0)
            plan.call = is;
    if (plan.call == CALLS || plan.what == PASS)
        abort();
}

__attribute__((destructor)) static void tell_counts(void) {
    char line[64];
    for (enum call call = 0; call < CALLS; call++)
        say(line, snprintf(line, sizeof line, "%s %ld\n", names[call], counts[call]));
}

/* Opening and closing. */

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    bool ours = counts_at(AT_FDCWD, path);
    return mark(MADE(ours, OPEN, AT_FDCWD, path, -1, NEXT(open64)(path, flags, mode)), ours ? OURS : OTHER);
}

int openat64(int dir, const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    bool ours = counts_at(dir, path);
    return mark(MADE(ours, OPEN, dir, path, -1, NEXT(openat64)(dir, path, flags, mode)), ours ? OURS : OTHER);
}

/* Where the C library has none, who wants it looks for it by name, and finds this one. */
int openat2(int dir, const char *path, const struct open_how *how, size_t size) {
    bool ours = counts_at(dir, path);
    return mark(MADE(ours, OPEN, dir, path, -1, (int)NEXT(syscall)(SYS_openat2, dir, path, how, size)),
                ours ? OURS : OTHER);
}

int close(int fd) {
    mark(fd, OTHER);
    return NEXT(close)(fd);
}

int dup(int fd) { return mark(NEXT(dup)(fd), marked(fd)); }

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return mark(NEXT(fcntl)(fd, command, argument), marked(fd));
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    return MADE(locks && marked(fd) == OURS, LOCK, fd, NULL, -1, NEXT(fcntl)(fd, command, argument));
}

/* Reading. */

static enum call reads(int fd) { return marked(fd) == HINTS ? HINT : READ; }

ssize_t read(int fd, void *into, size_t len) {
    return BYTES(marked(fd) != OTHER, reads(fd), fd, NEXT(read)(fd, into, shorter(what, len)));
}

ssize_t pread64(int fd, void *into, size_t len, off64_t offset) {
    return BYTES(marked(fd) == OURS, READ, fd, NEXT(pread64)(fd, into, shorter(what, len), offset));
}

ssize_t readv(int fd, const struct iovec *into, int count) {
    struct iovec less[count < 1 ? 1 : count];
    return BYTES(marked(fd) == OURS, READ, fd, NEXT(readv)(fd, less, first(less, into, count, what)));
}

ssize_t preadv64(int fd, const struct iovec *into, int count, off64_t offset) {
    struct iovec less[count < 1 ? 1 : count];
    return BYTES(marked(fd) == OURS, READ, fd, NEXT(preadv64)(fd, less, first(less, into, count, what), offset));
}

/* Writing. */

ssize_t write(int fd, const void *from, size_t len) {
    return BYTES(marked(fd) == OURS, WRITE, fd, NEXT(write)(fd, from, shorter(what, len)));
}

ssize_t pwrite64(int fd, const void *from, size_t len, off64_t offset) {
    return BYTES(marked(fd) == OURS, WRITE, fd, NEXT(pwrite64)(fd, from, shorter(what, len), offset));
}

ssize_t writev(int fd, const struct iovec *from, int count) {
    struct iovec less[count < 1 ? 1 : count];
    return BYTES(marked(fd) == OURS, WRITE, fd, NEXT(writev)(fd, less, first(less, from, count, what)));
}

int ftruncate64(int fd, off64_t len) {
    return MADE(marked(fd) == OURS, CUT, fd, NULL, -1, NEXT(ftruncate64)(fd, len));
}

off64_t lseek64(int fd, off64_t offset, int whence) {
    return MADE(marked(fd) == OURS, SEEK, fd, NULL, -1, NEXT(lseek64)(fd, offset, whence));
}

int flock(int fd, int operation) {
    return MADE(marked(fd) == OURS, LOCK, fd, NULL, -1, NEXT(flock)(fd, operation));
}

/* Looking. */

int statx(int dir, const char *path, int flags, unsigned mask, struct statx *into) {
    return MADE(counts_at(dir, path), STAT, dir, path, -1, NEXT(statx)(dir, path, flags, mask, into));
}

int stat64(const char *path, struct stat64 *into) {
    return MADE(counts_at(AT_FDCWD, path), STAT, AT_FDCWD, path, -1, NEXT(stat64)(path, into));
}

int lstat64(const char *path, struct stat64 *into) {
    return MADE(counts_at(AT_FDCWD, path), STAT, AT_FDCWD, path, -1, NEXT(lstat64)(path, into));
}

int fstat64(int fd, struct stat64 *into) {
    return MADE(marked(fd) == OURS, STAT, fd, NULL, -1, NEXT(fstat64)(fd, into));
}

int fstatat64(int dir, const char *path, struct stat64 *into, int flags) {
    return MADE(counts_at(dir, path), STAT, dir, path, -1, NEXT(fstatat64)(dir, path, into, flags));
}

int statfs64(const char *path, struct statfs64 *into) {
    return MADE(counts_at(AT_FDCWD, path), STATFS, AT_FDCWD, path, -1, NEXT(statfs64)(path, into));
}

int fstatfs64(int fd, struct statfs64 *into) {
    return MADE(marked(fd) == OURS, STATFS, fd, NULL, -1, NEXT(fstatfs64)(fd, into));
}

/* Listing. Opening a directory is the first call of it. */

DIR *opendir(const char *path) {
    bool ours = counts_at(AT_FDCWD, path);
    DIR *dir = MADE(ours, LIST, AT_FDCWD, path, (DIR *)NULL, NEXT(opendir)(path));
    if (dir != NULL)
        mark(dirfd(dir), ours ? OURS : OTHER);
    return dir;
}

struct dirent64 *readdir64(DIR *dir) {
    int fd = dirfd(dir);
    return MADE(marked(fd) == OURS, LIST, fd, NULL, (struct dirent64 *)NULL, NEXT(readdir64)(dir));
}

int closedir(DIR *dir) {
    mark(dirfd(dir), OTHER);
    return NEXT(closedir)(dir);
}

/* Waiting, and hearing of changes. */

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *within, const sigset_t *signals) {
    bool ours = false;
    for (nfds_t at = 0; at < count; at++)
        ours |= marked(fds[at].fd) != OTHER;
    return MADE(ours, POLL, count > 0 ? fds[0].fd : -1, NULL, -1, NEXT(ppoll)(fds, count, within, signals));
}

int inotify_init1(int flags) {
    return mark(MADE(under != NULL, WATCH, -1, "inotify", -1, NEXT(inotify_init1)(flags)), HINTS);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask) {
    return MADE(counts_at(AT_FDCWD, path), WATCH, AT_FDCWD, path, -1, NEXT(inotify_add_watch)(fd, path, mask));
}

int inotify_rm_watch(int fd, int watch) {
    return MADE(marked(fd) == HINTS, WATCH, fd, NULL, -1, NEXT(inotify_rm_watch)(fd, watch));
}

long syscall(long number, ...) {
    va_list rest;
    long with[6];
    va_start(rest, number);
    for (int at = 0; at < 6; at++)
        with[at] = va_arg(rest, long);
    va_end(rest);
    return MADE(number == SYS_eventfd2 && under != NULL, EVENT, -1, "eventfd", -1L,
                NEXT(syscall)(number, with[0], with[1], with[2], with[3], with[4], with[5]));
}
