/** All events that are known, by container, along the time. */
import { EventList } from "../parts/event-list.tsx";
import { events } from "../watch.ts";

export function Events() {
  return (
    <>
      <h1>Events</h1>
      <section class="panel" aria-label="Events">
        <EventList events={[...events.value].reverse()} />
      </section>
    </>
  );
}
