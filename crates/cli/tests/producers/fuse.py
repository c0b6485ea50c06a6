"""A file system that shows the files of a directory, and misbehaves: fuse.py DIRECTORY MOUNTPOINT MISDEEDS.

MISDEEDS, with commas between: "inodes": inode numbers that do not last; "ahead": sizes that are ahead of the data for a
while after a file was written; "short": reads that come back short; "direct": past the page cache.
"""

import errno
import os
import random
import sys
import time

try:
    from fuse import FUSE, FuseOSError, Operations
except ImportError:
    from fusepy import FUSE, FuseOSError, Operations

below, mountpoint, misdeeds = sys.argv[1], sys.argv[2], sys.argv[3].split(",")


class Shown(Operations):
    def getattr(self, path, handle=None):
        try:
            stat = os.lstat(below + path)
        except OSError as error:
            raise FuseOSError(error.errno)
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_atime", "st_ctime", "st_mtime", "st_ino")
        shown = {name: getattr(stat, name) for name in names}
        if path != "/" and "inodes" in misdeeds:
            shown["st_ino"] = int(time.time() * 20)
        if path != "/" and "ahead" in misdeeds and time.time() - stat.st_mtime < 0.2:
            shown["st_size"] += 1000
        return shown

    def readdir(self, path, handle):
        return [".", "..", *os.listdir(below + path)]

    def open(self, path, flags):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise FuseOSError(errno.EROFS)
        return os.open(below + path, os.O_RDONLY)

    def read(self, path, size, offset, handle):
        if "short" in misdeeds and size > 1:
            size = min(size, random.choice([1, 100, 1000, size]))
        return os.pread(handle, size, offset)

    def release(self, path, handle):
        os.close(handle)


FUSE(
    Shown(),
    mountpoint,
    foreground=True,
    nothreads=True,
    use_ino=True,
    attr_timeout=0,
    entry_timeout=0,
    direct_io="direct" in misdeeds,
)
