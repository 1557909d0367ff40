/** Machines: how far each is by its init's own words, how long it took to start, and what may be done with it. */
import { formatBytes, formatPercent, formatSeconds, plain } from "../format.ts";
import { Empty, Pending, useAnswer } from "../parts/basics.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { useVisible } from "../parts/visible.ts";
import { linkTo } from "../route.ts";
import { get, isReadOnly } from "../session.ts";
import { actOn, containers, isMachine, nameOf } from "../state.ts";
import { series } from "../watch.ts";

interface InspectedMachine {
  Id: string;
  Config: { Image: string };
  State: {
    Status: string;
    Machine?: {
      Status: string;
      Init?: string;
      Notifies?: boolean;
      Targets?: string[];
      Text?: string;
      BootMs?: number;
      End?: string;
    };
  };
  HostConfig: { Memory?: number; NanoCpus?: number };
}

type Machine = InspectedMachine & { name: string; addresses: string[] };

/** Machines that are asked for at once. */
const AT_ONCE = 8;

/** All machines in the order of their names. One that is removed meanwhile is left out. */
async function readMachines(): Promise<Machine[]> {
  const waiting = (containers.value ?? []).filter(isMachine);
  const found: Machine[] = [];
  const worker = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { Id, NetworkSettings } = next;
      const inspected = await get<InspectedMachine>(`/containers/${Id}/json`).catch(() => undefined); // it has gone
      const addresses = Object.values(NetworkSettings.Networks).flatMap(({ IPAddress }) => IPAddress || []);
      if (inspected !== undefined) found.push({ ...inspected, name: nameOf(next), addresses });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function Machines() {
  const known = (containers.value ?? []).filter(isMachine).map(({ Id }) => Id);
  const { answer, ...asked } = useAnswer(readMachines, known.join(), ["container"]);
  return (
    <>
      <h1>Machines</h1>
      {known.length === 0 ? (
        containers.value !== undefined && (
          <Empty title="There are no machines">
            <p>
              A machine is a container with an init of its own: <code>lighter machine launch debian:trixie web</code>
            </p>
          </Empty>
        )
      ) : answer === undefined ? (
        <Pending what="the machines" {...asked} />
      ) : (
        answer.map((machine) => <MachinePanel key={machine.Id} machine={machine} />)
      )}
    </>
  );
}

const MARKS: Readonly<Record<string, readonly [sign: string, kind: string]>> = {
  running: ["●", "running"],
  starting: ["◐", "restarting"],
  stopping: ["◑", "restarting"],
  stopped: ["○", ""],
};

function MachinePanel({ machine }: { machine: Machine }) {
  const { Id, name, addresses, Config, State, HostConfig } = machine;
  const own = State.Machine ?? { Status: State.Status };
  const runs = State.Status === "running";
  const status = State.Status === "paused" ? "paused" : own.Status;
  const [sign, kind] = MARKS[status] ?? ["‖", "paused"];
  const visible = useVisible<HTMLElement>(Id, runs);
  return (
    <section ref={visible} class="panel machine" data-id={Id}>
      <header>
        <h2>
          <a href={linkTo("container", Id)}>{plain(name, 80)}</a>
        </h2>
        <span class={`state ${kind}`}>
          <span aria-hidden="true">{sign}</span> {status}
          {own.End ? ` (${own.End})` : ""}
        </span>
        <Buttons id={Id} runs={runs} />
      </header>
      <dl class="facts">
        <Fact name="Image">{plain(Config.Image, 60)}</Fact>
        {runs && <Fact name="Init">{plain(own.Init ?? "", 40)}</Fact>}
        {runs && <Fact name="Start">{bootOf(own)}</Fact>}
        <Fact name="Limits">{limitsOf(HostConfig)}</Fact>
        {addresses.length > 0 && <Fact name="Addresses">{addresses.join(", ")}</Fact>}
        {runs && <Use id={Id} />}
      </dl>
      {runs && (own.Targets?.length ?? 0) > 0 && <Targets targets={own.Targets ?? []} />}
    </section>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** How the start went; while it goes on, in the init's own words. */
function bootOf({ Status, Notifies, Text = "", BootMs }: NonNullable<InspectedMachine["State"]["Machine"]>): string {
  if (Notifies === false) return "its init does not tell";
  if (BootMs !== undefined) return `took ${formatSeconds(BootMs / 1000)}`;
  return Status === "running" ? "before this daemon" : plain(Text, 80) || Status;
}

function limitsOf({ Memory = 0, NanoCpus = 0 }: InspectedMachine["HostConfig"]): string {
  const limits = [
    ...(NanoCpus > 0 ? [`${NanoCpus / 1e9} CPUs`] : []),
    ...(Memory > 0 ? [`${formatBytes(Memory)} of memory`] : []),
  ];
  return limits.join(", ") || "none";
}

function Use({ id }: { id: string }) {
  const now = series(id).latest.value;
  return (
    <>
      <Fact name="CPU">
        {now === undefined ? "–" : formatPercent(now.cpu)} <Sparkline id={id} name="cpu" max={10} />
      </Fact>
      <Fact name="Memory">
        {now === undefined ? "–" : formatBytes(now.memory)} <Sparkline id={id} name="memory" />
      </Fact>
    </>
  );
}

/** What systemd has reached, the latest last. */
function Targets({ targets }: { targets: readonly string[] }) {
  return (
    <ol class="targets" aria-label="Targets that are reached">
      {targets.slice(-12).map((target) => (
        <li key={target}>{plain(target.replace(/\.target$/, ""), 40)}</li>
      ))}
    </ol>
  );
}

function Buttons({ id, runs }: { id: string; runs: boolean }) {
  return (
    <span class="buttons">
      {runs && <a href={linkTo("container", id, "console")}>Console</a>}
      {runs && <a href={linkTo("container", id, "terminal")}>Shell</a>}
      {!isReadOnly.value &&
        (runs ? (["stop", "restart"] as const) : (["start"] as const)).map((verb) => (
          <button key={verb} type="button" onClick={() => void actOn([id], verb)}>
            {verb}
          </button>
        ))}
    </span>
  );
}
