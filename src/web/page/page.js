"use strict";
(() => {
  const EVERY = 10000, HIDDEN = 25000, PATIENCE = 8000, LOW = 0.1;
  let drawn = performance.now(), asOf = Date.now(), asking = false;

  // The same words as the exporter's.
  const span = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
    return d ? `${d} d ${h % 24} h` : h ? `${h} h ${m % 60} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
  };

  const count = () => {
    const passed = performance.now() - drawn;
    for (const e of document.querySelectorAll("span[data-left]")) {
      const left = Number(e.dataset.left) - passed;
      e.textContent = left > 0 ? `in ${span(left)}` : "now: the next answer tells";
    }
    for (const e of document.querySelectorAll("rect[data-left]")) {
      const part = Math.min(1, Math.max(0, (Number(e.dataset.left) - passed) / Number(e.dataset.full)));
      e.setAttribute("width", `${(part * 100).toFixed(2)}%`);
      e.classList.toggle("low", part < LOW);
    }
    for (const e of document.querySelectorAll("[data-ago]")) {
      e.textContent = `${span(Number(e.dataset.ago) + passed)} ago`;
    }
  };

  const clocks = () => {
    for (const e of document.querySelectorAll("time[data-clock]")) {
      const form = e.dataset.clock === "minutes"
        ? { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }
        : { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
      e.title = e.dateTime;
      e.textContent = new Intl.DateTimeFormat("en-GB", form).format(new Date(e.dateTime));
    }
  };

  const key = (e) => e && (e.dataset.account ?? e.parentElement?.dataset.account ?? e.getAttribute("href"));

  // Puts the new page in the place of the old one; what was opened, and where the keyboard was, stays.
  const show = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const live = next.getElementById("live"), old = document.getElementById("live");
    if (!live) throw new Error("not the status page");
    const open = new Map([...old.querySelectorAll("details")].map((e) => [e.dataset.account, e.open]));
    const focus = old.contains(document.activeElement) ? key(document.activeElement) : null;
    for (const e of live.querySelectorAll("details")) e.open = open.get(e.dataset.account) ?? e.open;
    old.replaceWith(document.adoptNode(live));
    if (focus) [...live.querySelectorAll("a, summary")].find((e) => key(e) === focus)?.focus({ preventScroll: true });
    document.title = next.title;
    const icon = next.querySelector("link[rel=icon]");
    if (icon) document.querySelector("link[rel=icon]")?.setAttribute("href", icon.getAttribute("href"));
    drawn = performance.now();
    asOf = Date.now();
    clocks();
  };

  const lost = (is) => {
    const note = document.getElementById("lost");
    if (note.hidden !== is) return;
    note.hidden = !is;
    document.body.classList.toggle("lost", is);
    const at = new Date(asOf).toLocaleTimeString("en-GB");
    if (is) {
      // The tab must not go on telling what may no longer be so; the next page brings its own.
      document.title = "? No answer – Tradernet sessions";
      const icon = document.querySelector("link[rel=icon]");
      icon?.setAttribute("href", icon.getAttribute("href").replace(/%23[0-9a-f]{6}/, "%2364748b"));
    }
    note.textContent = is ? `The exporter does not answer. Everything below is as of ${at}.` : "";
  };

  const refresh = async () => {
    // In the background title and icon are all that is seen: every third time will do.
    if (asking || (document.hidden && performance.now() - drawn < HIDDEN)) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      show(await answer.text());
      lost(false);
    } catch {
      lost(true);
    }
    asking = false;
  };

  clocks();
  setInterval(count, 1000);
  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
})();
