/** The page: opens the session, then shows what the address names. */
import { signal } from "@preact/signals";
import { type ComponentType, render } from "preact";
import { Build } from "./pages/build.tsx";
import { Builds } from "./pages/builds.tsx";
import { Container } from "./pages/container/container.tsx";
import { Containers } from "./pages/containers.tsx";
import { Events } from "./pages/events.tsx";
import { Images } from "./pages/images.tsx";
import { Machines } from "./pages/machines.tsx";
import { Networks } from "./pages/networks.tsx";
import { Overview } from "./pages/overview.tsx";
import { Volumes } from "./pages/volumes.tsx";
import { Empty } from "./parts/basics.tsx";
import { followAddress, linkTo, route } from "./route.ts";
import { isReadOnly, openSession, sessionState } from "./session.ts";
import { beginState, info, notice } from "./state.ts";
import { ask, connect, isLive } from "./watch.ts";

const PAGES: readonly [path: string, title: string, page: ComponentType][] = [
  ["", "Overview", Overview],
  ["containers", "Containers", Containers],
  ["machines", "Machines", Machines],
  ["images", "Images", Images],
  ["builds", "Builds", Builds],
  ["networks", "Networks", Networks],
  ["volumes", "Volumes", Volumes],
  ["events", "Events", Events],
];

/** Pages about one thing: each is below a page of all of them. */
const DETAILS: readonly [path: string, title: string, page: ComponentType, below: string][] = [
  ["container", "Container", Container, "containers"],
  ["build", "Build", Build, "builds"],
];

type Theme = "system" | "dark" | "light";
const THEMES: readonly Theme[] = ["system", "dark", "light"];
const theme = signal<Theme>(THEMES.find((each) => each === localStorage.getItem("lighter.theme")) ?? "system");

function setTheme(next: Theme): void {
  theme.value = next;
  localStorage.setItem("lighter.theme", next);
  document.documentElement.dataset.theme = next;
}

function Shell() {
  if (sessionState.value === "opening") return null;
  if (sessionState.value !== "open") return <Closed />;
  const [first = ""] = route.value;
  const [, title, Page, below = first] = DETAILS.find(([path]) => path === first) ??
    PAGES.find(([path]) => path === first) ?? ["", "Not found", NotFound];
  document.title = `${title} – Lighter`;
  return (
    <>
      <button type="button" class="skip" onClick={skip}>
        Skip to the content
      </button>
      <nav aria-label="Pages">
        <a class="brand" href={linkTo("")}>
          <img src="icon.svg" alt="" width="24" height="24" /> Lighter
        </a>
        <ul>
          {PAGES.map(([path, name]) => (
            <li key={path}>
              <a href={linkTo(path)} aria-current={path === below ? "page" : undefined}>
                {name}
              </a>
            </li>
          ))}
        </ul>
        <Foot />
      </nav>
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
      <Notice />
    </>
  );
}

function skip(): void {
  document.getElementById("main")?.focus();
}

function Foot() {
  return (
    <div class="foot">
      {info.value !== undefined && (
        <small>
          {info.value.Name}
          <br />
          {info.value.OperatingSystem}, Linux {info.value.KernelVersion}
        </small>
      )}
      {isReadOnly.value && <span class="badge">read-only</span>}
      <span class={isLive.value ? "live" : "live off"} role="status">
        {isLive.value ? "connected" : "not connected"}
      </span>
      <label>
        <span class="unseen">Colours</span>
        <select value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
          <option value="system">As the system</option>
          <option value="dark">Dark</option>
          <option value="light">Light</option>
        </select>
      </label>
    </div>
  );
}

function Closed() {
  const isUsed = sessionState.value === "used";
  return (
    <main id="main" class="closed">
      <h1>{isUsed ? "This link was used before" : "No session"}</h1>
      <p>
        {isUsed
          ? "A link opens the dashboard once, within five minutes."
          : "The daemon has ended the dashboard, or this browser has never opened it."}{" "}
        Run <code>lighter dashboard</code>: it prints a new one.
      </p>
      {isUsed && (
        <p>
          If somebody else may have used it, <code>lighter dashboard --end</code> ends all sessions.
        </p>
      )}
    </main>
  );
}

function NotFound() {
  return (
    <>
      <h1>Not found</h1>
      <Empty title="There is no such page">
        <p>
          <a href={linkTo("")}>Overview</a> is the first one.
        </p>
      </Empty>
    </>
  );
}

/** What was said last, for all to see and to hear. */
function Notice() {
  const { text = "", isError = false } = notice.value ?? {};
  return (
    <div class="notice-place" role="status" aria-live={isError ? "assertive" : "polite"}>
      {text !== "" && (
        <div class={isError ? "notice error" : "notice"}>
          <span>{text}</span>
          <button
            type="button"
            aria-label="Close this message"
            onClick={() => {
              notice.value = undefined;
            }}
          >
            ✕
          </button>
        </div>
      )}
    </div>
  );
}

async function begin(): Promise<void> {
  setTheme(theme.value);
  await openSession().catch(() => {
    sessionState.value = "none"; // nothing answers
  });
  followAddress();
  if (sessionState.value === "open") {
    connect();
    beginState();
    ask({ topic: "events", on: true });
  }
  render(<Shell />, document.getElementById("page")!);
}

void begin();
