// What became of the prompts of this page: each waits, then was met or refused, with the reason.

const LIMIT = 5;
const SIGN = { waiting: "waiting", met: "done", refused: "refused" };

export class AskedView {
  constructor(list) { this.list = list; }

  // A new line for a prompt that waits; `settle` it with {ok, words}.
  begin(words) {
    const item = document.createElement("li");
    const sign = document.createElement("b");
    const text = document.createElement("span");
    item.append(sign, text);
    this.show(item, "waiting", words);
    this.list.prepend(item);
    while (this.list.children.length > LIMIT) this.list.lastChild.remove();
    return { settle: ({ ok, words: told }) => this.show(item, ok ? "met" : "refused", told) };
  }

  // Refused by the page itself, before anything was sent.
  refuse(words) { this.begin("").settle({ ok: false, words }); }

  show(item, state, words) {
    item.className = state;
    item.firstChild.textContent = SIGN[state];
    item.lastChild.textContent = words;
  }
}
