import { closeSync, openSync, readSync } from "node:fs";
import { encodeQuery } from "../client.ts";
import { type Context, defineCommand } from "../command.ts";
import { errnoText } from "../env-file.ts";
import { CliError } from "../exit.ts";
import { boolFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { printJsonMessages } from "../json-messages.ts";
import { stdout } from "../output.ts";

const flags = {
  input: stringFlag("Read from this file instead of stdin", { short: "i" }),
  quiet: boolFlag("Do not show progress", { short: "q" }),
};

export const command = defineCommand({
  name: "load",
  usage: "[OPTIONS]",
  summary: "Load an image from a tar archive or stdin",
  flags,
  args: { min: 0, max: 0 },
  run,
});

/** Large reads: a system call and a chunk header each. */
const READ_BYTES = 256 * 1024;

async function run({ client }: Context, { values }: ParsedFlags<typeof flags>): Promise<number> {
  const chunks = values.input === "" ? await stdinChunks() : fileChunks(openInput(values.input));
  const response = await client.request({
    method: "POST",
    path: `/images/load${encodeQuery({ quiet: "1" })}`,
    stream: { contentType: "application/x-tar", chunks },
  });
  if (response.head.headers.get("content-type")?.startsWith("application/json") === true)
    await printJsonMessages(response, (text) => stdout.text(text));
  else await stdout.text(await response.text());
  return 0;
}

async function stdinChunks(): Promise<AsyncIterable<Uint8Array>> {
  const { isTerminal } = await import("../../linux/sys/tty.ts");
  if (isTerminal(0)) throw new CliError("requested load from stdin, but stdin is empty");
  return streamChunks(Bun.stdin.stream());
}

async function* streamChunks(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
}

function openInput(path: string): number {
  try {
    return openSync(path, "r");
  } catch (cause) {
    throw new CliError(`open ${path}: ${errnoText(cause)}`);
  }
}

async function* fileChunks(fd: number): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const buffer = new Uint8Array(READ_BYTES);
      const count = readSync(fd, buffer);
      if (count === 0) return;
      yield buffer.subarray(0, count);
    }
  } finally {
    closeSync(fd);
  }
}
