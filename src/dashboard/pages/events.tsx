/** All events that are known: as a picture, and as a list, the newest first. */
import { signal } from "@preact/signals";
import { Check, useNow } from "../parts/basics.tsx";
import { EventList, isDetail } from "../parts/event-list.tsx";
import { EventTimeline } from "../parts/event-timeline.tsx";
import { events } from "../watch.ts";

const showsDetails = signal(false);
const filter = signal("");
const minutes = signal(60);

const PERIODS: readonly [label: string, minutes: number][] = [
  ["Last 5 minutes", 5],
  ["Last hour", 60],
  ["All that are known", Number.POSITIVE_INFINITY],
];

export function Events() {
  const now = useNow(true);
  const word = filter.value.toLowerCase();
  const shown = events.value.filter(
    (event) =>
      event.at >= now - minutes.value * 60_000 &&
      (showsDetails.value || !isDetail(event)) &&
      `${event.type} ${event.action} ${event.attributes.name ?? ""} ${event.id}`.toLowerCase().includes(word),
  );
  return (
    <>
      <h1>Events</h1>
      <div class="tools">
        <label>
          <span class="unseen">Search events</span>
          <input
            type="search"
            placeholder="Search"
            value={filter.value}
            onInput={(e) => {
              filter.value = e.currentTarget.value;
            }}
          />
        </label>
        <label>
          <span class="unseen">Since</span>
          <select
            value={minutes.value}
            onChange={(e) => {
              minutes.value = Number(e.currentTarget.value);
            }}
          >
            {PERIODS.map(([label, value]) => (
              <option key={label} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <Check label="Commands, health probes and looks inside too" on={showsDetails} />
        <span class="count" role="status">
          {shown.length} {shown.length === 1 ? "event" : "events"}
        </span>
      </div>
      {shown.length > 0 && (
        <section class="panel" aria-label="Timeline">
          <EventTimeline events={shown} now={now} />
        </section>
      )}
      <section class="panel" aria-label="Events">
        <EventList events={shown.toReversed()} />
      </section>
    </>
  );
}
