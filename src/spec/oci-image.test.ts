import { expect, test } from "bun:test";
import { LighterError } from "../base/errors.ts";
import { parseDigest, parseDockerArchive, parseImageDocument, parseIndex, parseManifest } from "./oci-image.ts";

const digest = `sha256:${"ab".repeat(32)}`;

function failure(run: () => unknown): LighterError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(LighterError);
    return error as LighterError;
  }
  throw new Error("accepted");
}

test("a config keeps what is known, and unknown fields and nulls do no harm", () => {
  const document = parseImageDocument(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      future: { x: 1 },
      config: {
        Env: ["A=b"],
        Entrypoint: null,
        Cmd: "/bin/sh",
        ExposedPorts: { "80/tcp": {} },
        Volumes: { "/data": {} },
        Labels: { a: "b" },
        Healthcheck: { Test: ["CMD", "x"], Interval: 1e9 },
        NewThing: true,
      },
      rootfs: { type: "layers", diff_ids: [digest] },
    }),
    "config",
  );
  expect(document.config as object).toEqual({
    Env: ["A=b"],
    Cmd: ["/bin/sh"],
    ExposedPorts: { "80/tcp": {} },
    Volumes: { "/data": {} },
    Labels: { a: "b" },
    Healthcheck: { Test: ["CMD", "x"], Interval: 1e9 },
  });
  expect(document.rootfs.diff_ids as string[]).toEqual([digest]);
});

test("a known field of the wrong type is refused by its path", () => {
  const config = (value: object): string => JSON.stringify({ rootfs: { diff_ids: [] }, config: value });
  const cases: [object, string][] = [
    [{ Env: "A=b" }, "c.config.Env is not an array"],
    [{ Env: [1] }, "c.config.Env is not an array of strings"],
    [{ User: 5 }, "c.config.User is not a string"],
    [{ Labels: { a: 1 } }, "c.config.Labels is not a map of strings"],
    [{ Labels: [] }, "c.config.Labels is not an object"],
    [{ Healthcheck: { Interval: 1.5 } }, "c.config.Healthcheck.Interval is not an integer"],
  ];
  for (const [value, message] of cases)
    expect(failure(() => parseImageDocument(config(value), "c")).message).toBe(message);
  expect(failure(() => parseImageDocument("{}", "c")).message).toBe("c.rootfs is not an object");
  expect(failure(() => parseImageDocument("[]", "c")).message).toBe("c is not an object");
  expect(failure(() => parseImageDocument("", "c")).message).toBe("c is not JSON");
});

test("__proto__ is a field like any other", () => {
  const document = parseImageDocument(
    '{"rootfs":{"diff_ids":[]},"config":{"__proto__":{"User":"root"},"Labels":{"__proto__":"x"}}}',
    "c",
  );
  expect(document.config.User).toBeUndefined();
  expect(Object.keys(document.config.Labels!)).toEqual(["__proto__"]);
  expect(({} as Record<string, unknown>).User).toBeUndefined();
});

test("manifests and indexes want schema version 2, sound descriptors and at most 127 layers", () => {
  const descriptor = { mediaType: "m", digest, size: 3 };
  const manifest = (layers: unknown[]): string => JSON.stringify({ schemaVersion: 2, config: descriptor, layers });
  expect(parseManifest(manifest([descriptor]), "m").layers.length).toBe(1);
  expect(failure(() => parseManifest(manifest(Array(128).fill(descriptor)), "m")).message).toContain("limit of 127");
  expect(failure(() => parseManifest('{"schemaVersion":1}', "m")).code).toBe("not-supported");
  expect(failure(() => parseManifest(manifest([{ ...descriptor, size: -1 }]), "m")).message).toContain("size");
  expect(failure(() => parseManifest(manifest([{ ...descriptor, digest: "sha256:x" }]), "m")).message).toContain(
    "digest",
  );
  expect(parseIndex('{"schemaVersion":2,"manifests":null}', "i").manifests).toEqual([]);
  expect(failure(() => parseDigest(`sha512:${"a".repeat(128)}`, "d")).code).toBe("not-supported");
  expect(failure(() => parseDigest("sha256:../../../etc/passwd", "d")).code).toBe("invalid");
});

test("deeply nested JSON is refused, not a crash", () => {
  const nested = "[".repeat(1_000_000) + "]".repeat(1_000_000);
  expect(failure(() => parseDockerArchive(nested, "manifest.json")).code).toBe("invalid");
});
