// The narration feed: sentences grow while they are spoken, and stay when they are final.
import { colour, number } from "./tracks.js";

const LIMIT = 120;
const KIND = { new: "first seen", update: "", correction: "corrected", lost: "gone", found: "back" };

export class FeedView {
  constructor(list) {
    this.list = list;
    this.speaking = new Map();
  }

  partial(data, label) {
    let item = this.speaking.get(data.narration_id);
    if (!item) {
      item = this.entry(data, data.track_id, label, KIND[data.kind]);
      item.classList.add("speaking");
      this.speaking.set(data.narration_id, item);
    }
    item.querySelector("p").textContent = data.text;
  }

  final(data, label) {
    const growing = this.speaking.get(data.narration_id);
    this.speaking.delete(data.narration_id);
    if (!data.text) return growing?.remove();
    const item = growing ?? this.entry(data, data.track_ids[0], label, KIND[data.kind]);
    item.classList.remove("speaking");
    item.querySelector("b").textContent = who(data.track_ids[0], label);
    item.querySelector("p").textContent = data.text;
  }

  fact(atS, camera, words, bad) {
    const item = this.add(atS, camera);
    const p = item.querySelector("p");
    p.className = bad ? "fact bad" : "fact";
    p.textContent = words;
  }

  entry(data, trackId, label, kind) {
    const item = this.add(data.end_s, data.camera_id);
    item.style.setProperty("--track", colour(trackId));
    const name = document.createElement("b");
    name.textContent = who(trackId, label);
    const small = document.createElement("small");
    small.textContent = kind ?? "";
    item.querySelector(".who").append(name, small);
    return item;
  }

  add(atS, camera) {
    const item = document.createElement("li");
    const line = document.createElement("div");
    line.className = "who";
    const time = document.createElement("time");
    time.textContent = new Date(atS * 1000).toLocaleTimeString();
    const place = document.createElement("span");
    place.className = "camera";
    place.textContent = camera;
    line.append(time, place);
    item.append(line, document.createElement("p"));
    this.list.prepend(item);
    while (this.list.children.length > LIMIT) this.list.lastChild.remove();
    return item;
  }
}

const who = (trackId, label) => `#${number(trackId)}${label ? " " + label : ""}`;
