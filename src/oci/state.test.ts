import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProcessStat } from "../linux/process/process-stat.ts";
import { makeFifo } from "../linux/sys/fifo.ts";
import { createState, listIds, lockState, lockStateByForce, openState, type StateHandle, statusOf } from "./state.ts";

const CONFIG = '{"ociVersion":"1.2.0","process":{"cwd":"/","rlimits":[]},"root":{"path":"rootfs"}}  \n';
const NEW = { bundle: "/b", rootfs: "/b/rootfs", cgroupsPath: "", systemdCgroup: false, rootless: false };

let root = "";
const open: StateHandle[] = [];
beforeEach(() => {
  root = join(mkdtempSync(join(tmpdir(), "lighter-oci-state-")), "root");
});
afterEach(() => {
  for (const handle of open.splice(0)) handle[Symbol.dispose]();
  rmSync(join(root, ".."), { recursive: true });
});

function create(id = "one"): StateHandle {
  const handle = createState(root, id, NEW, Buffer.from(CONFIG));
  open.push(handle);
  return handle;
}

/** Makes this very process the container's init. */
function adopt(handle: StateHandle): void {
  handle.state.pid = process.pid;
  handle.state.pidStartTime = readProcessStat(process.pid)!.startTime;
  handle.save();
}

describe("createState", () => {
  test("makes directories that only their owner reads, with the config's very bytes", () => {
    const { directory, state } = create();
    expect(statSync(root).mode & 0o777).toBe(0o711);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(directory, "config.json"), "utf8")).toBe(CONFIG);
    expect(openState(root, "one").state).toEqual(state);
    expect(state).toMatchObject({ version: 1, id: "one", pid: 0, ...NEW });
    expect(Math.abs(Date.parse(state.created) - Date.now())).toBeLessThan(60_000);
  });

  test("refuses an id that is taken, and leaves what is there", () => {
    create();
    expect(() => create()).toThrow("container with given ID already exists");
    expect(openState(root, "one").state.id).toBe("one");
  });

  test.each(["a", "A_b+c.d-9", "..a", "-"])("takes the id %j", (id) => {
    expect(create(id).state.id).toBe(id);
    expect(listIds(root)).toEqual([id]);
  });

  test.each(["", ".", "..", "a/b", "a b", "ü", "a\n", "a\0"])("refuses the id %j", (id) => {
    expect(() => create(id)).toThrow(id === "" ? "container id cannot be empty" : "invalid container ID format");
    expect(() => openState(root, id)).toThrow(/container/);
    expect(() => lockStateByForce(root, id)).toThrow(/container/);
  });
});

test("an id may be as long as a file name, not longer", () => {
  expect(create("x".repeat(255)).state.id).toHaveLength(255);
  expect(() => create("x".repeat(256))).toThrow(/name too long/);
  expect(() => create("x".repeat(1025))).toThrow("invalid container ID format");
});

describe("openState", () => {
  test("says in runc's words that there is no such container", () => {
    for (const look of [openState, lockState]) {
      expect(() => look(root, "none")).toThrow("container does not exist");
      mkdirSync(join(root, "none"), { recursive: true }); // the state after its creator was killed at once
    }
    expect(() => openState(root, "none")).toThrow("container does not exist");
    expect(lockStateByForce(root, "none")).toBeUndefined();
    expect(listIds(root)).toEqual([]);
    expect(lockStateByForce(root, "none")).toBeUndefined();
  });

  test.each([
    ["", /state\.json: /],
    ["[]", /state\.json: the document is not an object/],
    ['{"pid":"1"}', /state\.json: pid is not an integer/],
    ['{"version":2}', /state\.json: version is 2, not in 1…1/],
    ['{"version":1,"id":"one"}', /state\.json: bundle is missing/],
    [`{"bundle":"${"x".repeat(70_000)}"}`, /larger than 65536 bytes/],
  ])("refuses a state.json that we did not write: %#", (text, message) => {
    const { directory } = create();
    writeFileSync(join(directory, "state.json"), text);
    expect(() => openState(root, "one")).toThrow(message);
  });

  test("refuses the state of another container", () => {
    const { directory, state } = create();
    writeFileSync(join(directory, "state.json"), JSON.stringify({ ...state, id: "two" }));
    expect(() => openState(root, "one")).toThrow('id is "two"');
  });

  test("reads what was saved", () => {
    const handle = create();
    adopt(handle);
    expect(openState(root, "one").state.pid).toBe(process.pid);
    expect(openState(root, "one").config.root?.path).toBe("rootfs");
  });
});

