import { describe, expect, test } from "bun:test";
import { PlayError } from "../linux/process/supervisor.ts";
import { OpList, slot, text } from "../linux/program/builder.ts";
import type { Op, Program } from "../linux/program/op.ts";
import { explainFailure } from "./play-error.ts";

function explain(op: Op, errno: string): unknown {
  const program: Program = {
    host: [{ kind: "checkCwd", why: "another" }],
    init: [op],
    cleanup: [],
    supervise: { init: "init", hold: false, exitPath: "/e", socketPath: "/s" },
  };
  return explainFailure(new PlayError({ opIndex: 1, errno }), program);
}

function callOf(name: Parameters<OpList["call"]>[0], args: Parameters<OpList["call"]>[1], why = "the reason"): Op {
  const list = new OpList("init");
  list.call(name, args, why);
  return list.ops[0]!;
}

describe("a failed op", () => {
  test("is told by its reason, its call and what the kernel said, with errno and index", () => {
    expect(explain(callOf("fsmount", [slot("fs"), 1, 0], "mounts[3] on /data"), "ENOSPC")).toMatchObject({
      code: "kernel",
      message: "mounts[3] on /data: fsmount(2): ENOSPC (no space left on device)",
      detail: { errno: "ENOSPC", opIndex: 1 },
    });
    expect(explain(callOf("ioctl.TIOCSCTTY", [slot("tty"), 0]), "EPERM")).toMatchObject({
      message: expect.stringContaining("the reason: ioctl(2) TIOCSCTTY: EPERM"),
    });
    expect(explain({ kind: "dropBounding", capabilities: 1n, why: "w" }, "EPERM")).toMatchObject({
      message: expect.stringContaining("prctl(2) PR_CAPBSET_DROP: EPERM"),
    });
  });

  test("says which file systems can map owners, if the one that is there cannot", () => {
    const list = new OpList("host");
    list.mapOwners("clone", "owners", true, "the root: idmap");
    expect(explain(list.ops.at(-1)!, "EINVAL")).toMatchObject({
      message: expect.stringContaining("the root: idmap: mount_setattr(2): EINVAL"),
      detail: { hint: "the file system cannot map owners; ext4, XFS, btrfs and tmpfs can" },
    });
  });

  test("of another kind than a call is told by what it does", () => {
    const cases: [Op, string][] = [
      [{ kind: "write", dir: null, path: "/sys/x", data: "1", why: "w" }, "w: write(2) to /sys/x: EIO"],
      [
        { kind: "writeByPid", dir: null, prefix: "/proc/", pid: "init", suffix: "/uid_map", data: "", why: "w" },
        "/proc/PID/uid_map",
      ],
      [{ kind: "clone", flags: 0, out: "init", why: "w" }, "clone3(2): EIO"],
      [{ kind: "pipe", read: "a", write: "b", why: "w" }, "pipe2(2): EIO"],
      [
        { kind: "openTarget", root: "root", path: "a/b", type: "file", noSymlinks: true, out: "t", why: "w" },
        "openat2(2) of /a/b: EIO",
      ],
      [{ kind: "checkDevice", fd: "a", type: "character", major: 1, minor: 3, why: "w" }, "w: checkDevice: EIO"],
    ];
    for (const [op, part] of cases)
      expect(explain(op, "EIO")).toMatchObject({ code: "kernel", message: expect.stringContaining(part) });
  });

  test("is worded anew where the kernel's text misleads, and says what to try", () => {
    expect(
      explain(callOf("openat2", [slot("root"), text("dev"), { data: new Uint8Array(24), show: "" }, 24]), "ELOOP"),
    ).toMatchObject({
      message: expect.stringContaining("a symbolic link where a plain directory must be"),
    });
    // "no such file or directory" would make the stock client exit with 127.
    expect(explain(callOf("open_tree", [0, text("/x"), 0]), "ENOENT")).toMatchObject({
      message: expect.stringContaining("source does not exist"),
    });
    // "not a directory" makes the stock daemon ask whether a file is being mounted onto a directory.
    expect(explain(callOf("move_mount", [0, text(""), 0, text(""), 0]), "EINVAL")).toMatchObject({
      message: expect.stringContaining("move_mount(2): EINVAL (not a directory)"),
    });
    expect(explain(callOf("move_mount", [0, text(""), 0, text(""), 0]), "ENOSPC")).toMatchObject({
      detail: { hint: expect.stringContaining("fs.mount-max") },
    });
    expect(explain({ kind: "clone", flags: 0, out: "i", why: "w" }, "ENOSPC")).toMatchObject({
      detail: { hint: expect.stringContaining("/proc/sys/user") },
    });
  });
});

describe("a program that cannot be executed", () => {
  const execute = (file: string): Op => ({ kind: "execute", paths: [file], argv: [file], env: [], why: "w" });
  const cases: [file: string, errno: string, code: string, message: string][] = [
    ["sh", "ENOENT", "exec-not-found", 'exec: "sh": executable file not found in $PATH'],
    ["/sh", "ENOENT", "exec-not-found", 'exec: "/sh": stat /sh: no such file or directory'],
    ["/a/sh", "ENOTDIR", "exec-not-found", 'exec: "/a/sh": stat /a/sh: no such file or directory'],
    ["/a", "EISDIR", "exec-denied", 'exec: "/a": is a directory'],
    ["a", "EISDIR", "exec-not-found", 'exec: "a": executable file not found in $PATH'],
    ["/sh", "EACCES", "exec-denied", 'exec: "/sh": permission denied'],
    ["/sh", "EPERM", "exec-denied", 'exec: "/sh": permission denied'],
    ["/sh", "ELIBACC", "exec-not-found", "exec /sh: no such file or directory"],
    ["/sh", "ENOEXEC", "exec-denied", 'exec: "/sh": exec format error'],
    ["/sh", "E2BIG", "exec-denied", 'exec: "/sh": argument list too long'],
    ['q"q', "ENOENT", "exec-not-found", 'exec: "q\\"q": executable file not found in $PATH'],
  ];
  for (const [file, errno, code, message] of cases)
    test(`is told in Docker's words: ${file}, ${errno}`, () => {
      expect(explain(execute(file), errno)).toMatchObject({ code, message, detail: { errno, opIndex: 1 } });
    });
});

describe("a failure without an op", () => {
  const program: Program = {
    host: [],
    init: [],
    cleanup: [],
    supervise: { init: "init", hold: false, exitPath: "/e", socketPath: "/s" },
  };
  const explainAt = (errno: string) => explainFailure(new PlayError({ opIndex: -1, errno }), program);

  test("says that the launcher refused the program, or that its child was killed", () => {
    expect(explainAt("EPROTO")).toMatchObject({ code: "internal", message: expect.stringContaining("another build") });
    expect(explainAt("ECHILD")).toMatchObject({ code: "kernel", detail: { hint: expect.stringContaining("memory") } });
    expect(explainAt("ENOMEM")).toMatchObject({ code: "kernel", detail: { errno: "ENOMEM" } });
  });

  test("of another sort is passed on as it is", () => {
    const error = new Error("x");
    expect(explainFailure(error, program)).toBe(error);
  });
});
