/** What keeps the house in order, and no compiler sees: lengths, columns, leftovers, names of files that are gone. */
import { expect, test } from "bun:test";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const FUNCTION_MAX_LINES = 70;
const FOLDER_MAX_FILES = 35;
const C_MAX_COLUMNS = 100;
const C_TAB_COLUMNS = 8;
const MARKDOWN_MAX_COLUMNS = 140;

/** Constants that have several places: nothing may be added to them. */
const CONSTANTS_OF_SEVERAL_PLACES = new Set([
  "API_VERSION",
  "CAPABILITY",
  "CAPABILITY_XATTR",
  "DEFAULT_SOCKET_PATH",
  "EXIT_BAD_TEMPLATE",
  "FRAME_HEADER_BYTES",
  "HEADER_BYTES",
  "INSTRUCTION_BYTES",
  "PROGRESS_INTERVAL_MS",
]);
/** A file's own: that others have the same means nothing. */
const OWN_CONSTANTS = new Set(["CHUNK_BYTES", "READ_BYTES", "STDERR", "STDOUT"]);

const root = join(import.meta.dirname, "..");

function readAll(pattern: string): Map<string, string> {
  const paths = globSync(pattern, { cwd: root }).filter((path) => !/node_modules|\.d\.ts$/.test(path));
  return new Map(paths.sort().map((path) => [path, readFileSync(join(root, path), "utf8")]));
}

const scripts = readAll("{src,scripts,tests,bench}/**/*.{ts,tsx}");
const isTest = (path: string) => /\.test\.ts$|^(tests|bench)\//.test(path);
const sources = new Map([...scripts].filter(([path]) => path.startsWith("src/") && !isTest(path)));
const cFiles = readAll("{launcher,init,hello,host,tests/support}/**/*.{c,h}");
const documents = readAll("{*.md,docs/**/*.md}");

/** The lines that begin a function or a method, as the formatter leaves them. */
const FUNCTION =
  /^( *)(?:export )?(?:(?:async )?function\*? (\w+)|(?:(?:private|override|static|async|get|set) )*\*?(#?\w+)(?=(?:<[^(]*>)?\()|const (\w+) = (?:async )?(?:<.*>)?\()/;
const KEYWORDS = new Set(["if", "for", "while", "switch", "return", "await", "catch", "super"]);

interface Found {
  name: string;
  lines: number;
}

/** The functions of a file that is formatted: each ends with the first brace that stands as far to the left as its name. */
function functionsOf(source: string): Found[] {
  const lines = source.split("\n");
  const found: Found[] = [];
  for (const [start, line] of lines.entries()) {
    const [, indent = "", ...names] = FUNCTION.exec(line) ?? [];
    const name = names.find((each) => each !== undefined);
    if (name === undefined || KEYWORDS.has(name)) continue;
    const isFlush = (text: string) => text.startsWith(indent) && !/^[ ]/.test(text.slice(indent.length));
    let opened = start; // a signature may take several lines
    if (!line.endsWith(") {") && !/[)\]>\w}] \{$/.test(line))
      opened = lines.findIndex((text, at) => at > start && text !== "" && isFlush(text));
    if (opened < 0 || !lines[opened]!.endsWith("{")) continue;
    const end = lines.findIndex((text, at) => at > opened && text.startsWith(`${indent}}`));
    found.push({ name, lines: end - start + 1 });
  }
  return found;
}

