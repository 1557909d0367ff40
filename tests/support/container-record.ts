/** Makes the row of a newly created container, and containers that have none. */
import { Container, NO_ROWS } from "../../src/engine/container.ts";
import { EventBus } from "../../src/engine/events.ts";
import { newRecord } from "../../src/engine/state/new-record.ts";
import type { ContainerRecord } from "../../src/engine/state/record.ts";

export function containerRecord(id: string, name: string, fields: Partial<ContainerRecord> = {}): ContainerRecord {
  const plan = {
    image: "hello",
    imageId: "sha256:00",
    config: { Image: "hello", Env: ["A=b"] },
    hostConfig: { AutoRemove: true },
    mountPoints: [],
    endpoints: [],
    inScope: false,
  };
  return { ...newRecord(plan, id, name), createdAt: "2026-01-02T03:04:05Z", ...fields };
}

/** Makes a container that is in memory alone. */
export function containerInMemory(record: ContainerRecord): Container {
  return new Container(record, new EventBus(), NO_ROWS);
}
