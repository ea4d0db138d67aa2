// Chromium in a test's hands: reads one command a line as JSON, answers each with one line.
// The tests themselves are in page.rs; nothing here knows what the page is to look like.
"use strict";
const readline = require("node:readline");
const axe = require("axe-core");
const { chromium } = require("playwright-core");

// Far longer than anything takes on a busy machine, and shorter than the harness waits.
const PATIENCE = 40000;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

let browser, page, problems, requests;

// Everything that a page must not do while a test looks on.
const watch = (context, origin) => {
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { problems.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  context.on("request", (request) => {
    requests.push(request.url());
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith("data:")) {
      problems.push(`foreign request: ${request.url()}`);
    }
  });
};

const commands = {
  // A new page, with nothing left of the last one. `still`: the page's time passes only with `pass`.
  async open({ url, width = 1280, height = 800, scheme = "light", scale = 1, script = true, still = false }) {
    await page?.context().close();
    const context = await browser.newContext({
      viewport: { width, height }, deviceScaleFactor: scale, colorScheme: scheme, javaScriptEnabled: script, locale: "en-GB", timezoneId: "UTC",
    });
    context.setDefaultTimeout(PATIENCE);
    page = await context.newPage();
    problems = [];
    requests = [];
    watch(context, new URL(url).origin);
    if (script) {
      await context.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`);
      }));
    }
    if (still) await page.clock.install({ time: 1781524800000 });
    const answer = await page.goto(url);
    if (still) await page.clock.pauseAt(1781524800000 + 5000);
    return answer.status();
  },
  // The page's own clock goes on by so much; what was due meanwhile happens once.
  async pass({ ms }) { await page.clock.fastForward(ms); },
  async resize({ width, height }) { await page.setViewportSize({ width, height }); },
  async press({ key }) { await page.keyboard.press(key); },
  // Waits until such an element with such a text is there to be seen.
  async wait({ selector, text = "" }) {
    await page.locator(selector).filter({ hasText: text, visible: true }).first().waitFor();
  },
  async count({ selector }) { return page.locator(selector).count(); },
  async texts({ selector }) { return page.locator(selector).allInnerTexts(); },
  // A function's source, run in the page.
  async evaluate({ source }) { return page.evaluate(`(${source})()`); },
  // What axe-core finds, and how many rules held.
  async axe() {
    await page.evaluate(axe.source);
    const found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
    return {
      passed: found.passes.length,
      bad: found.violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(" | ")}`),
    };
  },
  async problems() { return problems; },
  async requests() { return requests; },
  async screenshot({ file }) { await page.screenshot({ path: file }); },
};

(async () => {
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
  console.log(JSON.stringify({ value: browser.version() }));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
      const value = await commands[command.do](command);
      console.log(JSON.stringify({ value: value ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error.stack ?? error) }));
    }
  }
  await browser.close();
})();
