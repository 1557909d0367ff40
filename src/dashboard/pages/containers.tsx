/** All containers, in groups: the projects of Compose, machines, and those that belong to nothing. */
import { computed, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { formatBytes, formatPercent, plain, shortly } from "../format.ts";
import { Check, Confirm, Empty, Health, State } from "../parts/basics.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { useVisible } from "../parts/visible.ts";
import { linkTo } from "../route.ts";
import { isReadOnly } from "../session.ts";
import {
  actOn,
  type ContainerSummary,
  containers,
  isMachine,
  nameOf,
  type Port,
  projectOf,
  type Verb,
} from "../state.ts";
import { series } from "../watch.ts";

const filter = signal("");
const showsStopped = signal(true);
const selected = signal<ReadonlySet<string>>(new Set());

function matches(container: ContainerSummary, words: readonly string[]): boolean {
  const text = [
    nameOf(container),
    container.Image,
    container.State,
    container.Id,
    projectOf(container),
    container.Status,
  ]
    .join(" ")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

const shown = computed(() => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  return (containers.value ?? []).filter(
    (each) => matches(each, words) && (showsStopped.value || each.State === "running"),
  );
});

const groups = computed(() => {
  const found = new Map<string, ContainerSummary[]>();
  for (const each of shown.value) {
    const project = projectOf(each);
    const title = isMachine(each) ? "Machines" : project === "" ? "Containers" : `Project ${plain(project, 60)}`;
    found.set(title, [...(found.get(title) ?? []), each]);
  }
  return [...found].sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
});

const rank = (title: string) => (title === "Machines" ? 1 : title === "Containers" ? 2 : 0);

export function Containers() {
  if (containers.value === undefined) return <h1>Containers</h1>;
  return (
    <>
      <h1>Containers</h1>
      <Tools />
      {groups.value.map(([title, members]) => (
        <Group key={title} title={title} members={members} />
      ))}
      {shown.value.length === 0 && <Nothing />}
    </>
  );
}

function Nothing() {
  if ((containers.value ?? []).length > 0)
    return (
      <Empty title="No container matches">
        <p>
          The filter looks for words in names, images, states and projects. <kbd>Esc</kbd> clears it.
        </p>
      </Empty>
    );
  return (
    <Empty title="There are no containers">
      <p>
        Start one in a terminal: <code>lighter run -d --name web -p 8080:80 nginx</code>
      </p>
    </Empty>
  );
}

function Tools() {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement && event.target.type !== "checkbox";
      if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      field.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class="tools">
      <label class="filter">
        <span class="unseen">Filter containers</span>
        <input
          ref={field}
          type="search"
          placeholder="Filter  ( / )"
          value={filter.value}
          onInput={(event) => {
            filter.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape") filter.value = "";
          }}
        />
      </label>
      <Check label="Stopped ones too" on={showsStopped} />
      <span class="count" role="status">
        {shown.value.length} of {containers.value?.length ?? 0}
      </span>
      <BulkActions />
    </div>
  );
}

const VERBS: readonly Verb[] = ["start", "stop", "restart", "pause", "unpause", "kill", "remove"];

function BulkActions() {
  const [asked, setAsked] = useState<Verb | undefined>();
  const ids = shown.value.map(({ Id }) => Id).filter((id) => selected.value.has(id));
  if (isReadOnly.value) return <span class="badge">read-only</span>;
  const act = (verb: Verb) => {
    void actOn(ids, verb);
    selected.value = new Set();
  };
  return (
    <fieldset class="buttons">
      <legend class="unseen">Actions on selected containers</legend>
      {VERBS.map((verb) => (
        <button
          key={verb}
          type="button"
          class={verb === "remove" || verb === "kill" ? "danger" : ""}
          disabled={ids.length === 0}
          onClick={() => (verb === "remove" || verb === "kill" ? setAsked(verb) : act(verb))}
        >
          {verb}
        </button>
      ))}
      {asked !== undefined && (
        <Confirm
          question={`${asked === "kill" ? "Kill" : "Remove"} ${ids.length === 1 ? "this container" : `these ${ids.length} containers`}? ${asked === "kill" ? "Their processes get no chance to end in order." : "What they have written, outside of volumes, goes too."}`}
          verb={asked}
          onAnswer={(yes) => {
            setAsked(undefined);
            if (yes) act(asked);
          }}
        />
      )}
    </fieldset>
  );
}

