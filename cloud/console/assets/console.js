// The console's own script: keys, drawer, ages that go on counting. Everything else is NiceGUI's.

const nav = () => document.getElementById("nav");
const menu = () => document.getElementById("menu");

function openMenu(open) {
  nav()?.toggleAttribute("data-open", open);
  menu()?.setAttribute("aria-expanded", String(open));
  if (open) nav()?.querySelector("a, input")?.focus();
}

document.addEventListener("click", (event) => {
  const target = event.target;
  if (target.closest?.("#menu")) openMenu(!nav()?.hasAttribute("data-open"));
  else if (nav()?.hasAttribute("data-open") && !target.closest("#nav")) openMenu(false);
  for (const account of document.querySelectorAll("details.rl-account[open]")) {
    if (!account.contains(target)) account.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") {
    for (const account of document.querySelectorAll("details.rl-account[open]")) account.open = false;
    if (nav()?.hasAttribute("data-open")) {
      openMenu(false);
      menu()?.focus();
    } else if (typing && typing.id === "search") typing.blur();
  } else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !typing) moveInList(event);
});

// Arrow keys go from link to link within the menu, and from row to row within a table.
function moveInList(event) {
  const list = event.target.closest?.("#nav, .rl-table, .rl-time");
  if (!list) return;
  const stops = [...list.querySelectorAll(list.id === "nav" ? "a" : "tr a, tr button, li a")].filter((e) => e.offsetParent);
  const row = (element) => element.closest("tr, li") ?? element;
  const rows = stops.filter((stop, at) => at === 0 || row(stops[at - 1]) !== row(stop));
  const here = rows.findIndex((stop) => row(stop) === row(event.target));
  const next = rows[here + (event.key === "ArrowDown" ? 1 : -1)];
  if (here < 0 || !next) return;
  event.preventDefault();
  next.focus();
}

// <time data-ago="milliseconds since 1970">: "3 s ago" goes on counting in the page's language.
const UNITS = [["day", 86400, 172800], ["hour", 3600, 7200], ["minute", 60, 120], ["second", 1, 0]];
const CHINESE = { day: "天前", hour: "小时前", minute: "分钟前", second: "秒前" };
const ENGLISH = { day: "d ago", hour: "h ago", minute: "min ago", second: "s ago" };

function age(seconds) {
  const [unit, size] = UNITS.find(([, , from]) => seconds >= from);
  const words = document.documentElement.lang.startsWith("zh") ? CHINESE : ENGLISH;
  return `${Math.floor(seconds / size)} ${words[unit]}`;
}

let skew = 0;
setInterval(() => {
  for (const each of document.querySelectorAll("time[data-ago]")) {
    const said = age(Math.max(0, (Date.now() + skew - Number(each.dataset.ago)) / 1000));
    if (each.textContent !== said) each.textContent = said;
  }
}, 1000);
fetch("/assets/favicon.svg", { method: "HEAD", cache: "no-store" }).then((answer) => {
  const server = Date.parse(answer.headers.get("date") ?? "");
  if (server) skew = Math.abs(server - Date.now()) > 2000 ? server - Date.now() : 0;
});

// The sign-in page follows the system's theme by itself; in the console NiceGUI does.
const own = document.body.dataset.theme;
if (own === "dark" || (own === "auto" && matchMedia("(prefers-color-scheme: dark)").matches)) {
  document.body.classList.add("body--dark");
}

// A page that lost its socket may have lost its session: then it leads to the sign-in, not to a promise of reconnection.
setInterval(async () => {
  if (!window.socket || window.socket.connected) return;
  const answer = await fetch("/api/v1/session", { cache: "no-store" }).catch(() => null);
  if (answer?.status === 401) location.href = `/sign-in?next=${encodeURIComponent(location.pathname)}`;
}, 2000);

// Fields that are shown while another field of their form has one of some values: data-when="field=value|value".
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  for (const part of form.querySelectorAll("[data-when]")) {
    const [field, values] = part.dataset.when.split("=");
    part.hidden = !values.split("|").includes(form.elements[field]?.value);
  }
});

// What was pressed (data-key) keeps the focus when the piece of the page around it is drawn anew.
let pressed = null;
document.addEventListener("click", (event) => {
  pressed = event.target.closest?.("[data-key]")?.dataset.key ?? null;
}, true);
new MutationObserver(() => {
  if (!pressed || document.activeElement !== document.body) return;
  document.querySelector(`[data-key="${CSS.escape(pressed)}"]`)?.focus({ preventScroll: true });
}).observe(document.body, { childList: true, subtree: true });

// A page that changes its address by itself is told when one goes back to an earlier one: data-back names the event.
addEventListener("popstate", () => {
  const name = document.querySelector("[data-back]")?.dataset.back;
  if (name && window.emitEvent) emitEvent(name, location.search);
});

// data-presence names the event by which a page hears whether the pointer or the focus is in that piece of it. It is looked at,
// because what is drawn anew under a pointer tells of no leaving.
const inside = new WeakMap();
setInterval(() => {
  for (const piece of document.querySelectorAll("[data-presence]")) {
    const now = piece.matches(":hover, :focus-within");
    if (now === (inside.get(piece) ?? false) || !window.socket?.connected) continue;
    inside.set(piece, now);
    emitEvent(piece.dataset.presence, now);
  }
}, 250);
