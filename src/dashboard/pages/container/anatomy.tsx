/** How the kernel keeps a container apart: what it shares, what limits it, what it may do, and the calls that made it. */
import { useState } from "preact/hooks";
import type { Anatomy as Answer } from "../../../spec/anatomy.ts";
import type { ExplainedOp, Explanation } from "../../../spec/explanation.ts";
import { ALLOWED_BY } from "../../capabilities.ts";
import { plain } from "../../format.ts";
import { Empty, Panel, useAnswer } from "../../parts/basics.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { linkTo } from "../../route.ts";
import { call, get, isReadOnly } from "../../session.ts";
import { sayError } from "../../state.ts";

const NAMESPACE_OF: Readonly<Record<string, string>> = {
  mnt: "mounts",
  pid: "processes",
  net: "network",
  ipc: "shared memory and queues",
  uts: "host name",
  user: "users",
  cgroup: "cgroups",
  time: "clocks since boot",
};

export function Anatomy({ id, runs }: TabProps) {
  return (
    <>
      {runs ? <Living id={id} /> : <NotRunning what="Its namespaces, cgroups and mounts" />}
      <Program id={id} />
    </>
  );
}

function Living({ id }: { id: string }) {
  const { answer } = useAnswer(() => get<Answer>(`/lighter/containers/${id}/anatomy`), id);
  if (answer === undefined) return null;
  return (
    <>
      <div class="columns">
        <Namespaces answer={answer} />
        <Capabilities answer={answer} />
      </div>
      <Cgroups answer={answer} />
      <Mounts answer={answer} />
    </>
  );
}

