/** Files in memory with what a client gives a step: secrets, and sockets that lead to its agents. */
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import type { SecretMount } from "../../build/mod.ts";
import type { SharedFilesystem } from "../../runtime/mod.ts";
import type { BuildInputs } from "./build-request.ts";

export function secretNotFound(id: string): LighterError {
  return new LighterError("unavailable", `secret ${id}: not found`);
}

type Wanted = SecretMount & { type: "secret" | "ssh" };

export class ClientFiles implements AsyncDisposable {
  readonly #directory: string;
  readonly #inputs: BuildInputs;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Duplex>();
  #count = 0;

  /** Writes into a file system that nobody else writes into. */
  constructor({ rootFd }: SharedFilesystem, inputs: BuildInputs) {
    this.#directory = `/proc/self/fd/${rootFd}/.`;
    this.#inputs = inputs;
  }

  /** Ends the connections to agents. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    for (const connection of this.#connections) connection.destroy();
  }

  /** Makes the file. Returns its name; undefined if the client has nothing, and need not have. @throws LighterError */
  async add(wanted: Wanted): Promise<string | undefined> {
    const name = `${this.#count++}`;
    const path = `${this.#directory}/${name}`;
    const isMade = wanted.type === "secret" ? await this.#secret(wanted, path) : await this.#agent(wanted, path);
    if (!isMade) return undefined;
    chownSync(path, wanted.uid, wanted.gid);
    chmodSync(path, wanted.mode);
    return name;
  }

  async #secret({ id, optional }: Wanted, path: string): Promise<boolean> {
    const secret = await this.#inputs.secret(id);
    if (secret === undefined && !optional) throw secretNotFound(id);
    if (secret === undefined) return false;
    writeFileSync(path, secret, { mode: 0o600 });
    return true;
  }

  async #agent({ id, optional }: Wanted, path: string): Promise<boolean> {
    const first = await this.#inputs.ssh(id);
    if (first === undefined && !optional)
      throw new LighterError("unavailable", `no SSH key ${JSON.stringify(id)} forwarded from the client`);
    if (first === undefined) return false;
    first.destroy(); // it was to see whether there is one
    const server = createServer((socket) => void this.#forward(id, socket));
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    return true;
  }

  async #forward(id: string, socket: Socket): Promise<void> {
    this.#connections.add(socket);
    const agent = await this.#inputs.ssh(id).catch(() => undefined); // an agent that has gone is none
    if (agent === undefined) {
      this.#connections.delete(socket);
      socket.destroy();
      return;
    }
    this.#connections.add(agent);
    for (const [from, to] of [
      [socket, agent],
      [agent, socket],
    ] as const) {
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.once("close", () => {
        this.#connections.delete(from);
        to.destroy();
      });
    }
  }
}
