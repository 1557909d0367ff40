/** Sorts containers for the start and the end of the host. */
import { messageOf } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { type BootPlace, bootGroups, parseBootPlace } from "../../machine/mod.ts";
import { isMachine, peerReferences } from "../config/mod.ts";
import type { Container } from "../container.ts";

interface Placed extends BootPlace {
  container: Container;
  needs: number[];
}

/** The groups to start one after another; containers of a group need nothing of each other. */
export function groupsAtBoot(containers: readonly Container[]): Placed[][] {
  const indexes = new Map(containers.flatMap(({ id, record }, index) => [[id, index] as const, [record.name, index]]));
  return bootGroups(
    containers.map((container): Placed => {
      const { hostConfig } = container.record;
      const place = placeOf(container);
      // A container that shares another's namespaces needs that one to run.
      const peers = Object.values(peerReferences(hostConfig)).filter((ref) => ref !== undefined);
      const needs = [...place.after, ...peers].flatMap((name) => indexes.get(name) ?? []);
      return { ...place, container, needs };
    }),
  );
}

function placeOf({ record: { id, config, hostConfig } }: Container): BootPlace {
  if (!isMachine(hostConfig)) return NO_PLACE;
  try {
    return parseBootPlace(config.Labels ?? {});
  } catch (error) {
    log.error(`container ${id}: ${messageOf(error)}`); // made by a Lighter that did not look at them
    return NO_PLACE;
  }
}

const NO_PLACE: BootPlace = { order: 0, delayS: 0, after: [] };
