/**
 * What the command line reads from others: the daemon's bytes, and texts users paste. Nothing may crash it, hang it or
 * depend on how bytes happen to be split.
 */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as pathJoin } from "node:path";
import { LighterError } from "../../src/base/errors.ts";
import { formatEvent } from "../../src/cli/commands/events.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { complete } from "../../src/cli/complete/completion.ts";
import { splitShellWords } from "../../src/cli/complete/shell-words.ts";
import { buildContainerBody } from "../../src/cli/containers/container-config.ts";
import { createFlags } from "../../src/cli/containers/container-flags.ts";
import { type CopyPlan, planCopy, renameEntry } from "../../src/cli/copy/container-path.ts";
import { Unpacker } from "../../src/cli/copy/copy-unpack.ts";
import { decodePathStat } from "../../src/cli/copy/path-stat.ts";
import { CliError } from "../../src/cli/exit.ts";
import { parseFlags } from "../../src/cli/flags.ts";
import { indentJson } from "../../src/cli/format/json-indent.ts";
import { joinMembers, splitMembers } from "../../src/cli/format/json-members.ts";
import { JsonSplitter } from "../../src/cli/format/json-splitter.ts";
import { ProgressDisplay, parseJsonMessage } from "../../src/cli/format/progress.ts";
import { computeUsage, type StatsSample } from "../../src/cli/format/stats-sample.ts";
import { compileTemplate, TemplateError } from "../../src/cli/format/template.ts";
import { Client } from "../../src/cli/http/client.ts";
import { ResponseParser } from "../../src/cli/http/http-parser.ts";
import { parseDockerConfig } from "../../src/cli/login/docker-config.ts";
import { Demultiplexer } from "../../src/cli/streams/demux.ts";
import { buildIpamConfigs } from "../../src/cli/values/ipam-values.ts";
import { encodeTarHeader, plainTarEntry, TAR_END } from "../../src/image/tar/tar-writer.ts";
import type { BytePath } from "../../src/linux/sys/fs.ts";
import { Random } from "../support/random.ts";

const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 3000);

function join(random: Random, pieces: readonly string[], most: number): string {
  return Array.from({ length: random.below(most) }, () => random.pick(pieces)).join("");
}

/** The same bytes in pieces of random sizes, empty ones too. */
function split(random: Random, bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = random.below(random.pick([2, 5, 50, 5000]));
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}

/** Everything a parser said, as one text; its error included. */
function parseResponse(parts: readonly Uint8Array[], wantsStream: boolean): string {
  let said = "";
  const parser = new ResponseParser(
    {
      head: (head) => {
        said += `head ${head.status} ${head.raw} ${JSON.stringify([...head.headers])}\n`;
      },
      body: (bytes) => {
        said += Buffer.from(bytes).toString("latin1");
      },
      end: () => {
        said += "\nend";
      },
    },
    wantsStream,
  );
  try {
    for (const part of parts) {
      const rest = parser.push(part); // says something itself
      said += Buffer.from(rest).toString("latin1");
    }
    parser.close();
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    said += `\n${error.message}`;
  }
  return said;
}

const HTTP_PIECES = [
  ...["HTTP/1.1 200 OK\r\n", "HTTP/1.1 101 X\r\n", "HTTP/1.1 100 X\r\n\r\n", "HTTP/1.1 404 X\r\n", "HTTP/1.0 204 \r\n"],
  ...[
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "X: y\r\n",
    "\r\n",
    "\r",
    "\n",
  ],
  ...[
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "ffffffff\r\n",
    "1;x\r\na\r\n",
    ":",
    " ",
    "\0",
    "\xff",
  ],
];

test("an HTTP answer means the same however it is split, and is a LighterError at worst", () => {
  const random = Random.fromEnvironment("http answers");
  for (let round = 0; round < ROUNDS; round++) {
    const start = random.below(3) > 0 ? "HTTP/1.1 200 OK\r\n" : "";
    const bytes = Buffer.from(start + join(random, HTTP_PIECES, 12), "latin1");
    const wantsStream = random.below(2) === 0;
    expect(parseResponse(split(random, bytes), wantsStream)).toBe(parseResponse([bytes], wantsStream));
  }
});

