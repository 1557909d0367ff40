"""A FUSE file system of one empty directory. After a byte on stdin it stops answering, like a dead server, and prints "asked" for
each request.

Usage: silent-fuse.py MOUNTPOINT. Prints "ready" when it is mounted. At the end of stdin it aborts the connection, so that
waiting processes get an error, and unmounts. Source: linux/fuse.h, version 7.26.
"""
import ctypes, os, select, struct, sys

path = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fuse
if libc.mount(b"silent", path.encode(), b"fuse.silent", 0, options.encode()) != 0:
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
# From mountinfo and not stat(2), which would ask us.
for line in open("/proc/self/mountinfo"):
    if line.split()[4] == path:
        device = int(line.split()[2].split(":")[1])

LOOKUP, FORGET, GETATTR, OPEN, STATFS, RELEASE, GETXATTR, LISTXATTR, INIT, OPENDIR, READDIR, RELEASEDIR = (
    1, 2, 3, 14, 17, 18, 22, 23, 26, 27, 28, 29)
ENOENT, ENOSYS = -2, -38
# ino, size, blocks, three times, their nanoseconds, mode, nlink, uid, gid, rdev, blksize, padding
ATTR = struct.pack("<6Q3I7I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o040755, 2, 0, 0, 0, 4096, 0)

def answer(unique, error=0, body=b""):
    os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, unique) + body)

def serve():
    request = os.read(fuse, 1 << 20)
    length, opcode, unique = struct.unpack_from("<IIQ", request)
    if silent:
        print("asked", flush=True)
    if silent or opcode in (FORGET, 42):
        return
    if opcode == INIT:
        answer(unique, 0, struct.pack("<IIIIHHIIHHI7I", 7, 26, 65536, 0, 16, 12, 65536, 1, 0, 0, 0, *([0] * 7)))
    elif opcode == GETATTR:
        answer(unique, 0, struct.pack("<QII", 0, 0, 0) + ATTR)
    elif opcode == OPENDIR:
        answer(unique, 0, struct.pack("<QII", 1, 0, 0))
    elif opcode in (READDIR, RELEASEDIR):
        answer(unique)
    elif opcode == STATFS:
        answer(unique, 0, struct.pack("<5Q4I6I", 0, 0, 0, 0, 0, 4096, 255, 4096, 0, *([0] * 6)))
    elif opcode == LOOKUP:
        answer(unique, ENOENT)
    else:
        answer(unique, ENOSYS)

silent = False
print("ready", flush=True)
while True:
    ready, _, _ = select.select([fuse, 0], [], [])
    if 0 in ready:
        if not os.read(0, 1):
            break
        silent = True
        print("silent", flush=True)
    if fuse in ready:
        serve()
try:
    open("/sys/fs/fuse/connections/%d/abort" % device, "w").write("1")
except OSError:
    os.close(fuse)  # the same, where that is not mounted
libc.umount2(path.encode(), 2)
