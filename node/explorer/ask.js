// Asking the node, and hearing from it: by events while a stream is open, else by asking again and again.

const POLL_MS = 3000, RECONNECT_MS = 5000, GATHER_MS = 1000, PATIENCE_MS = 20_000;

// Nobody answered.
export class Away extends Error {
  constructor() {
    super("The node does not answer. Is it running?");
  }
}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, {status, code});
  }
}

// The JSON of an answer. Throws Refused with the node's own words, or Away.
export async function ask(path) {
  let answer = null;
  try {
    answer = await fetch(path, {headers: {Accept: "application/json"}, signal: AbortSignal.timeout(PATIENCE_MS)});
  } catch {
    throw new Away();
  }
  let content = null;
  try {
    content = await answer.json();
  } catch {
    throw new Refused(answer.status, "not_json", "The node's answer cannot be read: " + path);
  }
  if (answer.ok) return content;
  const error = content && content.error || {};
  throw new Refused(answer.status, String(error.code || ""), String(error.message || "The node refused: " + path));
}

// Whatever is neither is an answer that a page cannot show.
export const wordsOf = error => error instanceof Refused || error instanceof Away ? error.message
  : "The node's answer cannot be shown: " + error.message;

// Many calls in a moment lead to one.
export function gathered(work) {
  let timer = null;
  return () => {
    if (timer === null) timer = setTimeout(() => { timer = null; work(); }, GATHER_MS);
  };
}

// One work at a time, and one more for all who ask meanwhile: so what was asked first never covers what was asked later.
export function inTurn(work) {
  let last = Promise.resolve(), waiting = null;
  return () => {
    if (waiting !== null) return waiting;
    waiting = last.then(() => {
      waiting = null;
      return work();
    });
    last = waiting.catch(() => {});
    return waiting;
  };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// Follows the node. `read` reads all that the page shows, `on` acts on events by name, `tell` says how the node is.
export function follow({read, on, tell}) {
  let stream = null, polling = null, retry = null;
  const isLive = () => stream !== null && stream.readyState === EventSource.OPEN;

  async function turn() {
    let words = "The node is running; asked every few seconds.";
    try {
      await read();
    } catch (error) {
      words = wordsOf(error);
    }
    // The stream may have come back meanwhile.
    if (!isLive()) tell(words, false);
    polling = isLive() || document.hidden ? null : setTimeout(turn, POLL_MS);
  }

  function poll() {
    if (polling === null) polling = setTimeout(turn, 0);
  }

  function listen() {
    clearTimeout(retry);
    if (stream !== null) stream.close();
    stream = new EventSource("/v1/events");
    stream.onopen = () => {
      clearTimeout(polling);
      polling = null;
      tell("The node is running; live.", true);
      read().catch(poll);
    };
    stream.onerror = () => {
      // A refused stream is not tried again by the browser itself.
      if (stream.readyState === EventSource.CLOSED) retry = setTimeout(listen, RECONNECT_MS);
      poll();
    };
    stream.addEventListener("end", () => tell("The node has stopped.", false));
    for (const [kind, act] of Object.entries(on)) stream.addEventListener(kind, event => act(parsed(event.data)));
  }

  // A browser keeps few connections to one place: a page that nobody looks at leaves its own to others.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return listen();
    clearTimeout(retry);
    clearTimeout(polling);
    polling = null;
    if (stream !== null) stream.close();
  });
  if (!document.hidden) listen();
}
