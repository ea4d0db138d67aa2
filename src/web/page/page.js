"use strict";
(() => {
  const REFRESH_MS = 10000, HIDDEN_REFRESH_MS = 25000, TIMEOUT_MS = 8000, LOW_MS = 1800000, SCALE_MS = 86400000, SCALE_UNIT_MS = 300000;
  let drawn = performance.now(), asOf = Date.now(), fetching = false;

  // The exporter writes durations and bars in the same way.
  const duration = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    return d ? `${d} d ${h % 24} h` : h ? `${h} h ${m % 60} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
  };
  const percent = (ms) => `${(Math.min(1, Math.log1p(Math.max(0, ms) / SCALE_UNIT_MS) / Math.log1p(SCALE_MS / SCALE_UNIT_MS)) * 100).toFixed(2)}%`;

  const count = () => {
    const passed = performance.now() - drawn;
    for (const e of document.querySelectorAll("[data-left]")) {
      const left = Number(e.dataset.left) - passed;
      e.textContent = left > 0 ? `in ${duration(left)}` : "now, waiting for the next poll";
    }
    for (const e of document.querySelectorAll("[data-last]")) {
      const left = Number(e.dataset.last) - passed;
      e.setAttribute("width", percent(left));
      e.classList.toggle("low", left < LOW_MS);
    }
    for (const e of document.querySelectorAll("[data-first]")) e.setAttribute("x", percent(Number(e.dataset.first) - passed));
    for (const e of document.querySelectorAll("[data-ago]")) e.textContent = `${duration(Number(e.dataset.ago) + passed)} ago`;
  };

  const zone = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
  const FORMS = {
    time: { weekday: "short", second: "2-digit", ...zone },
    day: { day: "2-digit", month: "short", year: "numeric", ...zone },
  };
  const times = () => {
    for (const e of document.querySelectorAll("time[data-form]")) {
      e.title = e.dateTime;
      e.textContent = new Intl.DateTimeFormat("en-GB", FORMS[e.dataset.form]).format(new Date(e.dateTime));
    }
  };

  const key = (e) => e && (e.parentElement?.dataset.account ?? e.getAttribute("href") ?? e.form?.getAttribute("action"));

  // Replaces the page; what was opened stays open, and the keyboard stays where it was.
  const show = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const live = next.querySelector(".live"), old = document.querySelector(".live");
    if (!live) throw new Error("not the status page");
    const open = new Map([...old.querySelectorAll("details")].map((e) => [e.dataset.account, e.open]));
    const focus = old.contains(document.activeElement) ? key(document.activeElement) : null;
    for (const e of live.querySelectorAll("details")) e.open = open.get(e.dataset.account) ?? e.open;
    old.replaceWith(document.adoptNode(live));
    if (focus) [...live.querySelectorAll("a, summary, button")].find((e) => key(e) === focus)?.focus({ preventScroll: true });
    document.title = next.title;
    const icon = next.querySelector("link[rel=icon]");
    if (icon) document.querySelector("link[rel=icon]")?.setAttribute("href", icon.getAttribute("href"));
    drawn = performance.now();
    asOf = Date.now();
    times();
  };

  const note = (text, stale) => {
    const e = document.querySelector(".lost");
    e.hidden = !text;
    e.textContent = text;
    document.body.classList.toggle("stale", stale);
  };

  const lost = () => {
    // The tab must not show a state that may have changed.
    document.title = "? No answer – Tradernet sessions";
    const icon = document.querySelector("link[rel=icon]");
    icon?.setAttribute("href", icon.getAttribute("href").replace(/%23[0-9a-f]{6}/, "%2364748b"));
    note(`The exporter does not answer. This is the state of ${new Date(asOf).toLocaleTimeString("en-GB", { timeZoneName: "short" })}.`, true);
  };

  const refresh = async (force) => {
    // In the background only title and icon are seen: every third time is enough.
    if (fetching || (!force && document.hidden && performance.now() - drawn < HIDDEN_REFRESH_MS)) return;
    fetching = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      show(await answer.text());
      note("", false);
    } catch {
      lost();
    }
    fetching = false;
  };

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form.retry");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", signal: AbortSignal.timeout(TIMEOUT_MS) });
      const text = (await answer.text()).trim();
      await refresh(true);
      if (!answer.ok) note(`Retry failed: ${text}`, false);
    } catch {
      lost();
    }
    button.disabled = false;
  });

  // An account on another page is searched for.
  const find = () => {
    const name = decodeURIComponent(location.hash.slice(1)), search = new URLSearchParams({ q: name });
    if (name && !document.getElementById(name) && document.querySelector(".pager")) location.search = search;
  };

  times();
  find();
  addEventListener("hashchange", find);
  setInterval(count, 1000);
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", () => refresh());
})();
