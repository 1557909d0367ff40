/**
 * Opens pages of a dashboard in a browser, in both themes, for a test. Standard input: JSON with the link and the pages; output: JSON
 * with what axe finds on each, its text and its title. With SCREENSHOTS=DIR it leaves a picture of each there.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const { url, pages, names = {} } = JSON.parse(readFileSync(0, "utf8"));
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args });
try {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  await page.waitForSelector("nav .live:not(.off)");
  const seen = {};
  for (const theme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    for (const name of pages) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, `#/${name}`);
      await page.waitForSelector("main h1");
      // What has an own way to come is awaited; the rest of a page is there with its heading.
      if (name.endsWith("/logs")) await page.waitForSelector(".line");
      else if (name.includes("container/")) await page.waitForSelector("section .panel, section .empty");
      else if (name === "containers") await page.waitForSelector("table.containers");
      await page.waitForTimeout(Number(process.env.SCREENSHOT_PAUSE_MS ?? 0));
      if (process.env.SCREENSHOTS) {
        const file = `${names[name] ?? (name || "overview")}-${theme}.png`;
        await page.screenshot({ path: `${process.env.SCREENSHOTS}/${file}` });
      }
      await page.evaluate(axe);
      seen[`${theme} ${name}`] = await page.evaluate(async () => ({
        violations: (await globalThis.axe.run(document)).violations.map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
        ),
        text: document.querySelector("main").textContent,
        title: document.title,
      }));
    }
  }
  process.stdout.write(JSON.stringify(seen));
} finally {
  await browser.close();
}
