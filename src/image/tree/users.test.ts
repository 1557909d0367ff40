import { expect, test } from "bun:test";
import { resolveGroup, resolveUser } from "./users.ts";

const passwd = `# comment
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
1234:x:77:77::/home/digits:
broken:x:99999999999999999999999x:5::/:
nogid:x:5::::
huge:x:2147483648:5::/:
`;
const group = `root:x:0:
app:x:1001:
wheel:x:10:root,app
audio:x:29:app
docker:x:999:other
`;

function resolve(user: string) {
  const { uid, gid, additionalGids, home } = resolveUser(passwd, group, user);
  return [uid, gid, additionalGids, home];
}

test("names, numbers and their mixtures resolve by Docker's rules", () => {
  expect(resolve("")).toEqual([0, 0, [0, 10], "/root"]);
  expect(resolve("root")).toEqual([0, 0, [0, 10], "/root"]);
  expect(resolve("app")).toEqual([1000, 1001, [1001, 10, 29], "/home/app"]);
  expect(resolve("1000")).toEqual([1000, 1001, [1001, 10, 29], "/home/app"]);
  expect(resolve("1000:")).toEqual([1000, 1001, [1001, 10, 29], "/home/app"]);
  expect(resolve("app:audio")).toEqual([1000, 29, [29], "/home/app"]);
  expect(resolve("app:4242")).toEqual([1000, 4242, [4242], "/home/app"]);
  expect(resolve(":5")).toEqual([0, 5, [5], "/root"]);
  expect(resolve("4000")).toEqual([4000, 0, [0], "/"]);
  expect(resolve("2147483647:2147483647")).toEqual([2147483647, 2147483647, [2147483647], "/"]);
});

test("a number is a uid even where a user is named so", () => {
  expect(resolve("1234")).toEqual([1234, 0, [0], "/"]);
});

test("images without passwd and group files take numbers only", () => {
  expect(resolveUser("", "", "1000:1000")).toEqual({ uid: 1000, gid: 1000, additionalGids: [1000], home: "/" });
  expect(resolveUser("", "", "")).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: "/" });
  expect(() => resolveUser("", "", "app")).toThrow("unable to find user app: no matching entries in passwd file");
});

test("unknown names are refused in Docker's words", () => {
  expect(() => resolve("nobody")).toThrow("unable to find user nobody: no matching entries in passwd file");
  expect(() => resolve("0x10")).toThrow("unable to find user 0x10: no matching entries in passwd file");
  expect(() => resolve("app:nogroup")).toThrow("unable to find group nogroup: no matching entries in group file");
});

test("a passwd line with a malformed id is nobody, never root", () => {
  expect(() => resolve("broken")).toThrow("unable to find user broken");
  expect(() => resolve("nogid")).toThrow("unable to find user nogid");
});

test("ids above 2^31-1 and negative ones are refused, wherever they come from", () => {
  const message = "uids and gids must be in range 0-2147483647";
  for (const user of ["2147483648", "4294967296", "-1", "99999999999999999999", "0:2147483648", "0:-1", "huge"])
    expect(() => resolve(user)).toThrow(message);
  expect(resolveGroup(group, "audio")).toBe(29);
  expect(() => resolveGroup(group, "4294967296")).toThrow(message);
});
