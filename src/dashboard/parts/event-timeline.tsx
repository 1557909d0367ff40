/** The picture of the events; the list below it says the same in words. */
import type { PageEvent } from "../../spec/dashboard.ts";
import { formatClock, plain } from "../format.ts";
import { lanesOf, ticksBetween } from "../timeline.ts";

const LANES_MAX = 14;
const WINDOW_MIN_MS = 60_000;

export function EventTimeline({ events, now }: { events: readonly PageEvent[]; now: number }) {
  const lanes = lanesOf(events);
  const from = Math.min(events[0]?.at ?? now, now - WINDOW_MIN_MS);
  const place = (at: number) => `${(100 * (at - from)) / (now - from)}%`;
  return (
    <div class="timeline" aria-hidden="true">
      <div class="lane">
        <span />
        <span class="track">
          {ticksBetween(from, now).map((at) => (
            <small key={at} style={{ left: place(at) }}>
              {formatClock(at)}
            </small>
          ))}
        </span>
      </div>
      {lanes.slice(0, LANES_MAX).map(({ id, type, name, spans, marks }) => (
        <div key={`${type} ${id}`} class="lane">
          <span class="lane-name">
            {type === "container" ? "" : `${type} `}
            {plain(name, 30)}
          </span>
          <span class="track">
            {spans.map(({ from: begin = from, until = now }) => (
              <span key={begin} class="span" style={{ left: place(begin), right: `calc(100% - ${place(until)})` }} />
            ))}
            {marks.map(({ at, action, kind }) => (
              <span
                key={`${at} ${action}`}
                class={`mark ${kind}`}
                style={{ left: place(at) }}
                title={`${formatClock(at)} ${plain(action, 60)}`}
              />
            ))}
          </span>
        </div>
      ))}
      {lanes.length > LANES_MAX && <small class="more">and {lanes.length - LANES_MAX} others, in the list</small>}
    </div>
  );
}
