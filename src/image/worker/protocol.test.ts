import { expect, test } from "bun:test";
import { LighterError } from "../../base/errors.ts";
import type { DiffId, Digest } from "../../base/ids.ts";
import { LAYER_WORKER_LINE_MAX_BYTES } from "../../base/limits.ts";
import type { BytePath } from "../../linux/sys/fs.ts";
import { decodeJob, decodeMessage, encodeJob, encodeMessage, readMessages, type WorkerMessage } from "./protocol.ts";

const digest = `sha256:${"0".repeat(64)}` as Digest;

const messages: WorkerMessage<"layer">[] = [
  { type: "progress", receivedBytes: 1, unpackedBytes: 2 },
  {
    type: "done",
    result: {
      sizeBytes: 5,
      entryCount: 2,
      root: { mode: 0o755, uid: 0, gid: 0 },
      impliedDirectories: ["a", "a/\xff"] as BytePath[],
    },
  },
  { type: "done", result: undefined },
  { type: "entry", entry: { kind: "link", name: "a/layer.tar", target: "b/layer.tar" } },
  { type: "entry", entry: { kind: "known", name: "blobs/sha256/x", digest } },
  { type: "entry", entry: { kind: "progress", diffId: digest as never, currentBytes: 1, totalBytes: 2 } },
  {
    type: "entry",
    entry: {
      kind: "file",
      name: "a",
      file: {
        fileName: "1",
        digest,
        sizeBytes: 3,
        layer: {
          directoryName: "1.d",
          diffId: digest as never,
          totals: { sizeBytes: 5, entryCount: 2, root: undefined, impliedDirectories: [] },
        },
      },
    },
  },
  { type: "failed", error: new LighterError("kernel", "write: ENOSPC", { errno: "ENOSPC", hint: "make room" }) },
];

test("messages and jobs come out as they went in", () => {
  for (const message of messages) {
    const decoded = decodeMessage(encodeMessage(message).trimEnd(), "layer");
    if (message.type !== "failed" || decoded.type !== "failed") expect(decoded).toEqual(message);
    else expect({ ...decoded.error }).toEqual({ ...message.error });
  }
  const job = {
    kind: "layer" as const,
    source: { kind: "file", path: "/x" } as const,
    digest: "sha256:a" as Digest,
    size: 1,
    diffId: "sha256:b" as DiffId,
    directoryPath: "/y",
  };
  expect(decodeJob(encodeJob(job))).toEqual(job);
  expect(() => decodeJob('{"version":0}')).toThrow(/^layer worker speaks version \d+, the daemon 0$/);
});

test("what no worker sends is refused", () => {
  for (const line of [
    "",
    "[]",
    '{"type":"x"}',
    '{"type":"progress","receivedBytes":-1,"unpackedBytes":0}',
    '{"type":"done","result":{}}',
    '{"type":"done","result":{"sizeBytes":1,"entryCount":1,"impliedDirectories":["a\\u0000"]}}',
    '{"type":"failed","error":{"code":"exec-denied","message":"x"}}',
  ])
    expect(() => decodeMessage(line, "layer")).toThrow("layer worker: ");
  const file = { fileName: "1", digest, sizeBytes: 3 };
  for (const entry of [
    { kind: "other" },
    { kind: "file", name: "a", file: { ...file, fileName: "../1" } },
    { kind: "file", name: "a", file: { ...file, fileName: "" } },
    { kind: "file", name: "a", file: { ...file, layer: { directoryName: "1", diffId: digest, totals: {} } } },
    { kind: "link", name: "a" },
    { kind: "progress", diffId: "x", currentBytes: 1, totalBytes: 1 },
  ])
    expect(() => decodeMessage(JSON.stringify({ type: "entry", entry }), "archive")).toThrow("layer worker: ");
  for (const result of ["1", "{}", '{"digest":"x","sizeBytes":1}', `{"digest":"sha256:${"0".repeat(64)}"}`])
    expect(() => decodeMessage(`{"type":"done","result":${result}}`, "compress")).toThrow("layer worker: ");
});

test("lines are put together from pieces, and have a limit", async () => {
  const bytes = Buffer.from("één\ntwo\nrest");
  const pieces = (async function* () {
    for (const byte of bytes) yield Buffer.of(byte);
  })();
  expect(await Array.fromAsync(readMessages(pieces))).toEqual(["één", "two"]);
  const endless = (async function* () {
    for (;;) yield Buffer.alloc(LAYER_WORKER_LINE_MAX_BYTES / 2, "x");
  })();
  await expect(Array.fromAsync(readMessages(endless))).rejects.toThrow("too long");
});
