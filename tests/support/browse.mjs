/**
 * Uses a dashboard in Debian's browser as people do, for a test. Each line of standard input is JSON with the name of a scene and
 * what it needs, and is answered by a line: { result } or { error }. The first one opens the dashboard. With SCREENSHOTS=DIR the
 * scene "pages" leaves a picture of each page there.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** Slow machines under load take their time. */
const PATIENCE_MS = 60_000;

const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE_MS);
const faults = [];
page.on("pageerror", (error) => faults.push(String(error)));

/** Shows a page of the dashboard: what stands after "#/". */
async function show(name) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#/${name}`);
  await page.waitForSelector("main h1");
}

const SCENES = {
  /** Opens the dashboard; returns what the browser has loaded until it shows something, with bytes as they come. */
  async open({ url }) {
    await page.goto(url);
    await page.waitForSelector("nav .live:not(.off)");
    return page.evaluate(() =>
      [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
        .map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize])
        .filter(([path]) => !path.startsWith("/api/") && path !== "/session"),
    );
  },

  /**
   * Shows pages in both themes: pairs of an address and a selector of what it waits for. Returns what axe finds on each, its text,
   * its title, and how many elements would move.
   */
  async pages({ pages, names = {} }) {
    await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
    const seen = {};
    for (const theme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      for (const [name, selector] of pages) {
        await show(name);
        await page.waitForSelector(selector);
        await page.waitForTimeout(Number(process.env.SCREENSHOT_PAUSE_MS ?? 0));
        if (process.env.SCREENSHOTS) {
          const file = `${names[name] ?? (name || "overview")}-${theme}.png`.replaceAll("/", "-");
          await page.screenshot({ path: `${process.env.SCREENSHOTS}/${file}` });
        }
        // The second theme differs in nothing but its colours.
        const rules = theme === "dark" ? {} : { runOnly: ["color-contrast"] };
        seen[`${theme} ${name}`] = await page.evaluate(async (options) => {
          const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"], ...options });
          return {
            violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`),
            text: document.querySelector("main").textContent,
            title: document.title,
            moving: [...document.querySelectorAll("*")].filter((element) => {
              const { animationDuration, transitionDuration } = getComputedStyle(element);
              return [animationDuration, transitionDuration].some((each) => /[1-9]/.test(each));
            }).length,
          };
        }, rules);
      }
    }
    return seen;
  },

  /** Types a command in a terminal, waits until it shows what is expected, and leaves it. */
  async terminal({ id, command, expected }) {
    await show(`container/${id}/terminal`);
    await page.getByRole("button", { name: "Open a terminal" }).click();
    await page.waitForSelector(".xterm-helper-textarea");
    await page.waitForFunction(() => document.activeElement?.classList.contains("xterm-helper-textarea"));
    await page.keyboard.type(`${command}\n`);
    await page.waitForFunction((text) => document.querySelector(".xterm-rows")?.textContent.includes(text), expected);
    await page.keyboard.type("exit\n");
    await page.getByRole("button", { name: "Open a terminal" }).waitFor();
  },

  /** Reaches everything by keys alone: the content, the filter, a question and back, a container, one of its tabs. */
  async keyboard({ name }) {
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
    const tabTo = async (text) => {
      for (let i = 0; i < 60; i++) {
        if ((await focused()) === text) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`"${text}" is not reached by the key Tab`);
    };
    await show("");
    await page.evaluate(() => document.activeElement?.blur());
    await tabTo("Skip to the content");
    await page.keyboard.press("Enter");
    const isInMain = await page.evaluate(() => document.activeElement?.id === "main");
    await page.evaluate(() => document.activeElement?.blur());
    await tabTo("Containers");
    await page.keyboard.press("Enter");
    await page.waitForSelector("table.containers");
    await page.keyboard.press("/");
    await page.keyboard.type(name);
    await page.waitForFunction(() => document.querySelectorAll("table.containers tbody tr").length === 1);
    await page.keyboard.press("Escape");
    const filter = await page.evaluate(() => document.querySelector('input[type="search"]').value);
    await page.getByLabel(`Select ${name}`, { exact: true }).press("Space");
    await tabTo("remove");
    await page.keyboard.press("Enter");
    await page.waitForSelector("dialog[open]");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => document.querySelector("dialog") === null);
    await page.getByRole("link", { name, exact: true }).first().focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector(".tabs");
    await tabTo("Inspect");
    await page.keyboard.press("Enter");
    await page.waitForSelector("pre.text");
    return { isInMain, filter };
  },

  /** Sends a file to a directory, finds it in the list, looks at it and takes it back. */
  async files({ id, directory, name, text }) {
    await show(`container/${id}/files/${encodeURIComponent(directory)}`);
    await page.waitForSelector("section .panel");
    await page.getByLabel("Files to send").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
    await page.getByRole("button", { name: `View ${name}` }).click();
    const shown = await page.locator("pre.text").textContent();
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: `Download ${name}`, exact: true }).click();
    const parts = [];
    for await (const part of await (await coming).createReadStream()) parts.push(part);
    return { shown, taken: Buffer.concat(parts).toString() };
  },

  /** Looks at a build that runs, waits until a step has printed a text, and cancels it. */
  async build({ name, text }) {
    await show("builds");
    await page.getByRole("link", { name }).click();
    await page.locator("details", { hasText: text }).last().locator("summary").click();
    await page.getByText(text, { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "cancel" }).click();
    await page.locator(".head .state", { hasText: "cancelled" }).waitFor();
  },

  /**
   * Watches rows that are measured, while they are scrolled. Returns how long the page's tasks have run that took longest, in
   * milliseconds of CPU, and how many rows have shown numbers.
   */
  async rows({ count, seconds }) {
    await show("containers");
    const rows = "table.containers tbody";
    await page.waitForFunction(([at, least]) => document.querySelectorAll(`${at} tr`).length >= least, [rows, count]);
    await page.waitForFunction((at) => /\d/.test(document.querySelector(`${at} .number`)?.textContent), rows);
    await browser.startTracing(page, { categories: ["disabled-by-default-devtools.timeline"] });
    const measured = await page.evaluate(async (length) => {
      const began = performance.now();
      for (let frame = 0; performance.now() - began < length * 1000; frame++) {
        await new Promise(requestAnimationFrame);
        scrollBy(0, Math.floor(frame / 150) % 2 === 0 ? 60 : -60);
      }
      const cells = [...document.querySelectorAll("table.containers tbody td.number")];
      return cells.filter(({ textContent }) => /\d/.test(textContent)).length / 2;
    }, seconds);
    const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
    const mains = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
    const places = new Set(mains.map(({ pid, tid }) => `${pid} ${tid}`));
    const tasks = traceEvents.filter(({ name, pid, tid }) => name === "RunTask" && places.has(`${pid} ${tid}`));
    const longest = tasks.map(({ tdur = 0 }) => tdur / 1000).sort((a, b) => b - a);
    return { tasks: tasks.length, longest: longest.slice(0, 10), measured };
  },
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const { scene, ...rest } = JSON.parse(line);
    const answer = await SCENES[scene](rest).then(
      (result = null) => ({ result }),
      (error) => ({ error: String(error) }),
    );
    if (faults.length > 0)
      Object.assign(answer, { error: `the page's own script failed: ${faults.splice(0).join("\n")}` });
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
