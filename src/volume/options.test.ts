import { expect, test } from "bun:test";
import { checkVolumeName, filesystemOf, hostNameOf, parseVolumeOptions, withAddress } from "./mod.ts";

/** Options that Docker 26 refuses, with its errors. */
const REFUSED: readonly (readonly [Record<string, string>, string])[] = [
  [{ foo: "bar" }, 'create bb: invalid option: "foo"'],
  [{ type: "tmpfs" }, 'create bb: missing required option: "device"'],
  [{ device: "tmpfs" }, 'create bb: missing required option: "type"'],
  [{ o: "bind" }, 'create bb: missing required option: "device"'],
  [{ size: "10m" }, "create bb: quota size requested but no quota support"],
];

for (const [options, message] of REFUSED)
  test(`parseVolumeOptions refuses ${JSON.stringify(options)} as Docker does`, () => {
    expect(() => parseVolumeOptions("bb", options)).toThrow(message);
  });

test("parseVolumeOptions takes empty options, and those of a file system", () => {
  parseVolumeOptions("bb", { type: "", device: "", o: "" });
  parseVolumeOptions("bb", { type: "tmpfs", device: "tmpfs", o: "size=1m,uid=1000" });
});

test("filesystemOf tells a plain volume, a bound directory and a file system apart", () => {
  expect(filesystemOf({})).toBeUndefined();
  expect(filesystemOf({ type: "", device: "", o: "" })).toBeUndefined();
  expect(filesystemOf({ type: "none", device: "/srv", o: "bind,ro" })).toEqual({
    kind: "bind",
    source: "/srv",
    options: ["bind", "ro"],
  });
  expect(filesystemOf({ type: "tmpfs", device: "tmpfs", o: "size=1m" })).toEqual({
    kind: "filesystem",
    type: "tmpfs",
    device: "tmpfs",
    options: ["size=1m"],
  });
});

test("checkVolumeName refuses what is no single harmless path component", () => {
  for (const name of ["a", "", "..", "../x", "a/b", ".ab", "-ab", "a b", "a".repeat(256)])
    expect(() => checkVolumeName(name)).toThrow("volume name");
  for (const name of ["aa", "a.b_c-d", "0".repeat(64), "a".repeat(255)]) checkVolumeName(name);
});

test("an NFS server's name is found, and replaced by its address", () => {
  const nfs = { type: "nfs", device: ":/export", o: "addr=server.test,rw,nfsvers=4" };
  expect(hostNameOf(nfs)).toBe("server.test");
  expect(withAddress(nfs, "192.0.2.1")).toEqual({ ...nfs, o: "addr=192.0.2.1,rw,nfsvers=4" });
  for (const o of ["addr=192.0.2.1", "addr=2001:db8::1", "addr=", "rw", ""])
    expect(hostNameOf({ ...nfs, o })).toBeUndefined();
  expect(hostNameOf({ type: "none", device: "/srv", o: "bind,addr=server.test" })).toBeUndefined();
});