function Group({ title, members }: { title: string; members: readonly ContainerSummary[] }) {
  const isAll = members.every(({ Id }) => selected.value.has(Id));
  const running = members.filter(({ State }) => State === "running").length;
  const selectAll = (on: boolean) => {
    const next = new Set(selected.value);
    for (const { Id } of members) on ? next.add(Id) : next.delete(Id);
    selected.value = next;
  };
  return (
    <section class="panel" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="muted">
          {running} of {members.length} running
        </span>
      </header>
      <table class="list containers">
        <thead>
          <tr>
            <td class="tick">
              {!isReadOnly.value && (
                <input
                  type="checkbox"
                  aria-label={`Select all of ${title}`}
                  checked={isAll}
                  onChange={(event) => selectAll(event.currentTarget.checked)}
                />
              )}
            </td>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              CPU
            </th>
            <th scope="col" class="wide">
              <span class="unseen">CPU of the last minutes</span>
            </th>
            <th scope="col" class="number">
              Memory
            </th>
            <th scope="col" class="wide">
              <span class="unseen">Memory of the last minutes</span>
            </th>
            <th scope="col">Ports</th>
            <th scope="col" class="wide">
              Image
            </th>
          </tr>
        </thead>
        <tbody>
          {members.map((container) => (
            <Row key={container.Id} container={container} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Row({ container }: { container: ContainerSummary }) {
  const { Id, Image, State: state, Status, Ports } = container;
  const runs = state === "running" || state === "paused";
  const row = useVisible<HTMLTableRowElement>(Id, runs);
  const select = (on: boolean) => {
    const next = new Set(selected.value);
    if (on) next.add(Id);
    else next.delete(Id);
    selected.value = next;
  };
  const name = plain(nameOf(container), 80);
  return (
    <tr ref={row} data-id={Id} class={selected.value.has(Id) ? "selected" : ""}>
      <td class="tick">
        {!isReadOnly.value && (
          <input
            type="checkbox"
            aria-label={`Select ${name}`}
            checked={selected.value.has(Id)}
            onChange={(event) => select(event.currentTarget.checked)}
          />
        )}
      </td>
      <th scope="row">
        <a href={linkTo("container", Id)}>{name}</a>
      </th>
      <td>
        <State state={state} /> <Health status={Status} />
        <small class="muted">
          {plain(shortly(Status.replace(/\s*\((healthy|unhealthy|health: starting|Paused)\)/, "")), 40)}
        </small>
      </td>
      {runs ? <Use id={Id} /> : <td colSpan={4} />}
      <td>
        <PortList ports={Ports} />
      </td>
      <td class="wide muted image" title={plain(Image)}>
        {plain(Image.replace(/^sha256:(.{12}).*/, "$1"), 60)}
      </td>
    </tr>
  );
}

function Use({ id }: { id: string }) {
  return (
    <>
      <td class="number">
        <Cpu id={id} />
      </td>
      <td class="wide">
        <Sparkline id={id} name="cpu" max={10} />
      </td>
      <td class="number">
        <Memory id={id} />
      </td>
      <td class="wide">
        <Sparkline id={id} name="memory" />
      </td>
    </>
  );
}

function Cpu({ id }: { id: string }) {
  const use = series(id).latest.value;
  return <>{use === undefined ? "–" : formatPercent(use.cpu)}</>;
}

function Memory({ id }: { id: string }) {
  const use = series(id).latest.value;
  return <>{use === undefined ? "–" : formatBytes(use.memory)}</>;
}

const PORTS_SHOWN = 4;

/** Published ports as links to themselves. */
function PortList({ ports }: { ports: readonly Port[] }) {
  const published = new Map<number, Port>();
  for (const port of ports) if (port.PublicPort !== undefined) published.set(port.PublicPort, port);
  const list = [...published.values()];
  return (
    <span class="ports">
      {list.slice(0, PORTS_SHOWN).map(({ PublicPort, PrivatePort, Type }) =>
        Type === "tcp" ? (
          <a
            key={PublicPort}
            href={`http://${location.hostname}:${PublicPort}/`}
            target="_blank"
            rel="noreferrer noopener"
            title={`port ${PrivatePort} of the container`}
          >
            {PublicPort}
          </a>
        ) : (
          <span key={PublicPort}>
            {PublicPort}/{Type}
          </span>
        ),
      )}
      {list.length > PORTS_SHOWN && <span class="muted">and {list.length - PORTS_SHOWN} more</span>}
    </span>
  );
}