test("an HTTP answer that is whole comes out whole", () => {
  const random = Random.fromEnvironment("whole http answers");
  for (let round = 0; round < ROUNDS / 10; round++) {
    const body = Buffer.from(Array.from({ length: random.below(3000) }, () => random.below(256)));
    const chunks = split(random, body).filter((part) => part.length > 0);
    const chunked = chunks.map((part) =>
      Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]),
    );
    const head = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const bytes = Buffer.concat([head, ...chunked, Buffer.from("0\r\n\r\nrest")]);
    const said = parseResponse(split(random, bytes), false);
    expect(said.slice(said.indexOf("\n") + 1)).toBe(`${body.toString("latin1")}\nendrest`);
  }
});

function demultiplex(parts: readonly Uint8Array[]): Record<string, string> {
  const said: Record<string, string> = { stdout: "", stderr: "", error: "", created: "", failed: "", exited: "" };
  const demultiplexer = new Demultiplexer(true);
  try {
    for (const part of parts)
      for (const { stream, bytes } of demultiplexer.push(new Uint8Array(part)))
        said[stream] += Buffer.from(bytes).toString("latin1");
  } catch (error) {
    if (!(error instanceof LighterError)) throw error;
    said.error = error.message;
  }
  return said;
}

test("a multiplexed stream means the same however it is split", () => {
  const random = Random.fromEnvironment("multiplexed streams");
  for (let round = 0; round < ROUNDS; round++) {
    const frames = Array.from({ length: random.below(6) }, () => {
      const length = random.below(20);
      const header = [random.below(random.pick([3, 3, 5])), 0, 0, 0, 0, 0, 0, length + random.pick([0, 0, 0, 1])];
      return Buffer.from([...header, ...Array.from({ length }, () => random.below(256))]);
    });
    const bytes = Buffer.concat(frames);
    expect(demultiplex(split(random, bytes))).toEqual(demultiplex([bytes]));
  }
});

const TEMPLATE_PIECES = [
  ...[
    "{{",
    "}}",
    "{{-",
    " -}}",
    "if ",
    "else",
    "else if ",
    "end",
    "range ",
    "with ",
    "$x := ",
    "$x",
    "$",
    ".",
    ".A",
    ".B.C",
  ],
  ...[
    "(",
    ")",
    "|",
    ",",
    " ",
    '"s"',
    "`r`",
    "'c'",
    "1",
    "-1.5e3",
    "0x",
    "true",
    "nil",
    "json ",
    "index ",
    "len ",
    "printf ",
  ],
  ...["eq ", "and ", "slice ", "/* c */", '"', "\\", "\n", "define ", "é", "toString", "constructor", "__proto__"],
];

test("a template renders or is refused with a TemplateError", () => {
  const random = Random.fromEnvironment("templates");
  const data = { A: [1, "a", null], B: { C: "x", D: {} }, F: (text: string) => text };
  for (let round = 0; round < ROUNDS * 3; round++) {
    const source = join(random, TEMPLATE_PIECES, 14);
    try {
      expect(typeof compileTemplate(source)(data)).toBe("string");
    } catch (error) {
      if (!(error instanceof TemplateError)) throw new Error(`${JSON.stringify(source)}`, { cause: error });
      // Refused in our words, not in the engine's.
      if (error.cause instanceof TypeError || error.cause instanceof RangeError)
        throw new Error(`${JSON.stringify(source)}: ${error.message}`);
    }
  }
});

const FLAG_VALUES = [
  ...[
    "",
    "x",
    "-1",
    "1",
    "1.5",
    "9".repeat(30),
    "512m",
    "/dev/a:1",
    "a=b",
    "=",
    ":",
    "a:b:c",
    "/a:/b:ro",
    "type=bind,dst=/x",
  ],
  ...[
    "none",
    "host",
    "container:",
    "name=x,ip=1.2.3.4",
    "80",
    "80-81:90-91/udp",
    "[::1]:1:2",
    "\0",
    "é",
    '"',
    "nofile=1:2",
  ],
];

