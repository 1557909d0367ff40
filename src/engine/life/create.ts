/** Makes containers, or tells what would be made of one. */
import { randomId } from "../../base/ids.ts";
import { writePoint } from "../../base/write-point.ts";
import type { MachineSecrets } from "../../machine/mod.ts";
import type { StartRequest } from "../../runtime/types.ts";
import type { Explanation, ShortName } from "../../spec/explanation.ts";
import { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { parseName, randomName } from "../names.ts";
import { writeSecrets } from "../plan/machine-secrets.ts";
import type { CreateOptions } from "../plan/planner.ts";
import { newRecord } from "../state/new-record.ts";
import { removeContainer } from "./remove.ts";
import { startRequest } from "./run.ts";

/** The id of containers that are only explained: a program can then be compared with another one, line by line. */
const EXPLAINED_ID = "0123456789abcdef".repeat(4);

/** Creates a container. `body`: the request's JSON. `name`: "" or none for one that is made up. @throws LighterError */
export async function createContainer(
  engine: Engine,
  body: unknown,
  name?: string,
  options: CreateOptions = {},
): Promise<{ id: string; warnings: string[] }> {
  const givenName = name === undefined || name === "" ? undefined : parseName(name);
  const id = randomId();
  const { warnings, secrets, ...plan } = await engine.planner.planCreate(body, id, options);
  const planned = newRecord(plan, id, givenName ?? randomName((candidate) => engine.containers.hasName(candidate)));
  engine.endpoints.check(planned);
  engine.containers.requireFreeName(planned.name);
  const record = { ...planned, idMappings: engine.userNamespaces.assign(planned) };
  const mountPoints = engine.volumes.claim(record.mountPoints, (claimed) =>
    engine.store.insert({ ...record, mountPoints: claimed }),
  );
  engine.userNamespaces.claim(record);
  const container = new Container({ ...record, mountPoints }, engine.events, engine.store);
  engine.containers.add(container);
  engine.endpoints.namesChanged(container);
  if (secrets !== undefined) await keepSecrets(engine, container, secrets);
  container.publish("create");
  return { id, warnings };
}

/** Writes a machine's secrets. After its row, as a directory without one would be a loss. */
async function keepSecrets(engine: Engine, container: Container, secrets: MachineSecrets): Promise<void> {
  try {
    writePoint("write secrets");
    writeSecrets(engine.paths.container(container.id), secrets);
  } catch (error) {
    await removeContainer(engine, container, { force: false, volumes: true });
    throw error;
  }
}

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
  const names = [
    { name: "@data", value: engine.paths.container(id).directory, what: "the container's files" },
    { name: "@run", value: request.runDirectory, what: "what a reboot may clear of it" },
    { name: "@cgroup", value: request.config.linux?.cgroupsPath ?? "", what: "its cgroup" },
    { name: "@id", value: id, what: "its id" },
    ...hostEndsOf(networked),
  ];
  const listing = await engine.runtime.explain(networked);
  return { names: names.filter(({ value }) => value !== ""), ...listing };
}

/** The program as text, a line for each op. */
export async function listExplanation(explanation: Explanation): Promise<string> {
  const { formatListing } = await import("../../linux/program/list.ts");
  return formatListing(explanation);
}

function hostEndsOf({ network }: StartRequest): ShortName[] {
  return (network?.interfaces ?? []).flatMap(({ name, link }) =>
    link.type === "veth" ? [{ name: `@${name}`, value: link.hostName, what: `the host's end of ${name}` }] : [],
  );
}
