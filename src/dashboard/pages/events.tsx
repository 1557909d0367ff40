/** All events that are known, the newest first. */
import { signal } from "@preact/signals";
import { Check } from "../parts/basics.tsx";
import { EventList, isOfCommand } from "../parts/event-list.tsx";
import { events } from "../watch.ts";

const showsCommands = signal(false);

export function Events() {
  const shown = events.value.filter((event) => showsCommands.value || !isOfCommand(event));
  return (
    <>
      <h1>Events</h1>
      <div class="tools">
        <Check label="Commands and health probes too" on={showsCommands} />
      </div>
      <section class="panel" aria-label="Events">
        <EventList events={shown.reverse()} />
      </section>
    </>
  );
}
