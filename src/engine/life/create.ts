/** Makes containers. */
import { randomId } from "../../base/ids.ts";
import { inSpan } from "../../base/spans.ts";
import { writePoint } from "../../base/write-point.ts";
import type { MachineSecrets } from "../../machine/mod.ts";
import { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { parseName, randomName } from "../names.ts";
import { writeSecrets } from "../plan/machine-secrets.ts";
import type { CreateOptions } from "../plan/planner.ts";
import { newRecord } from "../state/new-record.ts";
import { removeContainer } from "./remove.ts";

/** Creates a container. `body`: the request's JSON. `name`: "" or none for one that is made up. @throws LighterError */
export async function createContainer(
  engine: Engine,
  body: unknown,
  name?: string,
  options: CreateOptions = {},
): Promise<{ id: string; warnings: string[] }> {
  const givenName = name === undefined || name === "" ? undefined : parseName(name);
  const id = randomId();
  const { warnings, secrets, ...plan } = await inSpan("create", () => engine.planner.planCreate(body, id, options));
  const planned = newRecord(plan, id, givenName ?? randomName((candidate) => engine.containers.hasName(candidate)));
  engine.endpoints.check(planned);
  engine.containers.requireFreeName(planned.name);
  const ofPod = { ...planned, pod: options.pod };
  const record = { ...ofPod, idMappings: engine.userNamespaces.assign(ofPod) };
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
