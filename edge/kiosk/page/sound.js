// Short sounds that differ in rhythm, 300 to 1,000 Hz, at most 400 ms. The screen alone suffices.
const PATTERNS = {
  yes: [[660, 0, 0.16], [880, 0.2, 0.2]],
  again: [[880, 0, 0.2]],
  note: [[660, 0, 0.2]],
  no: [[330, 0, 0.16], [330, 0.24, 0.16]],
  identify: [0, 0.6, 1.2].flatMap((at) => [[660, at, 0.14], [880, at + 0.18, 0.14]]),
};
const LOUDNESS = 0.25; // at the full volume, 100
let context = null;

export function play(name, volume) {
  if (!(name in PATTERNS) || volume === 0) return;
  context ??= new AudioContext();
  if (context.state === "suspended") context.resume();
  for (const [hertz, after_s, length_s] of PATTERNS[name]) tone(hertz, context.currentTime + after_s, length_s, (LOUDNESS * volume) / 100);
}

function tone(hertz, start_s, length_s, loudness) {
  const oscillator = new OscillatorNode(context, { frequency: hertz });
  const gain = new GainNode(context, { gain: 0 });
  gain.gain.setValueAtTime(0, start_s);
  gain.gain.linearRampToValueAtTime(loudness, start_s + 0.01);
  gain.gain.setValueAtTime(loudness, start_s + length_s - 0.03);
  gain.gain.linearRampToValueAtTime(0, start_s + length_s);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start_s);
  oscillator.stop(start_s + length_s);
}
