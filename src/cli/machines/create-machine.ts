/** Creates machines from the flags of `machine create` and `launch`. */
import type { ContainerBody } from "../containers/container-config.ts";
import { createFlags } from "../containers/container-flags.ts";
import { bodyFromFlags, createContainer } from "../containers/create.ts";
import type { FlagTable, FlagValues, ParsedFlags } from "../flags.ts";
import type { Client } from "../http/client.ts";

const { interactive: _, name: __, runtime: ___, tty: ____, ...flags } = createFlags;

/** The flags of a container, without those that a machine's kind decides. */
export const machineCreateFlags = flags;

/** What `machine create` and `launch` take, and say of it. */
export const machineCreation = {
  usage: "[OPTIONS] IMAGE [NAME] [INIT] [ARG...]",
  details: `A missing image of Debian or Ubuntu (debian:trixie) is made with this host's mmdebstrap or debootstrap.
The machine's host name is its NAME. INIT replaces /sbin/init; arguments that begin with a dash come after "--".`,
  args: { min: 1 },
};

/** An image that this host's tools can make: see parseBootstrapSource. */
const BOOTSTRAPPED = /^(debian|ubuntu):[a-z][a-z0-9.-]*$/;
/** A name that can be a host's, too. Source: hostname(7). */
const HOST_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/;

/**
 * Creates a machine of "IMAGE [NAME] [INIT] [ARG...]" and returns its id. A missing image of Debian or Ubuntu is made, any other
 * is pulled.
 * @throws like createContainer
 */
export async function createMachine(
  client: Client,
  command: string,
  { values, given, args }: ParsedFlags<FlagTable> & { values: FlagValues<typeof machineCreateFlags> },
): Promise<string> {
  const [image = "", name = "", ...init] = args;
  const all = { ...values, name, runtime: "machine", tty: true, interactive: true };
  const hostname = values.hostname || (hasOwnHostname(values) && HOST_NAME.test(name) ? name : "");
  const body = bodyFromFlags(command, { ...all, hostname }, { values, given, args: [image, ...init] });
  // Nobody is at its console, whose input stays open for those who come.
  Object.assign(body, { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false });
  return createContainer(
    client,
    body satisfies ContainerBody,
    all,
    BOOTSTRAPPED.test(image) ? () => make(client, image) : undefined,
  );
}

/** Tells whether a machine has a name of its own: not in the host's or another container's network. */
function hasOwnHostname({ network, uts }: FlagValues<typeof machineCreateFlags>): boolean {
  return uts === "" && network.every(({ target }) => target !== "host" && !target.startsWith("container:"));
}

async function make(client: Client, image: string): Promise<void> {
  const { bootstrapImage, MACHINE_BOOTSTRAP } = await import("../images/bootstrap-image.ts");
  await bootstrapImage(client, image, image, MACHINE_BOOTSTRAP);
}
