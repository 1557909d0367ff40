/** Makes the row of a newly created container. */
import { newRecord } from "../../src/engine/state/new-record.ts";
import type { ContainerRecord } from "../../src/engine/state/store.ts";

export function containerRecord(id: string, name: string, fields: Partial<ContainerRecord> = {}): ContainerRecord {
  const plan = {
    image: "hello",
    imageId: "sha256:00",
    config: { Image: "hello", Env: ["A=b"] },
    hostConfig: { AutoRemove: true },
    mountPoints: [],
    endpoints: [],
  };
  return { ...newRecord(plan, id, name), createdAt: "2026-01-02T03:04:05Z", ...fields };
}
