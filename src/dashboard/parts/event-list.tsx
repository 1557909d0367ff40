/** Events as lines: when, what, to whom. */
import type { PageEvent } from "../../spec/dashboard.ts";
import { formatClock, plain, shortId } from "../format.ts";
import { linkTo } from "../route.ts";
import { Empty } from "./basics.tsx";

/** Whether an event is one of many: a command in a container, as health probes are, a look into it, a target of systemd's. */
export function isDetail({ type, action }: PageEvent): boolean {
  return type === "container" && /^(exec_|machine_target|top$|resize$|attach$|detach$|archive-path$)/.test(action);
}

export function EventList({ events }: { events: readonly PageEvent[] }) {
  if (events.length === 0)
    return (
      <Empty title="Nothing has happened">
        <p>What happens to containers, images, volumes and networks appears here.</p>
      </Empty>
    );
  return (
    <ol class="events">
      {events.map((event) => (
        <li key={`${event.at} ${event.id} ${event.action}`}>
          <time dateTime={new Date(event.at).toISOString()}>{formatClock(event.at)}</time>
          <span class="what">
            {event.type} {plain(event.action, 60)}
          </span>
          <Subject event={event} />
        </li>
      ))}
    </ol>
  );
}

function Subject({ event }: { event: PageEvent }) {
  const name = plain(event.attributes.name ?? shortId(event.id), 60);
  if (event.type !== "container" && event.type !== "build") return <span>{name}</span>;
  return <a href={linkTo(event.type, event.id)}>{name}</a>;
}
