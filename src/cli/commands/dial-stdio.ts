import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type Context, defineCommand } from "../command.ts";
import { stdinChunks } from "../copy/input-file.ts";
import type { FlagTable, ParsedFlags } from "../flags.ts";
import type { Address } from "../http/transport.ts";
import { stdout } from "../output.ts";

/**
 * Remote end of `-H ssh://…`, for the stock client too: passes bytes between standard input and output and the daemon.
 */
export const command = defineCommand({
  name: "system dial-stdio",
  usage: "",
  summary: "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
  flags: {},
  args: { min: 0, max: 0 },
  run,
});

async function run({ client }: Context, _parsed: ParsedFlags<FlagTable>): Promise<number> {
  await client.request({ method: "GET", path: "/_ping" }); // starts a daemon, or reports why there is none
  const socket = await open(client.host.address);
  const sent = (async () => {
    for await (const chunk of stdinChunks())
      if (!socket.write(chunk)) await new Promise((resolve) => socket.once("drain", resolve));
    socket.end();
  })();
  sent.catch(() => socket.destroy());
  for await (const chunk of socket) await stdout.write(chunk as Uint8Array);
  return 0; // the rest of the input is dropped: nobody would read it
}

function open(address: Address): Promise<Socket> {
  if ("ssh" in address) throw new Error("the daemon is at the far end of another ssh");
  return new Promise((resolve, reject) => {
    const socket =
      "unix" in address
        ? connect({ path: address.unix, allowHalfOpen: true }, () => resolve(socket))
        : address.tls === undefined
          ? connect({ host: address.hostname, port: address.port, allowHalfOpen: true }, () => resolve(socket))
          : connectTls(
              { ...address.tls, host: address.hostname, port: address.port, rejectUnauthorized: address.tls.verify },
              () => resolve(socket),
            );
    socket.once("error", reject);
  });
}
