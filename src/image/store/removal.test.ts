import { describe, expect, test } from "bun:test";
import type { Digest } from "../../base/ids.ts";
import { planRemovalByName } from "./removal.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const image = (...references: string[]) => ({
  id: DIGEST as Digest,
  references: new Set(references),
  hasChildren: false,
});
const plan = (of: ReturnType<typeof image>, name: string) => planRemovalByName(of, name, [], false);

describe("planRemovalByName", () => {
  test("a repository's last tag takes the digests there along, and leaves what other repositories have", () => {
    const both = image("host:5000/a:1", `host:5000/a@${DIGEST}`, "docker.io/library/b:1", `host:5000/c@${DIGEST}`);
    expect(plan(both, "host:5000/a:1")).toEqual({
      names: ["host:5000/a:1", `host:5000/a@${DIGEST}`],
      deletesImage: false,
    });
  });

  test("the name is refused as it was given", () => {
    const user = { containerId: "0".repeat(64), imageId: DIGEST, isRunning: false };
    expect(() => planRemovalByName(image("docker.io/library/a:latest"), "a", [user], false)).toThrow(
      'unable to remove repository reference "a" (must force)',
    );
  });

  test("one of two tags of a repository goes alone", () => {
    const two = image("host:5000/a:1", "host:5000/a:2", `host:5000/a@${DIGEST}`);
    expect(plan(two, "host:5000/a:1")).toEqual({ names: ["host:5000/a:1"], deletesImage: false });
  });

  test("a digest goes alone while a tag is left elsewhere", () => {
    const mixed = image(`host:5000/a@${DIGEST}`, "docker.io/library/b:1");
    expect(plan(mixed, `host:5000/a@${DIGEST}`)).toEqual({ names: [`host:5000/a@${DIGEST}`], deletesImage: false });
  });

  test("the last tag and its digests take the image along", () => {
    const one = image("host:5000/a:1", `host:5000/a@${DIGEST}`);
    expect(plan(one, "host:5000/a:1")).toEqual({
      names: ["host:5000/a:1", `host:5000/a@${DIGEST}`],
      deletesImage: true,
    });
  });
});
