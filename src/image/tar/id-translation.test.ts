import { expect, test } from "bun:test";
import { entryForContainer, entryForHost, type IdTranslations } from "./id-translation.ts";

const ids: IdTranslations = {
  toHost: { uid: (id) => id + 1000, gid: (id) => id + 2000 },
  toContainer: { uid: (id) => id - 1000, gid: (id) => id - 2000 },
};

const bytes = (...words: [size: 16 | 32, value: number][]) => {
  const buffer = Buffer.alloc(words.reduce((sum, [size]) => sum + size / 8, 0));
  let at = 0;
  for (const [size, value] of words)
    at = size === 16 ? buffer.writeUInt16LE(value, at) : buffer.writeUInt32LE(value, at);
  return new Uint8Array(buffer);
};

/** An ACL of version 2: the owner, a user, a group, the mask. */
const acl = (user: number, group: number) =>
  bytes(
    [32, 2],
    [16, 1],
    [16, 7],
    [32, 0xffffffff],
    [16, 2],
    [16, 6],
    [32, user],
    [16, 8],
    [16, 4],
    [32, group],
    [16, 16],
    [16, 7],
    [32, 0xffffffff],
  );
const capability = (root?: number) =>
  bytes(
    [32, root === undefined ? 0x02000001 : 0x03000001],
    [32, 0x2000],
    [32, 0],
    [32, 0],
    [32, 0],
    ...(root === undefined ? [] : [[32, root] as [32, number]]),
  );

const entry = (uid: number, gid: number, user: number, group: number, root?: number) => ({
  uid,
  gid,
  xattrs: [
    { name: "system.posix_acl_access", value: acl(user, group) },
    { name: "security.capability", value: capability(root) },
    { name: "user.note", value: acl(user, group) },
  ],
});

test("owner, access lists and capabilities of a file are the container's in a tar and the host's on the host", () => {
  const inside = entry(1, 2, 33, 44);
  const outside = entry(1001, 2002, 1033, 2044, 1000);
  outside.xattrs[2] = inside.xattrs[2]!; // this one has no ids
  expect(entryForHost(inside, ids)).toEqual(outside);
  expect(entryForContainer(outside, ids)).toEqual(inside);
});

test("capabilities for another root stay what they are", () => {
  const outside = { uid: 1000, gid: 2000, xattrs: [{ name: "security.capability", value: capability(7) }] };
  expect(entryForContainer(outside, ids).xattrs).toEqual(outside.xattrs);
});

test("what is malformed is left to the kernel", () => {
  for (const name of ["system.posix_acl_default", "security.capability"])
    for (let length = 0; length < 30; length++) {
      const xattrs = [{ name, value: new Uint8Array(length).fill(0xaa) }];
      expect(entryForHost({ uid: 0, gid: 0, xattrs }, ids).xattrs).toEqual(xattrs);
      expect(entryForContainer({ uid: 1000, gid: 2000, xattrs }, ids).xattrs).toEqual(xattrs);
    }
});
