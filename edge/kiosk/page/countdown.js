// "n 秒后返回" and its bar. The agent decides when the screen returns; this only tells how long it still is.
const TICK_MS = 250;
let timer = 0;
let counted = "";

export function countDown({ view, mono_ms, back }) {
  const key = `${view.number} ${view.deadline_ms}`;
  if (key === counted) return;
  counted = key;
  clearInterval(timer);
  if (view.deadline_ms === null) return;
  const end = performance.now() + view.deadline_ms - mono_ms;
  const whole_ms = Math.max(view.back_ms, view.deadline_ms - mono_ms);
  const tick = () => show(Math.max(0, end - performance.now()), whole_ms, back);
  timer = setInterval(tick, TICK_MS);
  tick();
}

function show(left_ms, whole_ms, back) {
  const footer = document.querySelector(".rl-k-back");
  if (!footer) return;
  const seconds = Math.max(1, Math.ceil(left_ms / 1000));
  const both = ["zh", "en"].map((language) => {
    const text = document.createElement("span");
    text.lang = language === "zh" ? "zh-CN" : "en";
    text.textContent = back[language].replace("{n}", seconds);
    return text;
  });
  if (document.documentElement.lang === "en") both.reverse();
  footer.querySelector("p").replaceChildren(both[0], " \u00a0", both[1]);
  footer.querySelector("i").style.setProperty("--v", ((100 * left_ms) / whole_ms).toFixed(2));
}
