/** What the host does, which containers do most of it, and what has happened. */
import { useEffect } from "preact/hooks";
import { formatBytes, formatPercent, formatRate, plain } from "../format.ts";
import { Empty, Meter, Panel } from "../parts/basics.tsx";
import { EventList, isDetail } from "../parts/event-list.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { linkTo } from "../route.ts";
import { containers, countByState, info, nameOf } from "../state.ts";
import { ask, events, hostUse, series, setVisible } from "../watch.ts";

const BUSIEST = 6;
const LAST_EVENTS = 12;

export function Overview() {
  useEffect(() => {
    ask({ topic: "host", on: true });
    return () => ask({ topic: "host", on: false });
  }, []);
  return (
    <>
      <h1>Overview</h1>
      <Warnings />
      <Host />
      <div class="columns">
        <Busiest />
        <Panel title="Events" aside={<a href={linkTo("events")}>All events</a>}>
          <EventList
            events={events.value
              .filter((event) => !isDetail(event))
              .slice(-LAST_EVENTS)
              .reverse()}
          />
        </Panel>
      </div>
    </>
  );
}

function Warnings() {
  const warnings = info.value?.Warnings ?? [];
  if (warnings.length === 0) return null;
  return (
    <ul class="warnings" aria-label="Warnings">
      {warnings.map((warning) => (
        <li key={warning}>{plain(warning.replace(/^WARNING: /, ""))}</li>
      ))}
    </ul>
  );
}

function Host() {
  const use = hostUse.value;
  const counts = countByState.value;
  const running = counts.get("running") ?? 0;
  const others = [...counts].filter(([state]) => state !== "running");
  return (
    <dl class="cards">
      <Card label="Containers" value={`${running} running`}>
        {others.map(([state, count]) => `${count} ${state}`).join(", ") || "none stopped"}
      </Card>
      <Card
        label="CPU"
        value={use === undefined ? "–" : formatPercent(use.cpu)}
        line={<Sparkline id="" name="cpu" max={100} />}
      >
        {use === undefined ? "" : `${use.cpuCount} CPUs, load ${use.load.toFixed(2)}`}
      </Card>
      <Card
        label="Memory"
        value={use === undefined ? "–" : formatBytes(use.memory)}
        line={<Meter value={use?.memory ?? 0} max={use?.memoryTotal ?? 0} />}
      >
        {use === undefined
          ? ""
          : `of ${formatBytes(use.memoryTotal)}${use.swap > 0 ? `, ${formatBytes(use.swap)} swapped` : ""}`}
      </Card>
      <Card
        label="Disk"
        value={use === undefined ? "–" : formatBytes(use.disk)}
        line={<Meter value={use?.disk ?? 0} max={use?.diskTotal ?? 0} />}
      >
        {use === undefined ? "" : `of ${formatBytes(use.diskTotal)}`}
      </Card>
      <Card
        label="Network"
        value={use === undefined ? "–" : formatRate(use.received)}
        line={<Sparkline id="" name="received" max={1024} />}
      >
        {use === undefined ? "" : `received, ${formatRate(use.sent)} sent`}
      </Card>
      <Card label="Pressure" value={use?.pressure === undefined ? "–" : formatPercent(use.pressure.cpu)}>
        {use?.pressure === undefined
          ? "this kernel measures none"
          : `waits for CPU; memory ${formatPercent(use.pressure.memory)}, disk ${formatPercent(use.pressure.io)}`}
      </Card>
    </dl>
  );
}

function Card({
  label,
  value,
  line,
  children,
}: {
  label: string;
  value: string;
  line?: preact.ComponentChildren;
  children?: preact.ComponentChildren;
}) {
  return (
    <div class="card">
      <dt>{label}</dt>
      <dd>
        <strong>{value}</strong>
        {line}
        <small>{children}</small>
      </dd>
    </div>
  );
}

function Busiest() {
  const running = (containers.value ?? []).filter(({ State }) => State === "running");
  const key = running.map(({ Id }) => Id).join();
  useEffect(() => {
    for (const { Id } of running) setVisible(Id, true);
    return () => {
      for (const { Id } of running) setVisible(Id, false);
    };
  }, [key]);
  const cpuOf = ({ Id }: { Id: string }) => series(Id).latest.value?.cpu ?? 0;
  const busiest = [...running].sort((a, b) => cpuOf(b) - cpuOf(a)).slice(0, BUSIEST);
  return (
    <Panel title="Busiest containers" aside={<a href={linkTo("containers")}>All containers</a>}>
      {busiest.length === 0 ? (
        <Empty title="Nothing runs">
          <p>
            <code>lighter run -d --name web -p 8080:80 nginx</code> would start something.
          </p>
        </Empty>
      ) : (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col" class="number">
                CPU
              </th>
              <th scope="col">
                <span class="unseen">CPU of the last minutes</span>
              </th>
              <th scope="col" class="number">
                Memory
              </th>
            </tr>
          </thead>
          <tbody>
            {busiest.map((container) => (
              <tr key={container.Id}>
                <th scope="row">
                  <a href={linkTo("container", container.Id)}>{plain(nameOf(container))}</a>
                </th>
                <td class="number">{formatPercent(cpuOf(container))}</td>
                <td>
                  <Sparkline id={container.Id} name="cpu" max={10} />
                </td>
                <td class="number">{formatBytes(series(container.Id).latest.value?.memory ?? Number.NaN)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
