import { expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NO_INPUTS } from "./build-request.ts";
import { ClientFiles } from "./client-files.ts";

const OWNER = { uid: process.getuid!(), gid: process.getgid!() };

/** A directory of files for a step. */
function stage() {
  const directory = mkdtempSync(join(tmpdir(), "lighter-client-files-"));
  const rootFd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    directory,
    filesystem: { namespaceFd: -1, rootFd },
    [Symbol.dispose]: () => {
      closeSync(rootFd);
      rmSync(directory, { recursive: true });
    },
  };
}

test("each connection to an agent's socket is one to the client's agent, and both end together", async () => {
  using at = stage();
  const agentPath = join(at.directory, "agent");
  const agent = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => agent.listen(agentPath, resolve));
  try {
    const inputs = { ...NO_INPUTS, ssh: async (id: string) => (id === "default" ? connect(agentPath) : undefined) };
    await using files = new ClientFiles(at.filesystem, inputs);
    const wanted = { type: "ssh", id: "default", target: "/x", mode: 0o600, ...OWNER, optional: true } as const;
    const name = await files.add(wanted);
    expect(statSync(join(at.directory, name!)).mode & 0o777).toBe(0o600);
    for (const word of ["one", "two"]) {
      const socket = connect(join(at.directory, name!));
      socket.write(word);
      const answer = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
      expect(answer.toString()).toBe(word);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.end();
      await closed;
    }
    expect(await files.add({ ...wanted, id: "other" })).toBeUndefined();
    await expect(files.add({ ...wanted, id: "other", optional: false })).rejects.toThrow("other");
  } finally {
    agent.close();
  }
});

test("a secret is written with its mode", async () => {
  using at = stage();
  const inputs = { ...NO_INPUTS, secret: async () => Buffer.from("s") };
  await using files = new ClientFiles(at.filesystem, inputs);
  const name = await files.add({ type: "secret", id: "a", target: "/x", mode: 0o440, ...OWNER, optional: false });
  expect(statSync(join(at.directory, name!)).mode & 0o777).toBe(0o440);
  expect(readdirSync(at.directory)).toEqual([name!]);
});
