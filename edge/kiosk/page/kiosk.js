// The kiosk's page: what the agent says is drawn, what is touched is told. It decides nothing.
import { connect } from "./link.js";
import { countDown } from "./countdown.js";
import { draw, drawStarting } from "./draw.js";
import { play } from "./sound.js";

let shown = null; // number of the view on the screen, null while the agent is away

const link = connect({
  onSnapshot(snapshot) {
    const fresh = shown !== snapshot.view.number;
    draw(snapshot, touch);
    countDown(snapshot);
    if (fresh && shown !== null) play(snapshot.view.sound, snapshot.volume);
    shown = snapshot.view.number;
    // The second frame begins once the first was painted: only then is what was covered out of sight.
    const { covered } = snapshot;
    requestAnimationFrame(() => {
      if (!covered) return link.send({ type: "alive", view: shown ?? 0 });
      requestAnimationFrame(() => link.send({ type: "alive", view: shown ?? 0, covered }));
    });
  },
  onBeat() {
    link.send({ type: "alive", view: shown ?? 0 });
  },
  onGone() {
    shown = null;
    drawStarting();
  },
});

function touch(name, digits = "") {
  if (shown !== null) link.send({ type: "touch", touch: name, view: shown, digits });
}

// A touch beside every button is counted, and gives whoever reads more time.
addEventListener("pointerdown", (event) => {
  if (!event.target.closest("button:enabled")) touch("screen");
});
addEventListener("contextmenu", (event) => event.preventDefault());
