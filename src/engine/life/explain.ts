/** Tells which program starts a container, and how long each of its ops takes. */
import type { StartRequest } from "../../runtime/types.ts";
import type { Explanation, Listing, ShortName } from "../../spec/explanation.ts";
import type { Engine } from "../engine.ts";
import { newRecord } from "../state/new-record.ts";
import { createContainer } from "./create.ts";
import { removeContainer } from "./remove.ts";
import { startContainer, startRequest } from "./run.ts";

/** The id of containers that are only explained: a program can then be compared with another one, line by line. */
const EXPLAINED_ID = "0123456789abcdef".repeat(4);

/** Returns the program that would run. The same question has the same answer, as far as the host is the same. */
export async function explainContainer(
  engine: Engine,
  body: unknown,
  platform: string | undefined,
): Promise<Explanation> {
  const id = EXPLAINED_ID;
  const { warnings: _, secrets: __, ...plan } = await engine.planner.planCreate(body, id, { platform });
  const planned = newRecord(plan, id, "explain");
  const record = { ...planned, idMappings: engine.userNamespaces.assign(planned) };
  const request = await startRequest(engine, record, [], true);
  const networked = { ...request, ...engine.endpoints.preview(record) };
  return { names: namesOf(engine, networked), ...(await engine.runtime.explain(networked)) };
}

/** Starts a container, and removes it as soon as it runs. Returns its program with the times. @throws LighterError as a start does */
export async function traceContainer(
  engine: Engine,
  body: unknown,
  platform: string | undefined,
): Promise<Explanation> {
  const { id } = await createContainer(engine, body, undefined, { platform });
  const container = engine.find(id);
  try {
    const { promise, resolve } = Promise.withResolvers<Explanation>();
    await startContainer(engine, container, (listing: Listing, request) =>
      resolve({ names: namesOf(engine, request), ...listing }),
    );
    return await promise;
  } finally {
    // With AutoRemove it may have gone by itself.
    if (engine.findIf(id) !== undefined) await removeContainer(engine, container, { force: true, volumes: true });
  }
}

function namesOf(engine: Engine, { id, runDirectory, config, network }: StartRequest): ShortName[] {
  const hostEnds = (network?.interfaces ?? []).flatMap(({ name, link }) =>
    link.type === "veth" ? [{ name: `@${name}`, value: link.hostName, what: `the host's end of ${name}` }] : [],
  );
  const names = [
    { name: "@data", value: engine.paths.container(id).directory, what: "the container's files" },
    { name: "@run", value: runDirectory, what: "what a reboot may clear of it" },
    { name: "@cgroup", value: config.linux?.cgroupsPath ?? "", what: "its cgroup" },
    { name: "@id", value: id, what: "its id" },
    ...hostEnds,
  ];
  return names.filter(({ value }) => value !== "");
}

/** The program as text, a line for each op. */
export async function listExplanation(explanation: Explanation): Promise<string> {
  const { formatListing } = await import("../../linux/program/list.ts");
  return formatListing(explanation);
}