function Namespaces({ answer: { namespaces, idMaps, pid } }: { answer: Answer }) {
  return (
    <Panel title="Namespaces" aside={<span>process {pid} on the host</span>}>
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Of</th>
            <th scope="col">Number</th>
            <th scope="col">Shared with</th>
          </tr>
        </thead>
        <tbody>
          {namespaces.map(({ type, inode, sharedWithHost, sharedWith }) => (
            <tr key={type}>
              <th scope="row">{NAMESPACE_OF[type] ?? type}</th>
              <td class="muted">{inode}</td>
              <td>
                {sharedWithHost ? (
                  <span class="badge warn">the host</span>
                ) : sharedWith.length === 0 ? (
                  <span class="badge healthy">nobody</span>
                ) : (
                  sharedWith.slice(0, 5).map((other) => (
                    <a key={other.id} href={linkTo("container", other.id, "anatomy")}>
                      {plain(other.name, 40)}{" "}
                    </a>
                  ))
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <ul class="notes">
        {idMaps.map(({ kind, inside, outside, count }) => (
          <li key={`${kind} ${inside}`}>
            {kind} {inside}
            {count > 1 && ` to ${inside + count - 1}`} in it is {outside}
            {count > 1 && ` to ${outside + count - 1}`} on the host
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Capabilities({ answer: { capabilities, seccomp, noNewPrivileges } }: { answer: Answer }) {
  const has = capabilities.filter(({ effective }) => effective);
  const other = capabilities.filter(({ effective, bounding }) => !effective && bounding);
  return (
    <Panel title={`${has.length} of ${capabilities.length} capabilities`}>
      <ul class="notes">
        {has.map(({ name }) => (
          <li key={name}>
            <code>{name.replace(/^CAP_/, "")}</code> {ALLOWED_BY[name]}
          </li>
        ))}
        {has.length === 0 && <li>none: to the kernel its root is like anybody</li>}
        {other.length > 0 && <li>{other.length} more could be had from programs with capabilities</li>}
        <li>
          {noNewPrivileges
            ? "Programs cannot give it more (no_new_privs)."
            : "Programs may give it more: set-user-ID bits count."}
        </li>
        <li>
          {seccomp === "filter"
            ? "A seccomp filter looks at each of its system calls."
            : "No seccomp filter looks at its system calls."}
        </li>
      </ul>
    </Panel>
  );
}

function Cgroups({ answer: { cgroups } }: { answer: Answer }) {
  const filled = cgroups.filter(({ values }) => values.length > 0);
  return (
    <Panel title="Cgroups: limits and use">
      {filled.map(({ controllers, path, values }) => (
        <div key={controllers} class="cgroup">
          <p class="muted">
            {controllers || "all controllers"} in <code>{plain(path, 120)}</code>
          </p>
          <dl class="pairs">
            {values.map(({ file, value }) => (
              <div key={file}>
                <dt>{file}</dt>
                <dd>{plain(value, 80)}</dd>
              </div>
            ))}
          </dl>
        </div>
      ))}
    </Panel>
  );
}

function Mounts({ answer: { mounts } }: { answer: Answer }) {
  return (
    <Panel title={`${mounts.length} mounts`}>
      <div class="scrolls" tabIndex={0}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">On</th>
              <th scope="col">Type</th>
              <th scope="col">Source</th>
              <th scope="col">Options</th>
            </tr>
          </thead>
          <tbody>
            {mounts.map(({ target, type, source, root, options }, index) => (
              <tr key={index}>
                <th scope="row">
                  <code>{plain(target, 80)}</code>
                </th>
                <td>{type}</td>
                <td>
                  <code>{plain(root === "/" ? source : `${source}:${root}`, 80)}</code>
                </td>
                <td class="muted">{plain(options, 60)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

/** The program of system calls that would start such a container, with times if one was started to measure. */
function Program({ id }: { id: string }) {
  const [explanation, setExplanation] = useState<Explanation | undefined>();
  const ask = async (trace: boolean) => {
    const { Config, HostConfig } = await get<{ Config: object; HostConfig: object }>(`/containers/${id}/json`);
    const path = `/lighter/explain?format=json${trace ? "&trace=1" : ""}`;
    setExplanation((await (await call("POST", path, { ...Config, HostConfig })).json()) as Explanation);
  };
  return (
    <Panel
      title="The program of system calls"
      aside={
        <span class="buttons">
          <button type="button" onClick={() => ask(false).catch(sayError)}>
            Show
          </button>
          {!isReadOnly.value && (
            <button type="button" onClick={() => ask(true).catch(sayError)}>
              Measure in a real start
            </button>
          )}
        </span>
      }
    >
      {explanation === undefined ? (
        <Empty title="Every start is a program">
          <p>It says in system calls how a container such as this one is made.</p>
        </Empty>
      ) : (
        <Phases ops={explanation.ops} />
      )}
    </Panel>
  );
}

function Phases({ ops }: { ops: readonly ExplainedOp[] }) {
  const phases = new Map<string, ExplainedOp[]>();
  for (const op of ops) phases.set(op.phase, [...(phases.get(op.phase) ?? []), op]);
  const timeOf = (list: readonly ExplainedOp[]) => list.reduce((sum, { tookNs = 0 }) => sum + tookNs, 0);
  const whole = timeOf(ops);
  return (
    <div class="phases">
      {[...phases].map(([phase, list]) => (
        <details key={phase}>
          <summary>
            <strong>{phase}</strong> <span class="muted">{list.length} ops</span>
            {whole > 0 && (
              <span class="took">
                {(timeOf(list) / 1e6).toFixed(2)} ms
                <span class="meter" aria-hidden="true">
                  <span style={{ width: `${(100 * timeOf(list)) / whole}%` }} />
                </span>
              </span>
            )}
          </summary>
          <ol>
            {list.map((op) => (
              <li key={`${op.section} ${op.index}`}>
                <code>{plain(`${op.call} ${op.args}`, 160)}</code>
                <small> {plain(op.why, 120)}</small>
                {op.tookNs !== undefined && <small> {(op.tookNs / 1e3).toFixed(0)} µs</small>}
              </li>
            ))}
          </ol>
        </details>
      ))}
    </div>
  );
}
