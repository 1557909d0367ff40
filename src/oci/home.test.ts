import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homeOf, withHome } from "./home.ts";

const root = mkdtempSync(join(tmpdir(), "lighter-home-"));
const passwd = join(root, "etc/passwd");
mkdirSync(join(root, "etc"));
writeFileSync(passwd, "root:x:0:0:root:/root:/bin/sh\n");
afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ["a:x:7:7::/home/a:", 7, "/home/a"],
  ["a:x:7:7:::", 7, "/"],
  ["a:x::7::/home/a:\nb:x:0x7:7::/b:", 7, "/"],
  ["", 0, "/"],
  ["a:x:07:7::/home/a:\nb:x:7:7::/home/b:", 7, "/home/a"],
])("homeOf(%j, %d) is %j", (text, uid, home) => expect(homeOf(text, uid)).toBe(home));

describe("withHome", () => {
  const process = { cwd: "/", user: { uid: 0, gid: 0 }, env: ["A=1"] };

  test("adds the home of the container's own user", async () =>
    expect((await withHome(process, root)).env).toEqual(["A=1", "HOME=/root"]));

  test("keeps one that is given, and replaces an empty one", async () => {
    expect((await withHome({ ...process, env: ["HOME=/x"] }, root)).env).toEqual(["HOME=/x"]);
    expect((await withHome({ ...process, env: ["HOME=", "A=1"] }, root)).env).toEqual(["A=1", "HOME=/root"]);
  });

  test("reads the file that is to be mounted over it", async () => {
    const source = join(root, "other");
    writeFileSync(source, "root:x:0:0:root:/other:/bin/sh\n");
    const mounts = [{ destination: "/etc/passwd", source, type: "bind" }];
    expect((await withHome(process, root, mounts)).env).toContain("HOME=/other");
  });

  test("follows links within the root only, and waits for no FIFO", async () => {
    unlinkSync(passwd);
    symlinkSync("/../../etc/passwd", passwd); // points to itself when seen from within
    expect((await withHome(process, root)).env).toContain("HOME=/");
    unlinkSync(passwd);
    expect(Bun.spawnSync(["mkfifo", passwd]).exitCode).toBe(0);
    expect((await withHome(process, root)).env).toContain("HOME=/");
  });
});
