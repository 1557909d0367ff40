import { describe, expect, test } from "bun:test";
import { decodeProgram } from "../../../tests/support/decode-program.ts";
import { PROGRAM_CASES } from "../../../tests/support/program-cases.ts";
import { Random, rounds } from "../../../tests/support/random.ts";
import { LighterError } from "../../base/errors.ts";
import { PROGRAM_MAX_OPS, PROGRAM_MAX_SLOTS } from "../../base/limits.ts";
import { AT_FDCWD } from "../sys/abi.ts";
import { OpList, slot, text, words } from "./builder.ts";
import { CALL_NAMES, CALLS, callOf } from "./calls.ts";
import { encodeProgram } from "./encode.ts";
import { HEADER_BYTES, HEADER_FIELDS, OP_BYTES, PROGRAM_MAGIC } from "./format.ts";
import { listProgram } from "./list.ts";
import type { Op, Program } from "./op.ts";

function programOf(ops: Op[], rest: Partial<Program> = {}): Program {
  const clone: Op = { kind: "clone", flags: 0, out: "init", why: "" };
  return {
    host: [clone, ...ops],
    init: [],
    cleanup: [],
    supervise: { init: "init", hold: false, exitPath: "/run/exit", socketPath: "/run/sock" },
    ...rest,
  };
}

/** All strings that reach the kernel, in order. What decoding cannot know is left out: slots' names, reasons. */
function textsOf(program: Program): unknown[] {
  return [...program.host, ...program.init, ...program.cleanup].map((op) => {
    if (op.kind === "call") return op.args.map((arg) => (typeof arg === "object" && "text" in arg ? arg.text : ""));
    if (op.kind === "execute") return [op.paths, op.argv, op.env];
    return Object.entries(op).filter(([name]) => ["path", "data", "prefix", "suffix", "procsPath"].includes(name));
  });
}

