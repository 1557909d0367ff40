/** Changes the names by which a container is found: its own, and those of its links. */
import { LighterError } from "../../base/errors.ts";
import type { Container } from "../container.ts";
import { withoutLink } from "../endpoints/links.ts";
import type { Engine } from "../engine.ts";
import { inContext, markedForRemoval, noSuchContainer } from "../errors.ts";
import { parseName } from "../names.ts";

/** Gives a container another name. @throws LighterError "invalid", "conflict" with Docker's texts */
export function renameContainer(engine: Engine, container: Container, newName: string): Promise<void> {
  return container.queue.run(() => {
    const { record } = container;
    const name = newName.startsWith("/") ? newName.slice(1) : newName;
    if (name === "") throw new LighterError("invalid", "Neither old nor new names may be empty");
    if (name === record.name)
      throw new LighterError("invalid", "Renaming a container with the same name as its current name");
    if (record.status === "removing") throw markedForRemoval(record.id);
    inContext("Error when allocating new name", () => engine.containers.requireFreeName(parseName(`/${name}`)));
    const oldName = record.name;
    container.change({ name });
    engine.containers.renamed(container, oldName);
    engine.endpoints.namesChanged(container);
    container.publish("rename", { oldName: `/${oldName}` });
  });
}

/** Removes a link. @throws LighterError "not-found" */
export function removeLink(engine: Engine, container: Container, alias: string): Promise<void> {
  return container.queue.run(() => {
    const { record } = container;
    const Links = withoutLink(record.hostConfig.Links ?? [], alias);
    if (Links === undefined) throw noSuchContainer(`${record.name}/${alias}`);
    container.change({ hostConfig: { ...record.hostConfig, Links } });
    engine.endpoints.openLinks();
  });
}