test("flags parse into a body, or are refused with a message", () => {
  const random = Random.fromEnvironment("flags");
  const names = Object.keys(createFlags).filter((name) => !name.endsWith("-file") && name !== "help");
  for (let round = 0; round < ROUNDS; round++) {
    const argv = Array.from({ length: random.below(5) }, () => {
      const value = random.below(5) === 0 ? join(random, FLAG_VALUES, 4) : random.pick(FLAG_VALUES);
      return random.below(10) === 0 ? `-${value}` : `--${random.pick(names)}=${value}`;
    });
    try {
      const parsed = parseFlags("run", createFlags, [...argv, "image"], false);
      if (parsed.help === undefined) JSON.stringify(buildContainerBody(parsed.values, parsed.given, "image", []));
    } catch (error) {
      if (!(error instanceof CliError) && (!(error instanceof Error) || error.constructor !== Error))
        throw new Error(JSON.stringify(argv), { cause: error });
    }
  }
});

/** Any JSON value, not too deep. */
function randomJson(random: Random, depth: number): unknown {
  const kind = random.below(depth > 3 ? 4 : 6);
  if (kind === 4) return Array.from({ length: random.below(4) }, () => randomJson(random, depth + 1));
  if (kind === 5)
    return Object.fromEntries(
      Array.from({ length: random.below(4) }, (_, i) => [`k${i}`, randomJson(random, depth + 1)]),
    );
  return [null, true, random.u32(), join(random, ['"', "\\", "{", "]", ",", ":", " ", "a", "\n"], 6)][kind];
}

test("indentJson lays JSON out as JSON.stringify does", () => {
  const random = Random.fromEnvironment("indentJson");
  for (let round = 0; round < ROUNDS; round++) {
    const value = randomJson(random, 0);
    expect(indentJson(JSON.stringify(value), "    ")).toBe(JSON.stringify(value, null, 4));
  }
});

/** Everything a progress stream shows on a terminal, its error included. */
function showStream(parts: readonly string[]): string {
  const splitter = new JsonSplitter();
  const display = new ProgressDisplay(
    () => 120,
    () => 0,
  );
  let said = "";
  try {
    for (const part of parts)
      for (const value of splitter.push(part)) {
        const { text, failure } = display.show(parseJsonMessage(JSON.parse(value)));
        said += text + (failure === undefined ? "" : `failure ${failure}\n`);
      }
    splitter.end();
  } catch (error) {
    if (!(error instanceof LighterError) && !(error instanceof SyntaxError)) throw error;
    said += `\n${error.message}`;
  }
  return said;
}

const MESSAGE_FIELDS = ["status", "id", "progressDetail", "progress", "stream", "time", "timeNano", "from", "aux"];
const DETAIL_FIELDS = ["current", "total", "start", "units", "hidecounts", "code", "message"];

function randomMessage(random: Random): unknown {
  const object = (fields: readonly string[], value: () => unknown) =>
    Object.fromEntries(Array.from({ length: random.below(5) }, () => [random.pick(fields), value()]));
  const detail = () => {
    const number = random.pick([-1, 0, 1, 0.5, 1e300, -1e300, 1e9, random.u32()]);
    return random.below(3) > 0 ? number : randomJson(random, 2);
  };
  return object([...MESSAGE_FIELDS, "errorDetail", "error"], () => {
    const kind = random.below(3);
    if (kind === 0) return object(DETAIL_FIELDS, detail);
    return kind === 1 ? random.pick(["a", "b", ""]) : detail();
  });
}

