(() => {
  const root = document.documentElement, button = document.querySelector("header button");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  try { const kept = localStorage.getItem("theme"); if (kept) root.dataset.theme = kept; } catch {}
  button.hidden = false;
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch {}
  };
  const lost = document.getElementById("lost");
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(4000) });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = [...document.querySelectorAll("details[open]")].map(d => d.id);
      const focus = document.activeElement?.id;
      for (const id of open) next.getElementById(id)?.setAttribute("open", "");
      const verdict = next.querySelector("h1"), shown = document.querySelector("h1");
      if (verdict.textContent !== shown.textContent) shown.replaceWith(document.adoptNode(verdict.cloneNode(true)));
      document.title = next.title;
      document.getElementById("live").replaceWith(document.adoptNode(next.getElementById("live")));
      if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
  };
  setInterval(refresh, 5000);
  // The link in an alert names its rule.
  const rule = new URLSearchParams(location.search).get("rule");
  const card = rule && [...document.querySelectorAll("[data-rule]")].find(c => c.dataset.rule === rule);
  if (card) location.replace("#" + card.id);
})();
