#!/usr/bin/env python3
"""Executes a command under a seccomp filter that hides NETLINK_NETFILTER, as if the kernel was built without nfnetlink."""
import ctypes
import os
import platform
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
AF_NETLINK, NETLINK_NETFILTER, EPROTONOSUPPORT = 16, 12, 93
SYS_SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
# Offsets in struct seccomp_data: the number, then arguments of 8 bytes from 16.
NUMBER, DOMAIN, PROTOCOL = 0, 16, 32

program = [
    (LOAD, 0, 0, NUMBER),
    (JUMP_EQUAL, 0, 5, SYS_SOCKET),
    (LOAD, 0, 0, DOMAIN),
    (JUMP_EQUAL, 0, 3, AF_NETLINK),
    (LOAD, 0, 0, PROTOCOL),
    (JUMP_EQUAL, 0, 1, NETLINK_NETFILTER),
    (RETURN, 0, 0, ERRNO | EPROTONOSUPPORT),
    (RETURN, 0, 0, ALLOW),
]


class Fprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
fprog = Fprog(len(program), code)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