test("a progress stream shows the same however it is split, and is refused with a message at worst", () => {
  const random = Random.fromEnvironment("progress streams");
  for (let round = 0; round < ROUNDS; round++) {
    let whole = "";
    for (let count = random.below(8); count > 0; count--)
      whole +=
        JSON.stringify(random.below(20) === 0 ? randomJson(random, 0) : randomMessage(random)) +
        random.pick(["", "\r\n", " "]);
    if (random.below(5) === 0)
      whole = whole.slice(0, random.below(whole.length + 1)) + join(random, ["}", "{", '"', "x", "]"], 3);
    const pieces: string[] = [];
    for (let at = 0; at < whole.length; ) {
      const size = random.below(random.pick([2, 5, 50]));
      pieces.push(whole.slice(at, at + size));
      at += size;
    }
    expect(showStream(pieces)).toBe(showStream([whole]));
  }
});

test("config.json is read or refused with a message, and its members are split without a change", () => {
  const random = Random.fromEnvironment("config.json");
  const keys = ["auths", "credsStore", "credHelpers", "auth", "username", "__proto__", "constructor", "10", "r.x"];
  const value = (depth: number): unknown => {
    if (depth === 0 || random.below(3) === 0)
      return random.below(2) === 0 ? randomJson(random, 3) : random.pick(["dTpw", "OnA=", "!", "u", ""]);
    return Object.fromEntries(Array.from({ length: random.below(4) }, () => [random.pick(keys), value(depth - 1)]));
  };
  for (let round = 0; round < ROUNDS; round++) {
    const config = value(3);
    let text = JSON.stringify(config, null, random.pick([0, 2]));
    if (typeof config === "object" && config !== null && !Array.isArray(config))
      expect(joinMembers(splitMembers(text)).replaceAll(/\s/g, "")).toBe(text.replaceAll(/\s/g, ""));
    if (random.below(4) === 0) text = text.slice(0, random.below(text.length + 1));
    try {
      parseDockerConfig("/c", text);
    } catch (error) {
      if (!(error instanceof Error) || error.constructor !== Error) throw new Error(text, { cause: error });
    }
  }
});

/** JSON in which the API's names turn up with values of any kind. */
function jsonWith(random: Random, keys: readonly string[], depth: number): unknown {
  if (depth === 0 || random.below(4) === 0) return random.pick([0, 1, -5, 1e18, "", "Read", "12", null, true, [], {}]);
  if (random.below(4) === 0) return Array.from({ length: random.below(3) }, () => jsonWith(random, keys, depth - 1));
  return Object.fromEntries(
    Array.from({ length: random.below(6) }, () => [random.pick(keys), jsonWith(random, keys, depth - 1)]),
  );
}

test("a sample of stats makes numbers, whatever it holds", () => {
  const random = Random.fromEnvironment("stats");
  const keys = [
    ...["cpu_stats", "precpu_stats", "cpu_usage", "total_usage", "percpu_usage", "system_cpu_usage", "online_cpus"],
    ...["memory_stats", "usage", "limit", "stats", "inactive_file", "total_inactive_file", "networks", "rx_bytes"],
    ...["tx_bytes", "blkio_stats", "io_service_bytes_recursive", "op", "value", "pids_stats", "current"],
    ...["pressure_stats", "memory", "io", "some", "full", "avg10"],
  ];
  for (let round = 0; round < ROUNDS; round++) {
    const sample = jsonWith(random, keys, 5);
    if (typeof sample !== "object" || sample === null) continue;
    const { waits, ...usage } = computeUsage(sample as StatsSample);
    const shares = Object.values(waits ?? {}).flatMap(({ some, full }) => [some, full]);
    for (const value of [...Object.values(usage), ...shares]) expect(typeof value).toBe("number");
  }
});

test("an event is one line, whatever it holds", () => {
  const random = Random.fromEnvironment("events");
  const keys = ["Type", "Action", "Actor", "ID", "Attributes", "time", "timeNano", "name"];
  for (let round = 0; round < ROUNDS; round++) {
    const event = jsonWith(random, keys, 4);
    if (typeof event === "object" && event !== null) expect(formatEvent(JSON.stringify(event))).not.toContain("\n");
  }
});

