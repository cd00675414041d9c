(() => {
  const root = document.documentElement, body = document.body, button = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  try { const kept = localStorage.getItem("theme"); if (kept) root.dataset.theme = kept; } catch {}
  button.hidden = false;
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch {}
  };
  const read = async url => {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(4000) });
    if (!answer.ok) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  // What is open stays open, and the focus stays where it is.
  const swap = (id, next) => {
    const focus = document.activeElement?.id;
    for (const shown of document.querySelectorAll("details")) {
      const fresh = next.getElementById(shown.id);
      if (fresh) fresh.open = shown.open;
    }
    document.getElementById(id)?.replaceWith(document.adoptNode(next.getElementById(id)));
    if (focus && document.activeElement?.id !== focus) document.getElementById(focus)?.focus({ preventScroll: true });
  };
  const lost = document.getElementById("lost"), pause = document.getElementById("pause");
  pause.hidden = false;
  pause.onclick = () => pause.setAttribute("aria-pressed", pause.getAttribute("aria-pressed") === "false");
  // Nobody can copy or read what is replaced under the pointer.
  const reading = () => {
    const chosen = getSelection(), live = document.getElementById("live");
    return pause.getAttribute("aria-pressed") === "true" || (!chosen.isCollapsed && live.contains(chosen.anchorNode));
  };
  let heard = Date.now();
  const clock = time => new Date(time).toISOString().slice(11, 19) + " UTC";
  const gone = () => {
    const shown = document.querySelector("h1");
    shown.textContent = "Sidewatch itself does not answer since " + clock(heard);
    shown.className = "bad";
    document.title = shown.textContent;
    body.classList.add("old");
    lost.hidden = false;
  };
  const refresh = async () => {
    if (document.hidden) return;
    try {
      let next = await read(location.pathname + body.dataset.live);
      heard = Date.now();
      if (next.body.dataset.config !== body.dataset.config) {
        next = await read(location.pathname);
        swap("configuration", next);
        body.dataset.config = next.body.dataset.config;
      }
      const verdict = next.querySelector("h1"), shown = document.querySelector("h1");
      if (verdict.textContent !== shown.textContent) {
        shown.textContent = verdict.textContent;
        shown.className = verdict.className;
      }
      document.title = next.title;
      if (!reading()) {
        swap("live", next);
        offer();
        filter();
      }
      lost.hidden = true;
      body.classList.remove("old");
    } catch {
      gone();
    }
  };
  // The buttons appear only where a click can do something.
  const offer = () => { for (const one of document.querySelectorAll("[data-accept]")) one.hidden = false; };
  // Cards whose text lacks a word of the filter are hidden; the URL keeps the filter.
  let words = new URLSearchParams(location.search).get("filter") ?? "";
  const filter = () => {
    const field = document.getElementById("filter");
    if (!field) return;
    document.getElementById("filter-line").hidden = false;
    if (document.activeElement !== field || field.value === "") field.value = words;
    const all = [...document.querySelectorAll("#signals .card")], wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of all) {
      const text = card.textContent.toLowerCase();
      card.hidden = !wanted.every(word => text.includes(word));
    }
    document.getElementById("filtered").textContent = wanted.length ? all.filter(card => !card.hidden).length + " of " + all.length : "";
  };
  document.addEventListener("input", event => {
    if (event.target.id !== "filter") return;
    words = event.target.value;
    const url = new URL(location);
    if (words) url.searchParams.set("filter", words); else url.searchParams.delete("filter");
    history.replaceState(null, "", url);
    filter();
  });
  offer();
  filter();
  document.addEventListener("click", async event => {
    const id = event.target.dataset?.accept;
    if (!id || !confirm("Take the present level for normal? The alert ends, and this cannot be undone.")) return;
    event.target.disabled = true;
    const answer = await fetch((body.dataset.live ? "" : "../") + "api/v1/signals/" + encodeURIComponent(id) + "/accept", { method: "POST" }).catch(() => null);
    event.target.textContent = answer?.ok ? "accepted" : "not accepted: " + (answer?.status ?? "no answer");
  });
  const again = async () => { await refresh(); setTimeout(again, body.dataset.every); };
  setTimeout(again, body.dataset.every);
  // The link in an alert names its rule; the id tells rules of one name apart. A watch is shown by
  // its charts, an alert by its card while it is active, any rule by its row.
  const wanted = new URLSearchParams(location.search), id = wanted.get("id"), rule = wanted.get("rule");
  const places = ["#signals", "#alerts", "#rules"].flatMap(part => [...document.querySelectorAll(part + " [data-rule]")]);
  const found = places.find(place => id && place.dataset.ruleId === id) ?? places.find(place => place.dataset.rule === rule);
  if (found) {
    const group = found.closest("details");
    if (group) group.open = true;
    location.replace("#" + found.id);
  }
})();