function functionsOfC(source: string): Found[] {
  const lines = source.split("\n");
  return lines.flatMap((line, start) => {
    if (line !== "{") return [];
    const name = lines
      .slice(0, start)
      .findLast((before) => /^\w.*\(/.test(before))
      ?.match(/(\w+)\(/)?.[1];
    return [{ name: name ?? "?", lines: lines.indexOf("}", start) - start + 1 }];
  });
}

test("a function is a screen long at most", () => {
  const broken: string[] = [];
  const look = (path: string, functions: Found[]) => {
    for (const { name, lines } of functions)
      if (lines > FUNCTION_MAX_LINES) broken.push(`${path}: ${name} has ${lines} lines`);
  };
  for (const [path, source] of sources) look(path, functionsOf(source));
  for (const [path, source] of cFiles) look(path, functionsOfC(source));
  expect(broken).toEqual([]);
});

test("functions are found however they are written", () => {
  const source = [
    "export async function first(a: number): Promise<void> {\n}",
    "function second(\n  a: number,\n): string[] {\n  a;\n}",
    "function third({\n  a,\n}: Options): void {\n}",
    "class A {\n  async #fourth(): Promise<void> {\n    if (a) {\n    }\n  }\n}",
    "const fifth = (a: number) => {\n  a;\n};",
  ].join("\n");
  expect(functionsOf(source)).toEqual([
    { name: "first", lines: 2 },
    { name: "second", lines: 5 },
    { name: "third", lines: 4 },
    { name: "#fourth", lines: 4 },
    { name: "fifth", lines: 3 },
  ]);
});

/** Leaves out comments that are lines of their own, or end one: what they name, they do not use. */
function withoutComments(source: string): string {
  return source.replaceAll(/^\s*\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, "");
}

test("what is exported is used by another file", () => {
  const files = new Map<string, number>();
  for (const source of scripts.values())
    for (const word of new Set(withoutComments(source).match(/\b[A-Za-z_]\w*\b/g)))
      files.set(word, (files.get(word) ?? 0) + 1);
  const exported = /^export (?:abstract |async )*(?:const|let|function\*?|class|interface|type) (\w+)/gm;
  const broken = [...sources].flatMap(([path, source]) =>
    [...source.matchAll(exported)].flatMap(([, name]) => (files.get(name!) === 1 ? [`${path}: ${name}`] : [])),
  );
  expect(broken).toEqual([]);
});

test("what only tests use lives with the tests", () => {
  const reached = new Set<string>();
  const left = [...scripts.keys()].filter(
    (path) =>
      /^src\/(main|small|shims\/(os|unsupported)|dashboard\/page)\.tsx?$/.test(path) ||
      /^(scripts|src\/embedded)/.test(path),
  );
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (reached.has(path) || isTest(path)) continue;
    reached.add(path);
    for (const [, specifier] of scripts.get(path)!.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+\.tsx?)"/g)) {
      const target = join(dirname(path), specifier!);
      if (scripts.has(target)) left.push(target);
    }
  }
  expect([...sources.keys()].filter((path) => !reached.has(path))).toEqual([]);
});

test("a constant has one place", () => {
  const places = new Map<string, string[]>();
  for (const [path, source] of sources)
    for (const [, name, value] of source.matchAll(/^(?:export )?const ([A-Z][A-Z0-9_]+)(?:: \w+)? = ([^;\n]+);/gm))
      if (!CONSTANTS_OF_SEVERAL_PLACES.has(name!) && !OWN_CONSTANTS.has(name!))
        places.set(`${name} = ${value}`, [...(places.get(`${name} = ${value}`) ?? []), path]);
  const broken = [...places].filter(([, paths]) => paths.length > 1);
  expect(broken.map(([constant, paths]) => `${constant}: ${paths.join(", ")}`)).toEqual([]);
});

test("an error that is passed over has a reason beside it", () => {
  const passedOver = /catch (?:\(\w+\) )?\{\s*\}|\.catch\(\(\) => (?:\{\}|undefined|null)\)/g;
  const broken: string[] = [];
  for (const [path, source] of sources)
    for (const { index, 0: text } of source.matchAll(passedOver)) {
      const before = source.slice(0, index).split("\n");
      const after = source.slice(index + text.length).split("\n")[0]!;
      const isSaid = after.includes("//") || /^\s*(\/\/|\*|\/\*)/.test(before.at(-2) ?? "");
      if (!isSaid) broken.push(`${path}:${before.length}`);
    }
  expect(broken).toEqual([]);
});

test("lines of C and of Markdown fit their columns", () => {
  const broken: string[] = [];
  for (const [path, source] of cFiles)
    for (const [at, line] of source.split("\n").entries())
      if ([...line.replaceAll("\t", " ".repeat(C_TAB_COLUMNS))].length > C_MAX_COLUMNS)
        broken.push(`${path}:${at + 1}`);
  for (const [path, document] of documents) {
    if (document.includes("Written by `npm run generate`")) continue;
    let inCode = false;
    for (const [at, line] of document.split("\n").entries()) {
      if (line.startsWith("```")) inCode = !inCode;
      const mayBeLong = inCode || line.startsWith("|") || line.includes("://");
      if (!mayBeLong && [...line].length > MARKDOWN_MAX_COLUMNS) broken.push(`${path}:${at + 1}`);
    }
  }
  expect(broken).toEqual([]);
});

