import type { Container } from "./container.ts";
import type { EventBus } from "./events.ts";

/** With what Docker tells of every container: its labels, its image as it was asked for, and its name. */
export function publishContainer(
  events: EventBus,
  { record }: Container,
  action: string,
  more: Readonly<Record<string, string>> = {},
): void {
  const { Labels, Image } = record.config;
  const image = Image ? { image: Image } : {};
  events.publish("container", action, record.id, { ...Labels, ...image, name: record.name, ...more });
}
