// Lists that come page by page: the newest first, and older ones when asked for.

import {ask, wordsOf} from "./ask.js";
import {complain} from "./frame.js";
import {place} from "./parts.js";

// `path` gives the question without its page, `key` names the list in the answer, `show` shows all that was read so far.
// The button that asks for more has the id of the list and "-older".
export function growing(id, path, key, show, limit = 20) {
  const button = place(id + "-older");
  let items = [], next = null, asked = null, isLong = false;

  async function page(question, cursor) {
    const joint = question.includes("?") ? "&" : "?";
    const found = await ask(question + joint + "limit=" + limit + (cursor === null ? "" : "&cursor=" + encodeURIComponent(cursor)));
    if (question !== path()) return;
    // The list was made longer, or its beginning read anew, while this was under way: no gap, and nothing taken back.
    if (cursor === null && isLong && asked === question) return;
    if (cursor !== null && cursor !== next) return page(question, next);
    items = cursor === null ? found[key] : [...items, ...found[key]];
    [next, asked, isLong] = [found.next_cursor, question, cursor !== null];
    button.hidden = next === null;
    show(items, found);
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await page(asked, next);
    } catch (error) {
      complain(wordsOf(error));
    } finally {
      button.disabled = false;
    }
  });
  // Who has gone back to older ones keeps what is on the page.
  return async () => {
    const question = path();
    if (question !== asked || !isLong) await page(question, null);
  };
}