describe("a program", () => {
  for (const { name, program } of PROGRAM_CASES)
    test(`is the same after encoding and decoding: ${name}`, () => {
      const bytes = encodeProgram(program);
      const decoded = decodeProgram(bytes);
      expect([...encodeProgram(decoded)]).toEqual([...bytes]);
      const callsOf = (each: Program) =>
        [...each.host, ...each.init, ...each.cleanup].map((op) => (op.kind === "call" ? op.name : op.kind));
      expect(callsOf(decoded)).toEqual(callsOf(program));
      expect(textsOf(decoded)).toEqual(textsOf(program));
      expect(listProgram(decoded).split("\n").length).toBe(listProgram(program).split("\n").length);
    });

  test("of every call with every kind of argument is the same after encoding and decoding", () => {
    const list = new OpList("host");
    for (const name of CALL_NAMES) {
      const { args, fixed } = callOf(name);
      const all = args.map((kind) => {
        if (kind.is === "number") return -5;
        if (kind.is === "string") return text(`${name}é`);
        const bytes = kind.is === "struct" ? kind.bytes : 0;
        return { data: new Uint8Array(bytes).fill(7), show: "sevens" };
      });
      for (const kind of args) if (kind.is === "buffer") all[kind.lengthIn] = 0;
      if (fixed) all.splice(fixed.index, 1);
      list.call(name, all, name, { out: "out", tolerate: ["EPERM", "ENOSYS"], guard: "a", unless: "b" });
    }
    const program = programOf(list.ops);
    const decoded = decodeProgram(encodeProgram(program));
    expect([...encodeProgram(decoded)]).toEqual([...encodeProgram(program)]);
    for (const [index, op] of list.ops.entries()) {
      const back = decoded.host[index + 1]!;
      if (op.kind !== "call" || back.kind !== "call") throw new Error("not a call");
      expect(back.name).toBe(op.name);
      expect(back.args.map((arg) => (typeof arg === "object" && "data" in arg ? { data: arg.data } : arg))).toEqual(
        op.args.map((arg) => (typeof arg === "object" && "data" in arg ? { data: arg.data } : arg)),
      );
      expect(back.tolerate).toEqual(["EPERM", "ENOSYS"]);
      expect([back.out, back.guard, back.unless]).toEqual(["s1", "s2", "s3"]);
    }
  });

  test("keeps numbers of 64 bits, negative ones, and null pointers", () => {
    const list = new OpList("host");
    const numbers = [
      0,
      1,
      -1,
      -100,
      0xffffffff,
      2 ** 40,
      -(2 ** 40),
      Number.MAX_SAFE_INTEGER,
      2n ** 63n - 1n,
      -(2n ** 63n),
    ];
    for (const number of numbers) list.call("umask", [number], "");
    list.call("mount", [0, text("/"), 0, 1, 0], "");
    const { host } = decodeProgram(encodeProgram(programOf(list.ops)));
    expect(host.slice(1, -1).map((op) => op.kind === "call" && op.args[0])).toEqual(numbers);
    expect(host.at(-1)).toMatchObject({ args: [0, { text: "/" }, 0, 1, 0] });
  });

  test("shares equal strings, and structs that are the same object", () => {
    const shared = { name: "attr", data: new Uint8Array(128) };
    const list = new OpList("host");
    list.open("/a/path", 0, "dir", "");
    list.open("/a/path", 0, "dir", "");
    list.add({ kind: "store", slot: "dir", into: { shared, at: 4 }, why: "" });
    list.call("bpf", [8, { shared }, 128], "");
    const { host } = decodeProgram(encodeProgram(programOf(list.ops)));
    const store = host.at(-2);
    const call = host.at(-1);
    if (store?.kind !== "store" || call?.kind !== "call") throw new Error("other ops");
    expect(store.into.at).toBe(4);
    expect(call.args[1]).toEqual({ shared: store.into.shared });
    expect((call.args[1] as { shared: object }).shared).toBe(store.into.shared);
  });

  test("with a pointer keeps what is pointed at", () => {
    const list = new OpList("host");
    const instructions = new Uint8Array(24).map((_, index) => index + 1);
    const data = new Uint8Array(16);
    list.call("seccomp", [1, 0, { data, show: "", pointers: [{ at: 8, to: instructions }] }], "");
    const { host } = decodeProgram(encodeProgram(programOf(list.ops)));
    expect(host[1]).toMatchObject({ args: [1, 0, { pointers: [{ at: 8, to: instructions }] }] });
  });

  test("begins with the magic number, and has the counts and the whole length in its header", () => {
    const bytes = encodeProgram(programOf([]));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const offsets = new Map<string, number>();
    let at = 0;
    for (const [name, type] of HEADER_FIELDS) {
      offsets.set(name, at);
      at += type === "u64" ? 8 : 4;
    }
    expect(at).toBe(HEADER_BYTES);
    expect(view.getUint32(0, true)).toBe(PROGRAM_MAGIC);
    expect(view.getUint32(offsets.get("total_bytes")!, true)).toBe(bytes.length);
    expect(view.getUint32(offsets.get("host_count")!, true)).toBe(1);
    expect(bytes.length % 8).toBe(0);
    expect(bytes.at(-1)).toBe(0);
  });

  test("that is too large, or holds a NUL, is refused by name", () => {
    const list = new OpList("host");
    for (let i = 0; i <= PROGRAM_MAX_OPS; i++) list.call("umask", [0], "");
    expect(() => encodeProgram(programOf(list.ops))).toThrow(expect.objectContaining({ code: "invalid" }));
    const slots = new OpList("host");
    for (let i = 0; i < PROGRAM_MAX_SLOTS; i++) slots.open("/", 0, `slot${i}`, "");
    expect(() => encodeProgram(programOf(slots.ops))).toThrow(expect.objectContaining({ code: "invalid" }));
    const execute: Op = { kind: "execute", paths: ["/x"], argv: ["a\0b"], env: [], why: "" };
    expect(() => encodeProgram(programOf([], { init: [execute] }))).toThrow(/"a\\u0000b" contains a NUL/);
    const long: Op = { kind: "execute", paths: ["/x"], argv: ["x".repeat(9 * 2 ** 20)], env: [], why: "" };
    expect(() => encodeProgram(programOf([], { init: [long] }))).toThrow(/arguments and environment are too long/);
  });
});

describe("decodeProgram", () => {
  const valid = encodeProgram(PROGRAM_CASES.find(({ name }) => name === "unified-limits")!.program);

  test("refuses every shorter and every longer piece", () => {
    for (let length = 0; length < valid.length; length += length < 200 ? 1 : 97)
      expect(() => decodeProgram(valid.subarray(0, length))).toThrow(expect.objectContaining({ code: "invalid" }));
    const longer = new Uint8Array(valid.length + 8);
    longer.set(valid);
    expect(() => decodeProgram(longer)).toThrow(expect.objectContaining({ code: "invalid" }));
  });

  test("gives a program or a typed error for bytes that were changed, and what it gives can be listed", () => {
    const random = Random.fromEnvironment("decodeProgram");
    let accepted = 0;
    for (let round = 0; round < rounds(1500); round++) {
      const bytes = Uint8Array.from(valid);
      for (let i = 1 + random.below(4); i > 0; i--) bytes[random.below(bytes.length)] = random.below(256);
      try {
        listProgram(decodeProgram(bytes));
        accepted++;
      } catch (error) {
        if (!(error instanceof LighterError) || error.code !== "invalid") throw error;
      }
    }
    expect(accepted).toBeGreaterThan(0);
  });
});

describe("the table of calls", () => {
  test("is consistent: argument numbers, fixed values, sizes", () => {
    for (const [name, call] of Object.entries(CALLS) as [string, (typeof CALLS)["mount"]][]) {
      const { args, fixed } = callOf(name as "mount");
      expect(args.length).toBeLessThanOrEqual(6);
      if (fixed) expect(args[fixed.index]).toEqual({ is: "number", show: "hex" });
      for (const kind of args) if (kind.is === "buffer") expect(args[kind.lengthIn]?.is).toBe("number");
      expect(call.nr).toMatch(/^[a-z0-9_]+$/);
    }
  });
});

