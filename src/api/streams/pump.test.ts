import { expect, test } from "bun:test";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import type { ClientStream } from "./client-stream.ts";
import { pump } from "./pump.ts";

for (const reframe of [undefined, (chunk: Buffer) => chunk])
  test(`a client hears the end of output that breaks off${reframe ? ", in another form too" : ""}`, async () => {
    const process = new PassThrough();
    const output = new PassThrough();
    const client = { input: new PassThrough(), output, close: () => output.end() };
    const options = { stdin: false, closeStdinOnEnd: false, detachKeys: undefined, reframe };
    const joined = pump(client as unknown as ClientStream, process as unknown as Socket, options);
    Object.assign(process, { destroySoon: () => process.destroy() });
    process.destroy(); // emits "close" without "end"
    await joined;
    expect(output.writableEnded).toBe(true);
  });
