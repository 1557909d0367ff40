import { expect, test } from "bun:test";
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * The map: who may import whom. Arrows go right only; siblings meet in `engine`.
 * cli, dashboard --HTTP--> api, cri --> engine --> runtime image build network volume machine --> linux, spec --> base
 *                                       oci --> runtime
 * What walks, copies and removes files in processes of its own is below those who have such files: image, engine --> files.
 */
const below = ["linux", "spec", "base", "embedded"];
const mayImport: Record<string, readonly string[]> = {
  main: ["api", "cli", "oci", "image", "engine"],
  small: ["cli", "oci", "needs-bun", "shims"],
  "needs-bun": ["cli", "shims"],
  shims: ["linux", "base"],
  cli: ["spec", "base"],
  dashboard: ["spec", "base"],
  api: ["engine", "cri", "grpc", "spec", "base"],
  cri: ["engine", "network", "grpc", "spec", "base"],
  grpc: ["spec", "base"],
  oci: ["runtime", ...below],
  engine: ["runtime", "image", "build", "network", "volume", "machine", "files", ...below],
  runtime: below,
  image: ["files", ...below],
  files: ["linux", "spec", "base"],
  build: below,
  network: below,
  volume: below,
  machine: below,
  linux: ["base", "embedded"],
  spec: ["base"],
  base: [],
  embedded: [],
};

const root = join(import.meta.dirname, "..");

interface Import {
  file: string;
  specifier: string;
  typeOnly: boolean;
}

/** Static and dynamic imports and re-exports of one file. */
function importsOf(file: string, source: string): Import[] {
  const found = source.matchAll(
    /\b(?:import|export)\s+(type\s)?[\w\s{},*$]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g,
  );
  return [...found].map(([, type, from, bare]) => ({
    file,
    specifier: from ?? bare ?? "",
    typeOnly: type !== undefined,
  }));
}

/** "src/linux/sys/ffi.ts" is in "linux"; "src/main.ts" in "main". */
function layerOf(path: string): string {
  return (path.split("/")[1] ?? "").replace(/\.ts$/, "");
}

const TAR_CODEC = new Set([
  ...["tar-reader", "tar-writer", "id-translation", "compression"].map((name) => `src/image/tar/${name}.ts`),
  "src/linux/sys/fs.ts",
]);

/** The calls by which `cp` and the daemon hand files to each other. */
const FILES_HANDED_OVER = new Set(
  ["passed-fds", "send-file", "stream-bytes", "unix-socket"].map((name) => `src/linux/sys/${name}.ts`),
);

/** Why the import breaks the map, or undefined. */
function complaint({ file, specifier, typeOnly }: Import): string | undefined {
  if (specifier === "bun:ffi" && !file.startsWith("src/linux/sys/")) return "bun:ffi belongs in src/linux/sys/";
  if (!specifier.startsWith(".")) return undefined;
  const target = join(dirname(file), specifier);
  if (layerOf(file) === "embedded" && target.startsWith("dist/")) return undefined;
  if (!target.startsWith("src/")) return "leaves src/";
  const from = layerOf(file);
  const to = layerOf(target);
  const allowed = mayImport[from];
  if (allowed === undefined) return `"${from}" is not on the map`;
  // The standards' shapes for seccomp and devices are the kernel parts' input too; a type brings no code along.
  if (from === "linux" && to === "spec" && typeOnly) return undefined;
  // Raw mode and window sizes need ioctl(2), and FFI is in linux/sys/ only.
  if (from === "cli" && target === "src/linux/sys/tty.ts") return undefined;
  // To import node:fs for a few lines of output takes a tenth of a command's time.
  if (from === "cli" && target === "src/linux/sys/output-fd.ts") return undefined;
  // What waits for its reader in the kernel is setsockopt(2)'s to say.
  if (from === "cli" && target === "src/linux/sys/socket-buffers.ts") return undefined;
  // `cp` and `machine import` read and write tar archives: the codec, and file system calls by directory fd.
  if (from === "cli" && (TAR_CODEC.has(target) || FILES_HANDED_OVER.has(target))) return undefined;
  if (from !== to && !allowed.includes(to)) return `${from} must not import ${to}`;
  return undefined;
}