describe("the lock", () => {
  test("is held from the creation on, and one has it at a time", async () => {
    const handle = create();
    const script = `import { lockState } from "${join(import.meta.dirname, "state.ts")}";
      console.log("waiting");
      const handle = lockState(${JSON.stringify(root)}, "one");
      console.log("locked", handle.state.pid);`;
    const other = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const reader = other.stdout.getReader();
    const said = async () => Buffer.from((await reader.read()).value ?? new Uint8Array()).toString();
    expect(await said()).toBe("waiting\n");
    adopt(handle); // the next holder of the lock sees what was changed before the lock was released
    handle[Symbol.dispose]();
    expect(await said()).toBe(`locked ${process.pid}\n`);
    expect(await other.exited).toBe(0);
  });

  test("of a container that was removed meanwhile is the lock of none", async () => {
    const handle = create();
    const script = `import { lockState } from "${join(import.meta.dirname, "state.ts")}";
      console.log("waiting");
      try { lockState(${JSON.stringify(root)}, "one"); } catch (error) { console.log(error.message); }`;
    const other = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    const reader = other.stdout.getReader();
    const said = async () => Buffer.from((await reader.read()).value ?? new Uint8Array()).toString();
    expect(await said()).toBe("waiting\n");
    handle.remove();
    expect(await said()).toBe("container does not exist\n");
    await other.exited;
  });

  test("is gone when the container was removed, and with it the right to remove the next one of its name", () => {
    const handle = create();
    handle.remove();
    create();
    handle.remove();
    expect(openState(root, "one").state.id).toBe("one");
  });
});

describe("statusOf", () => {
  test("is creating while the creator lives, and stopped when it has gone", () => {
    const handle = create();
    expect(statusOf(handle)).toBe("creating");
    expect(statusOf(openState(root, "one"))).toBe("creating");
    handle[Symbol.dispose]();
    expect(statusOf(openState(root, "one"))).toBe("stopped");
  });

  test("is created while init waits at exec.fifo, then running, whether or not that was removed", () => {
    const handle = create();
    adopt(handle);
    makeFifo(handle.execFifoPath);
    const fd = openSync(handle.execFifoPath, "r+");
    expect(statusOf(handle)).toBe("created");
    closeSync(fd);
    expect(statusOf(handle)).toBe("running");
    rmSync(handle.execFifoPath);
    expect(statusOf(handle)).toBe("running");
  });

  test("is stopped if another process has the pid now", () => {
    const handle = create();
    adopt(handle);
    handle.state.pidStartTime++;
    expect(statusOf(handle)).toBe("stopped");
  });

  test("is stopped for a zombie and for a process that has gone", async () => {
    const handle = create();
    // The process's parent, the shell, has become another program, which does not wait for it.
    const parent = Bun.spawn(["sh", "-c", "sh -c 'echo $$; exec true' & exec sleep 60"], { stdout: "pipe" });
    const pid = Number(Buffer.from((await parent.stdout.getReader().read()).value ?? new Uint8Array()).toString());
    while (readProcessStat(pid)?.state !== "Z") await new Promise((resolve) => setImmediate(resolve));
    handle.state.pid = pid;
    handle.state.pidStartTime = readProcessStat(pid)!.startTime;
    expect(statusOf(handle)).toBe("stopped");
    parent.kill();
    await parent.exited;
    handle.state.pid = 2 ** 30; // above the kernel's largest pid
    expect(statusOf(handle)).toBe("stopped");
  });
});

test("listIds leaves out what is no container and a missing root", () => {
  expect(listIds(join(root, "none"))).toEqual([]);
  create("b");
  create("a");
  writeFileSync(join(root, "file"), "");
  expect(listIds(root)).toEqual(["a", "b"]);
});
