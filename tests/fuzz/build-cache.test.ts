/** Caches of builds that somebody else has written: they are read or refused, whatever they hold. */

import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { LighterError } from "../../src/base/errors.ts";
import type { Digest } from "../../src/base/ids.ts";
import { IMAGE_MAX_LAYERS } from "../../src/base/limits.ts";
import { type CachePlace, readCache } from "../../src/engine/mod.ts";
import { HOST_PLATFORM } from "../../src/spec/platform.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);
const VALUES = [
  null,
  0,
  -1,
  -2,
  1,
  1.5,
  1e300,
  "",
  "x",
  [],
  [null],
  {},
  [[0]],
  [{ link: 7 }],
  { layer: 9 },
  "sha256:".padEnd(71, "a"),
];

function mutate(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return random.pick(VALUES);
  const keys = Object.keys(value);
  if (keys.length === 0) return random.pick(VALUES);
  const key = random.pick(keys);
  const changed = mutate(random, (value as Record<string, unknown>)[key]);
  return Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed };
}

const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
const layer = (name: string) => ({
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: digestOf(name),
  size: 1,
  annotations: { "containerd.io/uncompressed": digestOf(`tar of ${name}`) },
});
const layers = ["a", "b", "c"].map(layer);
const records = [
  { digest: digestOf("base"), layers: [{ layer: 0, createdAt: "2026-01-01T00:00:00Z" }] },
  { digest: digestOf("step"), layers: [{ layer: 2 }], inputs: [[{ link: 0 }], [{ selector: "/a", link: 1 }]] },
  { digest: digestOf("chained"), chains: [{ layers: [0, 1], createdAt: "" }] },
];
const config = { layers: layers.map(({ digest }, index) => ({ blob: digest, parent: index - 1 })), records };

/** A place with these documents, whose digests are nobody's business here. */
function placeOf(manifest: object, mediaType: string, document: string): CachePlace {
  return {
    manifest: async () => ({ mediaType, bytes: Buffer.from(JSON.stringify(manifest) ?? "") }),
    document: async () => Buffer.from(document),
    layer: () => ({ read: async function* () {} }),
  };
}

const descriptor = { mediaType: "application/vnd.buildkit.cacheconfig.v0", digest: digestOf("config"), size: 9 };
const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const forms = {
  index: { manifest: { schemaVersion: 2, manifests: [...layers, descriptor] }, mediaType: INDEX, document: config },
  image: { manifest: { schemaVersion: 2, config: descriptor, layers }, mediaType: MANIFEST, document: config },
  inline: {
    manifest: {
      schemaVersion: 2,
      config: { ...descriptor, mediaType: "application/vnd.oci.image.config.v1+json" },
      layers,
    },
    mediaType: MANIFEST,
    document: {
      ...{
        architecture: "amd64",
        os: "linux",
        rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
      },
      "moby.buildkit.cache.v0": Buffer.from(JSON.stringify(records)).toString("base64"),
    },
  },
};

test("each form of a cache gives the steps that have layers, with all below them", async () => {
  for (const [name, { manifest, mediaType, document }] of Object.entries(forms)) {
    const steps = await readCache(placeOf(manifest, mediaType, JSON.stringify(document)), [HOST_PLATFORM]);
    const lengths = Object.fromEntries([...steps].map(([key, step]) => [key, step.layers.length]));
    const chained = name === "inline" ? { [digestOf("chained")]: 2 } : {};
    expect(lengths).toEqual({ [digestOf("base")]: 1, [digestOf("step")]: 3, ...chained });
  }
});

test("layers that are below themselves, or more than an image may have, are refused", async () => {
  const refusal = (broken: object) =>
    readCache(placeOf(forms.index.manifest, INDEX, JSON.stringify(broken)), [HOST_PLATFORM]).then(
      () => "",
      (error: Error) => error.message,
    );
  const circle = [0, 1].map((index) => ({ blob: layers[index]!.digest, parent: 1 - index }));
  expect(await refusal({ layers: circle, records })).toContain(`over more than ${IMAGE_MAX_LAYERS} others`);
  expect(await refusal({ layers: [], records })).toContain("the cache has no layer 0");
});

test("caches are read or refused, whatever they hold", async () => {
  const random = Random.fromEnvironment("caches of builds");
  const end = performance.now() + BUDGET_MS;
  let [read, refused] = [0, 0];
  while (performance.now() < end || read === 0 || refused === 0) {
    const { manifest, mediaType, document } = forms[random.pick(Object.keys(forms) as (keyof typeof forms)[])];
    const [inside, outside] =
      random.below(2) === 0 ? [mutate(random, document), manifest] : [document, mutate(random, manifest)];
    let text = JSON.stringify(inside) ?? "";
    if (random.below(4) === 0) text = text.slice(0, random.below(text.length + 1));
    try {
      const steps = await readCache(placeOf(outside as object, mediaType, text), [HOST_PLATFORM]);
      for (const step of steps.values()) expect(step.layers.length).toBeLessThanOrEqual(IMAGE_MAX_LAYERS);
      read++;
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      expect(["invalid", "not-found", "not-supported"]).toContain(error.code);
      refused++;
    }
  }
});
