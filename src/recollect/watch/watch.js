"use strict";
// Asks for the page every two seconds while the tab is seen, and puts in what has changed. Addresses are relative, so
// that it works behind any prefix and port.
(() => {
  const EVERY = 2000, LATER = 10000;
  const base = new URL(location.href);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const token = base.searchParams.get("token");
  base.search = base.hash = "";
  const notice = document.getElementById("notice");
  const dialog = document.getElementById("ask");
  let tag = "", timer = 0, sent = 0, byCookie = true, lost = false, hide = 0;

  function say(text, seconds) {
    clearTimeout(hide);
    notice.textContent = text;
    notice.hidden = !text;
    if (seconds) hide = setTimeout(() => say(""), 1000 * seconds);
  }

  const headers = (more) => (byCookie ? more : { ...more, "X-Recollect-Token": token });
  const get = () => fetch(base, { cache: "no-store", headers: headers(tag ? { "If-None-Match": tag } : {}) });

  async function ask() {
    const mine = ++sent;
    let wait = EVERY;
    try {
      let answer = await get();
      if (token && byCookie && answer.status === 403) { byCookie = false; answer = await get(); }
      if (mine !== sent) return;
      if (answer.status === 200) {
        tag = answer.headers.get("ETag") || "";
        put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
      const good = answer.status === 200 || answer.status === 304;
      if (good && token && byCookie && location.search) history.replaceState(null, "", location.pathname + location.hash);
      if (good && lost) say("");
      if (answer.status === 403) say("This address is no longer valid: open the one that recollect watch printed last.");
      else if (!good) say((await answer.text()).trim() || "The server of this page has trouble.");
      lost = !good;
      wait = good ? EVERY : LATER;
    } catch (error) {
      say("No answer from the server of this page; the run itself is another process. Trying again…");
      lost = true;
      wait = LATER / 2;
    }
    plan(wait);
  }

  function plan(wait) {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(ask, wait);
  }

  function put(fresh) {
    document.title = fresh.title;
    same(document.querySelector("header"), fresh.querySelector("header"));
    const nav = document.querySelector(".bar nav"), main = document.querySelector("main");
    const ids = [...fresh.querySelectorAll("main > section")].map((one) => one.id);
    for (const old of main.querySelectorAll(":scope > section")) if (!ids.includes(old.id)) old.remove();
    let before = null;
    for (const section of fresh.querySelectorAll("main > section")) {
      const old = document.getElementById(section.id);
      if (old) { same(old, section); before = old; }
      else { const added = document.adoptNode(section); before ? before.after(added) : main.prepend(added); before = added; }
    }
    same(nav, fresh.querySelector(".bar nav"));
  }

  // New content for an element whose content differs: what was open, scrolled or focused in it stays so.
  function same(old, fresh) {
    if (!old || !fresh || old.innerHTML === fresh.innerHTML) return;
    const open = [...old.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
    const place = (one) => [...old.querySelectorAll("a, button, summary, [tabindex]")].indexOf(one);
    const focused = old.contains(document.activeElement) ? place(document.activeElement) : -1;
    const log = old.querySelector(".log");
    const end = !log || log.scrollTop + log.clientHeight > log.scrollHeight - 8, top = log ? log.scrollTop : 0;
    old.replaceChildren(...document.adoptNode(fresh).childNodes);
    for (const [id, was] of open) { const one = document.getElementById(id); if (one) one.open = was; }
    const now = old.querySelector(".log");
    if (now) now.scrollTop = end ? now.scrollHeight : top;
    if (focused >= 0) old.querySelectorAll("a, button, summary, [tabindex]")[focused]?.focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.stop");
    if (!button) return;
    document.getElementById("ask-name").textContent = button.dataset.name;
    dialog.dataset.pid = button.dataset.pid;
    dialog.returnValue = "no";
    dialog.showModal();
  });
  dialog.addEventListener("close", async () => {
    const answered = dialog.returnValue;
    dialog.returnValue = "no";  // an answer is acted upon once, also where the event of an earlier closing comes late
    if (answered !== "yes" && answered !== "end") return;
    try {
      const answer = await fetch(new URL("stop", base), {
        method: "POST",
        headers: headers({ "X-Recollect-Watch": "stop", "Content-Type": "application/json" }),
        body: JSON.stringify({ pid: Number(dialog.dataset.pid), how: answered === "end" ? "end the search" : "stop" }),
      });
      say((await answer.text()).trim(), 12);
    } catch (error) { say("No answer from the server of this page: nothing was stopped.", 12); }
    plan(EVERY);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
  const log = document.querySelector(".log");
  if (log) log.scrollTop = log.scrollHeight;
  ask();
})();
