// The staff keypad: digits stay on the page until they are complete. Works with a keyboard too.
const PIN_AT_LEAST = 4;
const WORDS = {
  delete: { zh: "删除", en: "Delete" },
  back: { zh: "返回", en: "Back" },
  confirm: { zh: "确定", en: "OK" },
};
let typed = "";
let last = "";

// Another view was drawn: who comes next sees no digits of the one before.
export function forgetDigits() {
  typed = last = "";
  onkeydown = null;
}

export function keypad(view, touch, pair) {
  if (view.hidden || last !== view.screen) typed = ""; // a number with a wrong digit may be corrected
  last = view.screen;
  const least = view.hidden ? PIN_AT_LEAST : view.digits;
  const pad = document.createElement("nav");
  pad.className = "rl-k-pad";
  pad.ariaLabel = "数字键盘 Keypad";

  const press = {
    digit(digit) {
      if (typed.length < view.digits) typed += digit;
      show();
      touch("screen");
    },
    delete() {
      typed = typed.slice(0, -1);
      show();
      touch("screen");
    },
    back() {
      forgetDigits();
      touch("back");
    },
    confirm() {
      if (typed.length >= least) touch(view.screen, typed);
    },
  };

  const key = (name, children, act) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "rl-btn";
    button.dataset.key = name;
    button.append(...children);
    button.onclick = act;
    return button;
  };
  const digit = (d) => key(d === "0" ? "zero" : "digit", [d], () => press.digit(d));
  const named = (name) => key(name, pair(WORDS[name], "span"), press[name]);
  pad.append(digit("1"), digit("2"), digit("3"), named("delete"));
  pad.append(digit("4"), digit("5"), digit("6"), named("back"));
  pad.append(digit("7"), digit("8"), digit("9"), named("confirm"), digit("0"));
  const confirm = pad.querySelector("[data-key=confirm]");
  confirm.dataset.kind = "main";

  function show() {
    confirm.disabled = typed.length < least;
    const output = document.querySelector(".rl-k-typed");
    if (output) output.textContent = view.hidden ? "●".repeat(typed.length) : typed.replace(/(.{4})(?=.)/g, "$1 ");
  }

  onkeydown = (event) => {
    if (!pad.isConnected || event.target.closest?.("button")?.dataset.key && event.key === "Enter") return;
    if (/^[0-9]$/.test(event.key)) press.digit(event.key);
    else if (event.key === "Backspace") press.delete();
    else if (event.key === "Escape") press.back();
    else if (event.key === "Enter") press.confirm();
  };
  requestAnimationFrame(show);
  return pad;
}
