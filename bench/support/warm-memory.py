"""
Keeps free memory in small pieces: python3 warm-memory.py MIB. Says "ready", and ends with its stdin.

Of a virtual machine's free memory the host takes back whole blocks of 2 MiB, after seconds. Whoever is the next to touch them waits
while the host makes pages again, which costs 100 times what the copy of their bytes does, and counts as time of the one who waits. This
touches memory and gives back all but one page of each block: what is left of a block stays the guest's.
"""
import mmap
import sys

PAGE = 4096
BLOCK = 2 * 1024 * 1024

size = int(sys.argv[1]) * 1024 * 1024
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for at in range(0, size, PAGE):
    memory[at] = 1
for at in range(0, size, BLOCK):
    memory.madvise(mmap.MADV_DONTNEED, at + PAGE, min(BLOCK, size - at) - PAGE)
print("ready", flush=True)
sys.stdin.read()
