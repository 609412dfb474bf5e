// A snapshot onto the page. Parts that did not change stay as they are, so that focus and motion are kept.
import { forgetDigits, keypad } from "./keypad.js";

const main = document.querySelector("main");
const starting = [...main.childNodes];
const picture = document.getElementById("picture").content;
const parts = { head: null, now: null, main: null, acts: null, foot: null };
let language = "zh";

export function draw(snapshot, touch) {
  const { view } = snapshot;
  language = snapshot.language;
  document.documentElement.lang = language === "en" ? "en" : "zh-CN";
  mark(document.body, "verdict", view.field);
  mark(document.body, "screen", view.screen);
  mark(document.body, "dim", snapshot.dim ? "" : null);
  mark(document.body, "covered", snapshot.covered ? "" : null);
  part("head", snapshot.head, () => head(snapshot.head));
  part("now", view.field ? view.symbol : view.digits || view.screen === "leave" ? view.screen : snapshot.schedule, () => now(snapshot));
  part("main", [view.number, view.title], () => words(view));
  part("acts", [view.number, view.title], () => acts(view, touch));
  part("foot", view.back_ms === null ? snapshot.line : view.number, () => foot(snapshot));
  main.replaceChildren(...Object.values(parts).flatMap((p) => (p?.node ? [p.node] : [])));
}

export function drawStarting() {
  forgetDigits();
  for (const name of Object.keys(parts)) parts[name] = null;
  document.documentElement.lang = "zh-CN";
  mark(document.body, "verdict", "stop");
  mark(document.body, "screen", "starting");
  mark(document.body, "dim", null);
  main.replaceChildren(...starting);
}

// --- parts -----------------------------------------------------------------------------------------------------------

function part(name, content, make) {
  const key = JSON.stringify([content, language]);
  if (parts[name]?.key !== key) parts[name] = { key, node: make() };
}

function head({ number, name, clock, day }) {
  const plate = element("span", number ? "rl-plate rl-one" : "", number);
  if ([...number].length > 4) plate.dataset.long = "";
  const named = said(name, "t3 b", "rl-two", "rl-one");
  return element("header", "rl-k-head", plate, element("p", "rl-clock", clock), named, said(day, "t3"));
}

function now({ view, schedule }) {
  if (view.digits) return null;
  if (view.screen === "leave") return element("div", "rl-k-now");
  if (view.field) {
    const symbol = element("i", "rl-i rl-k-sym");
    symbol.ariaHidden = "true";
    symbol.style.setProperty("--i", `var(--i-${view.symbol})`);
    symbol.dataset.symbol = view.symbol;
    return element("div", "rl-k-now", symbol);
  }
  return element("section", "rl-k-now", element("ol", "rl-sched", ...schedule.map(row)));
}

function row({ when, day, title, now: on }) {
  const named = said(title, on ? "t3 b" : "t3", "rl-two", "rl-one");
  if (!when) return element("li", "rl-k-none", named);
  if (!day) return element("li", "", element("p", "t3 b nowrap", when), named);
  const hours = element("span", "rl-en", when);
  return element("li", "", element("p", "t3 b nowrap", language === "en" ? day.en : day.zh, hours), named);
}

function words(view) {
  const title = said(view.title, "", "", "", "h1");
  if ([...view.title.zh].length <= 4) title.dataset.short = "";
  if (view.field && view.title.en.length <= 11) title.dataset.shortEn = "";
  const lines = [view.activity && said(view.activity, "t3", "rl-two", "rl-one"), view.lines && said(view.lines, "t3")];
  const command = view.command && element("code", "rl-k-command t1", view.command);
  const section = element("section", "rl-k-main", view.picture && picture.cloneNode(true), title, ...lines, command);
  if (view.field) section.role = "alert";
  if (view.digits) section.append(element("output", "rl-k-typed"));
  return section;
}

function acts(view, touch) {
  if (view.digits) return keypad(view, touch, pair);
  forgetDigits();
  if (!view.buttons.length) return null;
  const buttons = view.buttons.map((b) => {
    const button = element("button", "rl-btn", ...pair(b.words, "span"));
    button.type = "button";
    if (b.main) button.dataset.kind = "main";
    button.onclick = () => touch(b.touch);
    return button;
  });
  const nav = element("nav", "rl-k-acts", ...buttons);
  nav.ariaLabel = language === "en" ? "Choices" : "选择";
  return nav;
}

function foot({ view, line }) {
  if (view.back_ms !== null) {
    const bar = element("div", "rl-bar", element("i", ""));
    bar.ariaHidden = "true";
    return element("footer", "rl-k-back", element("p", "t1"), bar);
  }
  const symbol = element("i", "rl-i");
  symbol.ariaHidden = "true";
  const [first, second] = order(line.words);
  const text = element("p", "", element("b", "", first.text), second.text && tagged("span", "", second));
  const footer = element("footer", "rl-k-state", symbol, text);
  footer.dataset.s = line.s;
  if (line.loud) footer.dataset.loud = "";
  return footer;
}

// --- words -----------------------------------------------------------------------------------------------------------

// Both languages of one thing: the room's own first, the other below it, smaller.
function said(both, classes, clamp = "", clampSecond = "", tag = "p") {
  const [first, second] = pair(both, "span");
  if (clamp) first.classList.add(clamp);
  if (clampSecond) second?.classList.add(clampSecond);
  return element(tag, classes, first, second);
}

function pair(both, tag) {
  const [first, second] = order(both);
  return [tagged(tag === "span" ? "bdi" : tag, "", first), second.text && tagged("span", "rl-en", second)].filter(Boolean);
}

function order({ zh, en }) {
  const both = [{ text: zh, lang: "zh-CN" }, { text: en, lang: "en" }];
  return language === "en" && en ? both.reverse() : both;
}

function tagged(tag, classes, { text, lang }) {
  const node = element(tag, classes);
  text.split("\n").forEach((line, index) => node.append(...(index ? [document.createElement("br"), line] : [line])));
  node.lang = lang;
  return node;
}

function element(tag, classes, ...children) {
  const node = document.createElement(tag);
  if (classes) node.className = classes;
  node.append(...children.filter(Boolean));
  return node;
}

function mark(node, name, value) {
  if (value === null) delete node.dataset[name];
  else node.dataset[name] = value;
}