const files = globSync("src/**/*.{ts,tsx}", { cwd: root }).filter((path) => !/\.(test|d)\.ts$/.test(path));
const sources = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));

test("every import follows the arrows between the layers", () => {
  expect(files.length).toBeGreaterThan(0);
  const broken: string[] = [];
  for (const [file, source] of sources)
    for (const found of importsOf(file, source)) {
      const why = complaint(found);
      if (why !== undefined) broken.push(`${file} imports "${found.specifier}": ${why}`);
    }
  expect(broken).toEqual([]);
});

/** A way along imports that comes back to where it began, or undefined. Types do not count: nothing runs because of them. */
function findCircle(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const target of imports.get(file) ?? []) {
      const circle = visit(target);
      if (circle !== undefined) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = visit(file);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

test("no file imports itself by way of others", () => {
  const targets = (file: string, source: string) =>
    importsOf(file, source)
      .filter(({ specifier, typeOnly }) => specifier.startsWith(".") && !typeOnly)
      .map(({ specifier }) => join(dirname(file), specifier));
  expect(findCircle(new Map([...sources].map(([file, source]) => [file, targets(file, source)])))).toBeUndefined();
  const circle = { a: ["b"], b: ["d", "c"], c: ["a"], d: [] };
  expect(findCircle(new Map(Object.entries(circle)))).toEqual(["a", "b", "c", "a"]);
});

test("Bun.spawn is used in src/linux/process/ only", () => {
  const broken = [...sources].filter(
    ([file, source]) => /\bBun\.spawn(Sync)?\(/.test(source) && !file.startsWith("src/linux/process/"),
  );
  expect(broken.map(([file]) => file)).toEqual([]);
});

test("no file under src has a top-level await, which bytecode cannot hold", () => {
  const broken = [...sources].filter(([, source]) => /^(await|(const|let)[^=;]*=\s*await)\b/m.test(source));
  expect(broken.map(([file]) => file)).toEqual([]);
});

test("the map itself: breaks are found and what follows the arrows is not", () => {
  const why = (file: string, specifier: string, typeOnly = false): string | undefined =>
    complaint({ file, specifier, typeOnly });
  expect(why("src/cli/run.ts", "../engine/mod.ts")).toBe("cli must not import engine");
  expect(why("src/runtime/a.ts", "../image/mod.ts")).toBe("runtime must not import image");
  expect(why("src/base/a.ts", "../spec/b.ts")).toBe("base must not import spec");
  expect(why("src/engine/a.ts", "bun:ffi")).toBe("bun:ffi belongs in src/linux/sys/");
  expect(why("src/cli/a.ts", "../linux/sys/door.ts")).toBe("cli must not import linux");
  expect(why("src/cli/a.ts", "../linux/sys/tty.ts")).toBeUndefined();
  expect(why("src/pets/a.ts", "../base/b.ts")).toBe('"pets" is not on the map');
  expect(why("src/api/a.ts", "../../tests/b.ts")).toBe("leaves src/");
  expect(why("src/linux/a.ts", "../spec/b.ts")).toBe("linux must not import spec");
  expect(why("src/linux/a.ts", "../spec/b.ts", true)).toBeUndefined();
  expect(why("src/linux/sys/a.ts", "bun:ffi")).toBeUndefined();
  expect(why("src/engine/deep/a.ts", "../../linux/program/mod.ts")).toBeUndefined();
});

test("imports are found in every form", () => {
  const source = [
    'import { a,\n  b as c } from "./1.ts";',
    'import type { D } from "./2.ts";',
    'import * as e from "./3.ts";',
    'import "./4.ts";',
    'export type { F } from "./5.ts";',
    'export * from "./6.ts";',
    'const g = await import("./7.ts");',
  ].join("\n");
  const found = importsOf("a.ts", source);
  expect(found.map(({ specifier }) => specifier)).toEqual([1, 2, 3, 4, 5, 6, 7].map((number) => `./${number}.ts`));
  expect(found.map(({ typeOnly }) => typeOnly)).toEqual([false, true, false, false, true, false, false]);
});
