/** Makes the globals that the project's modules expect. Must be evaluated before any of them. */
import "./language.ts";
import "./first.ts";
import "./json.ts";
import { Buffer } from "./buffer.ts";
import { bunShim } from "./bun.ts";
import { consoleShim } from "./console.ts";
import { getRandomValues, randomUUID } from "./crypto.ts";
import { clearTimeout, nowMs, setImmediate, setInterval, setTimeout } from "./loop.ts";
import { processShim } from "./process.ts";
import { TextDecoder, TextEncoder } from "./text.ts";

Object.assign(globalThis, {
  Buffer,
  Bun: bunShim,
  TextDecoder,
  TextEncoder,
  clearImmediate: () => {},
  clearInterval: clearTimeout,
  clearTimeout,
  console: consoleShim,
  crypto: { getRandomValues, randomUUID },
  performance: { now: nowMs },
  process: processShim,
  queueMicrotask: (work: () => void) => void Promise.resolve().then(work),
  setImmediate,
  setInterval,
  setTimeout,
});
