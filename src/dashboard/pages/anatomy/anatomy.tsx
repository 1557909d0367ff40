/** How the kernel keeps a container apart: what it shares, what limits it, what it may do, and the calls that made it. */
import type { Anatomy as Answer } from "../../../spec/anatomy.ts";
import { ALLOWED_BY } from "../../capabilities.ts";
import { Panel, Pending, useAnswer } from "../../parts/basics.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { get } from "../../session.ts";
import { SystemCalls } from "./calls.tsx";
import { Limits } from "./limits.tsx";
import { Mounts } from "./mounts.tsx";
import { Namespaces } from "./namespaces.tsx";
import { Program } from "./program.tsx";

export function Anatomy({ id, runs }: TabProps) {
  return (
    <>
      {runs ? <Living id={id} /> : <NotRunning what="Its namespaces, cgroups and mounts" />}
      <Program id={id} />
    </>
  );
}

function Living({ id }: { id: string }) {
  const { answer, ...asked } = useAnswer(() => get<Answer>(`/lighter/containers/${id}/anatomy`), id);
  if (answer === undefined) return <Pending what="its anatomy" {...asked} />;
  return (
    <>
      <Namespaces answer={answer} />
      <Limits id={id} answer={answer} />
      <div class="columns">
        <Capabilities answer={answer} />
        <SystemCalls answer={answer} />
      </div>
      <Mounts answer={answer} />
    </>
  );
}

function Capabilities({ answer: { capabilities, noNewPrivileges } }: { answer: Answer }) {
  const has = capabilities.filter(({ effective }) => effective);
  const couldHave = capabilities.filter(({ effective, bounding }) => !effective && bounding);
  const never = capabilities.filter(({ bounding }) => !bounding);
  return (
    <Panel title={`${has.length} of ${capabilities.length} capabilities`}>
      <div class="cells" aria-hidden="true">
        {capabilities.map(({ name, effective, bounding }) => (
          <span key={name} class={effective ? "has" : bounding ? "could" : ""} title={`${name}: ${ALLOWED_BY[name]}`} />
        ))}
      </div>
      <ul class="notes">
        {has.length === 0 && <li>It has none: to the kernel its root is like anybody.</li>}
        {has.map(({ name }) => (
          <Allowed key={name} name={name} />
        ))}
        <li>
          {noNewPrivileges
            ? "Programs cannot give it more (no_new_privs)."
            : "Programs may give it more: set-user-ID bits count."}
        </li>
      </ul>
      <More title={`${couldHave.length} that programs with capabilities could give it`} names={couldHave} />
      <More title={`${never.length} that it can never have`} names={never} />
    </Panel>
  );
}

function More({ title, names }: { title: string; names: readonly { name: string }[] }) {
  if (names.length === 0) return null;
  return (
    <details class="fold">
      <summary>{title}</summary>
      <ul class="notes">
        {names.map(({ name }) => (
          <Allowed key={name} name={name} />
        ))}
      </ul>
    </details>
  );
}

function Allowed({ name }: { name: string }) {
  return (
    <li>
      <code>{name.replace(/^CAP_/, "")}</code> {ALLOWED_BY[name]}
    </li>
  );
}
