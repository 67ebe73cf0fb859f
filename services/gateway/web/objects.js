// The cards of objects under the picture. A card is a button that selects its track; cards stay in place while the
// picture goes on, so that focus and clicks hold.
import { colour, number, title } from "./tracks.js";

const STATE = { retired: "gone", hidden: "out of sight" };

export const stateOf = (track) => (track.dropped ? "dropped" : STATE[track.state] ?? "in view");
export const isAway = (track) => track.dropped || track.state in STATE;

export class ObjectsView {
  constructor(list, chosen) {
    this.list = list;
    this.chosen = chosen; // called with a track's id
    this.cards = new Map();
  }

  show(shown, selected) {
    const sorted = [...shown].sort((a, b) => Number(number(a.id)) - Number(number(b.id)));
    const kept = new Set(sorted.map((track) => track.id));
    for (const [id, card] of this.cards) {
      if (kept.has(id)) continue;
      card.item.remove();
      this.cards.delete(id);
    }
    sorted.forEach((track, place) => {
      const card = this.card(track);
      fill(card, track, track.id === selected);
      if (this.list.children[place] !== card.item) this.list.insertBefore(card.item, this.list.children[place] ?? null);
    });
  }

  card(track) {
    if (this.cards.has(track.id)) return this.cards.get(track.id);
    const make = (tag) => document.createElement(tag);
    const card = { item: make("li"), button: make("button"), image: make("img"), words: make("span"), name: make("b"), state: make("small"), text: make("span") };
    card.item.style.setProperty("--track", colour(track.id));
    card.button.type = "button";
    card.button.onclick = () => this.chosen(track.id);
    card.image.alt = "";
    card.text.className = "text";
    card.words.append(card.name, card.state, card.text);
    card.button.append(card.image, card.words);
    card.item.append(card.button);
    this.cards.set(track.id, card);
    return card;
  }
}

function fill(card, track, selected) {
  card.item.className = isAway(track) ? "away" : "";
  card.button.setAttribute("aria-pressed", selected);
  if (track.crop && card.crop !== track.crop) card.image.src = `/v1/media/${(card.crop = track.crop)}`;
  put(card.name, `${title(track, "object")}${track.pinned ? " 📌" : ""}`);
  put(card.state, `${stateOf(track)}${track.pinned ? ", pinned" : ""}`);
  put(card.text, track.text);
}

function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