describe("listProgram", () => {
  const lineOf = (op: Op) => listProgram(programOf([op])).split("\n")[2]!;
  const call = (name: (typeof CALL_NAMES)[number], args: Parameters<OpList["call"]>[1], extras = {}) => {
    const list = new OpList("host");
    list.call(name, args, "the reason", extras);
    return lineOf(list.ops[0]!);
  };

  test("names constants, slots, conditions and tolerated errors, and ends with the reason", () => {
    expect(
      call("openat", [AT_FDCWD, text("/x"), 0o2200001, 0o644], { out: "fd", tolerate: ["ENOENT"], guard: "g" }),
    ).toMatch(
      /^ {2}1 {2}openat +AT_FDCWD \/x O_WRONLY\|O_DIRECTORY\|O_CLOEXEC 0644 -> \$fd if \$g \(ENOENT is fine\) +# the reason$/,
    );
    expect(call("fsconfig", [slot("fs"), 6, 0, 0, 0], { unless: "u" })).toMatch(
      /fsconfig +\$fs FSCONFIG_CMD_CREATE NULL NULL 0 unless \$u +# the reason$/,
    );
    expect(call("setns", [slot("ns"), 0x20000000])).toContain("$ns CLONE_NEWPID");
    expect(call("prctl.PR_SET_PDEATHSIG", [9])).toContain("prctl.PR_SET_PDEATHSIG SIGKILL");
    expect(call("setgroups", [2, words([5, 6], "5,6")])).toContain("setgroups        2 {5,6}");
    expect(call("move_mount", [slot("a"), text(""), slot("b"), text(""), 0x44])).toContain(
      '$a "" $b "" F_EMPTY_PATH|T_EMPTY_PATH',
    );
    expect(call("unshare", [0x80000001])).toContain("0x80000001");
    expect(call("umask", [0])).toMatch(/umask +0 /);
  });

  test("keeps one line an op, whatever its strings hold", () => {
    const program = programOf([
      { kind: "write", dir: null, path: "/p", data: "a\nb\n", why: "w" },
      { kind: "execute", paths: ["/x"], argv: ["/x", "two\nlines"], env: ["A=\n"], why: "w" },
    ]);
    const lines = listProgram(program).split("\n");
    expect(lines.filter((line) => /^ *\d+ /.test(line))).toHaveLength(3);
    expect(lines.find((line) => line.includes("write"))).toContain('"a\\nb\\n"');
  });

  test("ends with what the supervisor does", () => {
    const supervise = {
      init: "init",
      terminal: true,
      hold: true,
      log: { path: "/log", maxBytes: 10, maxFiles: 2 },
      exitPath: "/run/exit",
      socketPath: "/run/sock",
    };
    const text = listProgram(programOf([], { supervise }));
    expect(text.slice(text.indexOf("# supervise"))).toBe(
      "# supervise\n     terminal: the fd that init sends\n     run the program when a client says START\n     log /log max 10 bytes, 2 files\n     serve /run/sock\n     exit record /run/exit\n",
    );
  });
});

describe("OpList", () => {
  test("opens paths in the root without magic links, and without any symlink if told so", () => {
    const list = new OpList("init");
    list.openInRoot("root", "a/b", 0o10000000, "fd", "why", { noSymlinks: true, tolerate: ["ENOENT"] });
    list.openInRoot("root", "a/b", 0, "fd", "why");
    const how = list.ops.map((op) => op.kind === "call" && (op.args[2] as { data: Uint8Array }).data);
    const resolve = how.map((data) => new DataView((data as Uint8Array).buffer).getBigUint64(16, true));
    expect(resolve).toEqual([0x16n, 0x12n]);
    expect(list.ops[0]).toMatchObject({ tolerate: ["ENOENT"], out: "fd" });
    expect(list.ops[0]).not.toHaveProperty("noSymlinks");
  });

  test("makes a file system in the order fsopen, parameters, create, mount; conditions hold for all of it", () => {
    const list = new OpList("init");
    list.newFilesystem("tmpfs", [{ key: "size", value: "1k" }, { key: "noswap" }], 0x1, "mount", "why", { guard: "g" });
    expect(list.ops.map((op) => (op.kind === "call" ? [op.name, op.args[1], op.guard] : []))).toEqual([
      ["fsopen", 1, "g"],
      ["fsconfig", 1, "fs.init1"],
      ["fsconfig", 0, "fs.init1"],
      ["fsconfig", 6, "fs.init1"],
      ["fsmount", 1, "fs.init1"],
    ]);
  });

  test("gives slots that no other list uses", () => {
    expect(new OpList("host").fresh("fs")).not.toBe(new OpList("init").fresh("fs"));
  });
});

test("an op has 72 bytes, and all ops lie before the relocations", () => {
  const one = encodeProgram(programOf([]));
  const two = encodeProgram(programOf([{ kind: "checkCwd", why: "" }]));
  expect(two.length - one.length).toBe(OP_BYTES);
});
