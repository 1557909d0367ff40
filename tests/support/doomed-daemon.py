"""Stands in for a daemon that waits for a file system: it holds a daemon's locks and socket, and cannot end when it is killed.

Usage: doomed-daemon.py DATA_ROOT EXEC_ROOT SOCKET SILENT_PATH.
"""
import fcntl, json, os, socket, sys

data, run, api, silent = sys.argv[1:]
start = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
lock = open(run + "/daemon.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(json.dumps({"pid": os.getpid(), "startTime": start, "startedAt": "the beginning", "note": data}))
lock.flush()
held = [open(data + "/image/" + name, "a") for name in ("lock", "worker-lock")]
for file in held:
    fcntl.flock(file, fcntl.LOCK_EX)
databases = [open(path, "r+b") for path in (data + "/lighter.db", data + "/image/images.db")]
for file in databases:
    fcntl.lockf(file, fcntl.LOCK_EX)
os.unlink(api)
listener = socket.socket(socket.AF_UNIX)
listener.bind(api)
listener.listen(16)
os.stat(silent)
