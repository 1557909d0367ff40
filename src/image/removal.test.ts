import { expect, test } from "bun:test";
import type { Digest } from "../base/ids.ts";
import { parseReference } from "./reference.ts";
import { type ImageUser, planRemovalByName } from "./removal.ts";

const digest = `sha256:${"a".repeat(64)}`;
const id = `sha256:${"b".repeat(64)}` as Digest;
const plan = (references: string[], name: string, users: ImageUser[] = []) =>
  planRemovalByName({ id, references: new Set(references) }, parseReference(name), users, false);

test("the digests of a repository go with its last tag there, and the image with its last name", () => {
  const [a1, a2, b1] = ["r:5/a:1", "r:5/a:2", "r:5/b:1"];
  const [aDigest, bDigest] = [`r:5/a@${digest}`, `r:5/b@${digest}`];
  const table: [references: string[], name: string, names: string[], deletesImage: boolean][] = [
    [[a1, aDigest], a1, [a1, aDigest], true],
    [[a1, a2, aDigest], a1, [a1], false],
    [[a1, aDigest, b1, bDigest], a1, [a1, aDigest], false],
    [[b1, bDigest, aDigest], b1, [b1, bDigest], false],
    [[a1, bDigest], a1, [a1], false],
    [[a1, aDigest, b1], aDigest, [aDigest], false],
    [[aDigest], aDigest, [aDigest], true],
  ];
  for (const [references, name, names, deletesImage] of table)
    expect([name, plan(references, name)]).toEqual([name, { names, deletesImage }]);
});

test("a name that is not the last one goes although a container uses the image", () => {
  const users = [{ containerId: "c".repeat(64), imageId: id, isRunning: true }];
  expect(plan(["r:5/a:1", "r:5/b:1"], "r:5/a:1", users)).toEqual({ names: ["r:5/a:1"], deletesImage: false });
  expect(() => plan(["r:5/a:1"], "r:5/a:1", users)).toThrow("must force");
});
