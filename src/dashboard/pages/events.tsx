/** All events that are known, the newest first. */
import { signal } from "@preact/signals";
import { EventList, isOfCommand } from "../parts/event-list.tsx";
import { events } from "../watch.ts";

const showsCommands = signal(false);

export function Events() {
  const shown = events.value.filter((event) => showsCommands.value || !isOfCommand(event));
  return (
    <>
      <h1>Events</h1>
      <div class="tools">
        <label class="check">
          <input
            type="checkbox"
            checked={showsCommands.value}
            onChange={(event) => {
              showsCommands.value = event.currentTarget.checked;
            }}
          />
          Commands and health probes too
        </label>
      </div>
      <section class="panel" aria-label="Events">
        <EventList events={shown.reverse()} />
      </section>
    </>
  );
}