test("headers of C include one another in one direction, and the supervisor is included by main alone", () => {
  const includesOf = (path: string) =>
    [...(cFiles.get(path) ?? "").matchAll(/^#include "(\w+\.h)"/gm)].map(([, name]) => `launcher/${name}`);
  const reaches = (path: string, target: string): boolean =>
    includesOf(path).some((next) => next === target || reaches(next, target));
  const headers = [...cFiles.keys()].filter((path) => /^launcher\/\w+\.h$/.test(path));
  expect(headers.filter((path) => reaches(path, path))).toEqual([]);
  const users = [...cFiles.keys()].filter((path) => includesOf(path).includes("launcher/supervise.h"));
  expect(users.sort()).toEqual(["launcher/main.c", "launcher/supervise.c"]);
});

test("a folder of src/ is in the architecture's table of rooms, and small enough to look through", () => {
  const filesOf = Map.groupBy(sources.keys(), (path) => dirname(path));
  const { "src/cli/commands": commands, ...others } = Object.fromEntries(filesOf); // one a command, by its name
  expect(commands).not.toBeEmpty();
  const large = Object.entries(others).filter(([, files]) => files!.length > FOLDER_MAX_FILES);
  expect(large.map(([folder]) => folder)).toEqual([]);
  const [, table = ""] = /\n## Rooms\n([\s\S]*?)\n## /.exec(documents.get("docs/architecture.md") ?? "") ?? [];
  const rooms = [...filesOf.keys()]
    .map((folder) => folder.split("/").slice(1))
    .filter(([, room]) => room !== undefined);
  const rowOf = (layer: string) => table.split("\n").find((line) => line.startsWith(`| \`${layer}\``)) ?? "";
  expect(rooms.filter(([layer, room]) => !rowOf(layer!).includes(`\`${room}\``))).toEqual([]);
});

test("documents and comments name files that exist", () => {
  const tracked = globSync("{src,scripts,tests,bench,launcher,init,hello,docs,.ci}/**/*", { cwd: root });
  const names = new Set(tracked.map((path) => basename(path)));
  const places = ["", "src/", "docs/", "src/engine/", "src/runtime/", "src/image/", "src/cli/", "src/api/"];
  const examples = new Set(["foo.ts", "foo.test.ts"]);
  const exists = (path: string, from: string) =>
    path.includes("/")
      ? [...places, `${dirname(from)}/`].some((place) => existsSync(join(root, place, path)))
      : names.has(path) || existsSync(join(root, path));
  const broken: string[] = [];
  for (const [path, document] of documents) {
    for (const [, name] of document.matchAll(/`((?:[\w-]+\/)*[\w.-]+\.(?:ts|c|sh))`/g))
      if (!examples.has(name!) && !exists(name!, path)) broken.push(`${path}: ${name}`);
    for (const [, target] of document.matchAll(/\]\(([^):#]+)(?:#[^)]*)?\)/g))
      if (!existsSync(join(root, dirname(path), target!))) broken.push(`${path}: ${target}`);
  }
  for (const [path, source] of [...scripts, ...cFiles]) {
    if (isTest(path)) continue;
    for (const [name] of source.matchAll(/\b(?:docs\/adr|src\/linux|src\/oci|launcher)\/[\w/-]+\.(?:md|ts|c|h)\b/g))
      if (!existsSync(join(root, name))) broken.push(`${path}: ${name}`);
  }
  expect(broken).toEqual([]);
});

test("no doc comment begins with Of: it says what the thing is or does", () => {
  const broken = [...scripts].filter(
    ([path, source]) => path.startsWith("src/") && /\/\*\*\s+(?:\* )?Of /.test(source),
  );
  expect(broken.map(([path]) => path)).toEqual([]);
});

/** Files that are one command each: its help says what they are for. */
const COMMANDS = /^src\/(?:cli|oci)\/commands\//;

test("a file of src/ begins by saying what it is for", () => {
  const broken = [...sources].filter(([path, source]) => !COMMANDS.test(path) && !/^\/[*/]/.test(source));
  expect(broken.map(([path]) => path)).toEqual([]);
});