test("the header about a path is read or refused with a LighterError", () => {
  const random = Random.fromEnvironment("path stat");
  for (let round = 0; round < ROUNDS; round++) {
    const json = JSON.stringify(jsonWith(random, ["mode", "linkTarget", "name"], 2)) + random.pick(["", "", "}"]);
    const header = Buffer.from(json).toString("base64") + random.pick(["", "", "!", "="]);
    const headers = new Map([["x-docker-container-path-stat", header]]);
    try {
      decodePathStat({ head: { status: 200, headers, raw: false } });
    } catch (error) {
      if (!(error instanceof LighterError)) throw new Error(json, { cause: error });
    }
  }
});

test("addresses of a network go to a subnet or are refused with a message", () => {
  const random = Random.fromEnvironment("ipam");
  const pieces = ["10.0.0.0", "10.1.2.3", "::", "2001:db8::1", "/8", "/16", "/64", "/129", "/", ":", ".", "x", "1"];
  const texts = () => Array.from({ length: random.below(3) }, () => join(random, pieces, 3));
  for (let round = 0; round < ROUNDS; round++) {
    try {
      buildIpamConfigs(texts(), texts(), texts(), { name: join(random, pieces, 3) });
    } catch (error) {
      if (!(error instanceof Error) || error.constructor !== Error) throw error;
    }
  }
});

test("a line that is being typed is split and completed without an error", async () => {
  const random = Random.fromEnvironment("completion");
  const pieces = [
    ...["run", "image", "ls", "cp", "help", "network", "connect", "web:", "--", "-", "--pull", "=", "-it", "-H"],
    ...[" ", " ", " ", "\t", "'", '"', "\\", ";", "|", "&", ":", "__proto__", "é", "\0"],
  ];
  const client = new Client({ name: "", address: { unix: "/nonexistent/socket" } });
  for (let round = 0; round < ROUNDS / 3; round++) {
    const words = splitShellWords(join(random, pieces, 20));
    expect(words.length).toBeGreaterThan(0);
    for (const { word } of (await complete(words, COMMANDS, client)).candidates) expect(typeof word).toBe("string");
  }
});

test("an archive is unpacked below its directory or refused, and nothing outside is touched", () => {
  const random = Random.fromEnvironment("cp archives");
  const names = ["a", "b", "..", ".", "", "d", "/", "l"];
  const types = ["file", "directory", "symlink", "hardlink", "fifo"] as const;
  const path = () => Array.from({ length: 1 + random.below(4) }, () => random.pick(names)).join("/") || "x";
  for (let round = 0; round < ROUNDS / 10; round++) {
    const folder = mkdtempSync(pathJoin(tmpdir(), "lighter-fuzz-cp-"));
    const directory = pathJoin(folder, "target");
    mkdirSync(directory);
    const parts = Array.from({ length: 1 + random.below(6) }, () => {
      const type = random.pick(types);
      const entry = { ...plainTarEntry({ path: path(), mode: 0o755, size: 0 }, 0), type, linkPath: path() as BytePath };
      return encodeTarHeader(entry);
    });
    const archive = Buffer.concat([...parts, TAR_END]);
    if (random.below(4) === 0) archive[random.below(archive.length)] = random.below(256);
    const end = { path: "/x/a", exists: true, isDirectory: true, rebaseName: "" };
    const plan: CopyPlan = { ...planCopy(end, { ...end, path: "/x/b", exists: random.below(2) === 0 }), directory };
    try {
      const unpacker = new Unpacker(plan);
      try {
        for (const part of split(random, archive)) unpacker.push(part);
        unpacker.end();
      } finally {
        unpacker.close();
      }
    } catch (error) {
      if (!(error instanceof LighterError || error instanceof CliError)) throw error;
    }
    expect(readdirSync(folder)).toEqual(["target"]);
    rmSync(folder, { recursive: true });
  }
});

test("a renamed entry holds its new name", () => {
  const random = Random.fromEnvironment("renames");
  for (let round = 0; round < ROUNDS; round++) {
    const [from, to] = [random.pick(["a", "/", ".", "$&", "b.c"]), random.pick(["x", "$1", "", "a"])];
    const rest = join(random, ["/", "a", ".", "x"], 4);
    expect(renameEntry((from === "/" ? "" : from) + rest, { from, to })).toBe(to + rest);
  }
});
