import { expect, test } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import { decodeMessage, type JobKind } from "../../src/image/worker/protocol.ts";
import { mutateText, mutateValue } from "../support/mutate.ts";
import { Random } from "../support/random.ts";

const BUDGET_MS = Number(process.env.FUZZ_MS ?? 500);

const MESSAGES = [
  { type: "progress", receivedBytes: 1, unpackedBytes: 2 },
  {
    type: "done",
    result: { sizeBytes: 5, entryCount: 2, root: { mode: 493, uid: 0, gid: 0 }, impliedDirectories: ["a", "a/b"] },
  },
  { type: "done", result: { digest: `sha256:${"0".repeat(64)}`, sizeBytes: 5 } },
  {
    type: "entry",
    entry: {
      kind: "file",
      name: "a",
      file: {
        fileName: "1",
        digest: `sha256:${"0".repeat(64)}`,
        sizeBytes: 3,
        layer: {
          directoryName: "1.d",
          diffId: `sha256:${"0".repeat(64)}`,
          totals: { sizeBytes: 5, entryCount: 2, impliedDirectories: [] },
        },
      },
    },
  },
  { type: "entry", entry: { kind: "link", name: "a", target: "b" } },
  { type: "failed", error: { code: "kernel", message: "write: ENOSPC", errno: "ENOSPC", hint: "make room" } },
];

const KINDS: readonly JobKind[] = ["layer", "compress", "inherit", "archive", "make"];

test(
  "whatever a layer worker says is one of its messages or an error",
  () => {
    const random = Random.fromEnvironment("layer worker");
    const end = performance.now() + BUDGET_MS;
    const counts = { taken: 0, refused: 0 };
    while (performance.now() < end) {
      const line = JSON.stringify(mutateValue(random, random.pick(MESSAGES))) ?? "";
      try {
        const message = decodeMessage(random.below(2) === 0 ? line : mutateText(random, line), random.pick(KINDS));
        expect(["progress", "entry", "done", "failed"]).toContain(message.type);
        counts.taken++;
      } catch (error) {
        if (!(error instanceof LighterError)) throw error;
        counts.refused++;
      }
    }
    expect(counts.taken).toBeGreaterThan(0);
    expect(counts.refused).toBeGreaterThan(0);
  },
  BUDGET_MS + 20_000,
);
