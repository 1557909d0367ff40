import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import type { Digest } from "../../src/base/ids.ts";
import { findLegacyImages } from "../../src/image/archive/load-legacy.ts";
import { resolveUser } from "../../src/image/tree/users.ts";
import { formatReference, parseReference } from "../../src/spec/image-reference.ts";
import { parseDockerArchive, parseImageDocument, parseIndex, parseManifest } from "../../src/spec/oci-image.ts";
import { imageDocument, ociLayout } from "../support/image-archive.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 1000);

const VALUES: unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e300,
  "",
  "x",
  "sha256:..",
  [],
  [null],
  {},
  { a: 1 },
  [[]],
  "\u0000",
  ["a", 1],
];

/** The document with one value somewhere replaced, removed or added. */
function mutate(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || random.below(5) === 0) return random.pick(VALUES);
  if (Array.isArray(value)) {
    if (value.length === 0) return [random.pick(VALUES)];
    const index = random.below(value.length);
    return value.map((element, i) => (i === index ? mutate(random, element) : element));
  }
  const keys = Object.keys(value);
  if (keys.length === 0 || random.below(8) === 0)
    return { ...value, [random.pick(["__proto__", "config", "x"])]: random.pick(VALUES) };
  const key = random.pick(keys);
  return { ...value, [key]: mutate(random, (value as Record<string, unknown>)[key]) };
}

function text(random: Random, document: unknown): string {
  const json = JSON.stringify(document) ?? "";
  if (random.below(4) !== 0 || json === "") return json;
  const at = random.below(json.length);
  return json.slice(0, at) + random.pick(["", "{", '"', "\\u0000", "1e999", "]"]) + json.slice(at + random.below(3));
}

/** Runs `parse` until the budget is used up: it accepts or refuses with a LighterError that says something. */
function fuzz(what: string, budgetMs: number, parse: (random: Random) => unknown): void {
  const random = Random.fromEnvironment(what);
  const end = performance.now() + budgetMs;
  let [accepted, refused] = [0, 0];
  while (performance.now() < end) {
    try {
      parse(random);
      accepted++;
    } catch (error) {
      if (!(error instanceof LighterError)) throw error;
      expect(["invalid", "not-supported"]).toContain(error.code);
      expect(error.message).not.toBe("");
      refused++;
    }
  }
  expect(accepted).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
}

test(
  "image documents, manifests, indexes and manifest.json are parsed or refused, whatever they hold",
  () => {
    const health = { Test: ["CMD", "x"], Interval: 5 };
    const config = { Env: ["A=b"], Cmd: ["x"], Labels: { a: "b" }, ExposedPorts: { "1/tcp": {} }, Healthcheck: health };
    const document = imageDocument([Buffer.from("x")], config);
    const files = ociLayout({ layers: [Buffer.from("x")] });
    const json = [...files.values()].map((bytes) => bytes.toString()).filter((content) => content.startsWith("{"));
    const index = JSON.parse(files.get("index.json")!.toString());
    const manifest = JSON.parse(json.find((content) => content.includes('"layers":[{'))!);
    const archive = [{ Config: "c", RepoTags: ["a:b"], Layers: ["l"] }];
    fuzz("image-json", BUDGET_MS, (random) => {
      const choice = random.below(4);
      if (choice === 0) {
        const parsed = parseImageDocument(text(random, mutate(random, document)), "d");
        for (const list of [parsed.config.Env, parsed.config.Cmd])
          expect(list === undefined || list.every((element) => typeof element === "string")).toBe(true);
        for (const id of parsed.rootfs.diff_ids) expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
      } else if (choice === 1) parseManifest(text(random, mutate(random, manifest)), "m");
      else if (choice === 2) parseIndex(text(random, mutate(random, index)), "i");
      else parseDockerArchive(text(random, mutate(random, archive)), "a");
    });
  },
  BUDGET_MS + 20_000,
);

test(
  "references and users are resolved or refused, whatever they are",
  () => {
    const pieces = [
      "a",
      "A",
      "0",
      "/",
      ":",
      "@",
      ".",
      "-",
      "_",
      "sha256",
      "localhost",
      "docker.io",
      "f".repeat(64),
      "[::1]",
      " ",
      "\n",
      "é",
      "99999999999",
    ];
    const join = (random: Random): string =>
      Array.from({ length: random.below(7) }, () => random.pick(pieces)).join("");
    fuzz("image-references", BUDGET_MS / 2, (random) => {
      const reference = parseReference(join(random));
      expect(reference.path).toMatch(/^[a-z0-9._/-]+$/);
      expect(reference.path).not.toContain("..");
      expect(parseReference(formatReference(reference))).toEqual(reference);
    });
    const lines = (random: Random): string =>
      Array.from({ length: random.below(4) }, () =>
        Array.from({ length: random.below(8) }, () => join(random)).join(":"),
      ).join("\n");
    fuzz("image-users", BUDGET_MS / 2, (random) => {
      const { uid, gid, additionalGids } = resolveUser(lines(random), lines(random), join(random));
      for (const id of [uid, gid, ...additionalGids])
        expect(Number.isInteger(id) && id >= 0 && id < 2 ** 31).toBe(true);
    });
  },
  BUDGET_MS + 20_000,
);

test(
  "repositories and the configs of the oldest archives are images or are refused, whatever they hold",
  async () => {
    const [base, top] = ["a", "b"].map((digit) => digit.repeat(64));
    const created = "2015-06-01T02:03:04.5Z";
    const config = { created, os: "linux", architecture: "amd64", container_config: { Cmd: ["x"] }, config: {} };
    const documents: Record<string, unknown> = {
      repositories: { old: { "1": top, "2": base } },
      [`${base}/json`]: { id: base, ...config },
      [`${top}/json`]: { id: top, parent: base, ...config },
    };
    const random = Random.fromEnvironment("image-legacy");
    const end = performance.now() + BUDGET_MS;
    let [accepted, refused] = [0, 0];
    while (performance.now() < end) {
      const changed = random.pick(Object.keys(documents));
      const read = (name: string): Buffer | undefined => {
        const document = documents[name];
        return document === undefined
          ? undefined
          : Buffer.from(name === changed ? text(random, mutate(random, document)) : JSON.stringify(document));
      };
      const file = { path: "", digest: `sha256:${"0".repeat(64)}` as Digest, sizeBytes: 1 };
      const files = { readDocument: async (name: string) => read(name), ingest: async () => file };
      try {
        for (const { document, layers } of await findLegacyImages(files, read("repositories")!))
          expect(document.rootfs.diff_ids).toHaveLength(layers.length);
        accepted++;
      } catch (error) {
        if (!(error instanceof LighterError)) throw error;
        refused++;
      }
    }
    expect(accepted).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  },
  BUDGET_MS + 20_000,
);
