// The WebSocket to the agent: comes back by itself, and knows when the agent is gone.
const SILENT_MS = 6000; // the agent speaks at least every 2 s
const GONE_AFTER_MS = 2000; // a short restart is not shown
const LONGEST_PAUSE_MS = 3000;

export function connect({ onSnapshot, onBeat, onGone }) {
  let socket = null;
  let silence = 0;
  let gone = 0;
  let pause_ms = 250;

  function open() {
    socket = new WebSocket(`ws://${location.host}/socket`);
    socket.onmessage = (event) => {
      heard();
      const message = JSON.parse(event.data);
      if (message.type === "show") onSnapshot(message);
      else onBeat();
    };
    socket.onclose = closed;
    listen();
  }

  function heard() {
    pause_ms = 250;
    clearTimeout(gone);
    gone = 0;
    listen();
  }

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      socket.onclose = socket.onmessage = null;
      socket.close();
      closed();
    }, SILENT_MS);
  }

  function closed() {
    clearTimeout(silence);
    gone ||= setTimeout(onGone, GONE_AFTER_MS);
    setTimeout(open, pause_ms * (0.5 + Math.random() / 2));
    pause_ms = Math.min(pause_ms * 2, LONGEST_PAUSE_MS);
  }

  open();
  return {
    send(message) {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    },
  };
}
