/** One container: a tab for each way to look at it. */
import type { FunctionComponent } from "preact";
import { formatAge, plain, shortId } from "../../format.ts";
import { Empty, Health, State } from "../../parts/basics.tsx";
import type { TabProps } from "../../parts/tab.tsx";
import { linkTo, route } from "../../route.ts";
import { isReadOnly } from "../../session.ts";
import { actOn, type ContainerSummary, containers, isMachine, nameOf, type Verb } from "../../state.ts";
import { Anatomy } from "../anatomy/anatomy.tsx";
import { Changes } from "./changes.tsx";
import { Files } from "./files.tsx";
import { Inspect } from "./inspect.tsx";
import { Logs } from "./logs.tsx";
import { Processes } from "./processes.tsx";
import { Stats } from "./stats.tsx";
import { Console, Terminal } from "./terminal.tsx";

const TABS: readonly [path: string, title: string, tab: FunctionComponent<TabProps>][] = [
  ["logs", "Logs", Logs],
  ["stats", "Stats", Stats],
  ["processes", "Processes", Processes],
  ["terminal", "Terminal", Terminal],
  ["files", "Files", Files],
  ["changes", "Changed files", Changes],
  ["anatomy", "Anatomy", Anatomy],
  ["inspect", "Inspect", Inspect],
];

/** A tab that only machines have. */
const CONSOLE = ["console", "Console", Console] as const;

export function Container() {
  const [, id = "", tabName = "logs"] = route.value;
  const container = containers.value?.find(({ Id }) => Id === id);
  if (containers.value === undefined) return <h1>Container</h1>;
  if (container === undefined)
    return (
      <>
        <h1>Container</h1>
        <Empty title="This container does not exist any more">
          <p>
            <a href={linkTo("containers")}>All containers</a>
          </p>
        </Empty>
      </>
    );
  const tabs = isMachine(container) ? [...TABS.slice(0, 3), CONSOLE, ...TABS.slice(3)] : TABS;
  const [path, title, Tab] = tabs.find(([path]) => path === tabName) ?? TABS[0]!;
  const runs = container.State === "running" || container.State === "paused";
  return (
    <>
      <Head container={container} />
      <ul class="tabs" aria-label="Views of this container">
        {tabs.map(([name, text]) => (
          <li key={name}>
            <a href={linkTo("container", id, name)} aria-current={name === path ? "page" : undefined}>
              {text}
            </a>
          </li>
        ))}
      </ul>
      <section aria-label={title} key={`${id} ${path} ${runs}`}>
        <Tab id={id} runs={runs} />
      </section>
    </>
  );
}

function Head({ container }: { container: ContainerSummary }) {
  const { Id, State: state, Status, Image, Command, Created } = container;
  const verbs: Verb[] =
    state === "running" ? ["stop", "restart", "pause"] : state === "paused" ? ["unpause", "kill"] : ["start"];
  return (
    <header class="head">
      <div>
        <h1>{plain(nameOf(container), 80)}</h1>
        <p class="muted">
          <State state={state} /> <Health status={Status} /> · {plain(Image, 80)} · <code>{plain(Command, 60)}</code> ·{" "}
          {shortId(Id)} · created {formatAge(Date.now() / 1000 - Created)} ago
        </p>
      </div>
      {!isReadOnly.value && (
        <div class="buttons">
          {verbs.map((verb) => (
            <button key={verb} type="button" onClick={() => void actOn([Id], verb)}>
              {verb}
            </button>
          ))}
        </div>
      )}
    </header>
  );
}
