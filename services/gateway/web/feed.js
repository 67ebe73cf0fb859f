// The narration feed: sentences grow while they are spoken, and stay when they are final.
import { colour, title } from "./tracks.js";

const LIMIT = 120;
const KIND = { new: "first seen", update: "", correction: "corrected", lost: "gone", found: "back" };

export class FeedView {
  constructor(list) {
    this.list = list;
    this.speaking = new Map();
  }

  partial(data, track) {
    let item = this.speaking.get(data.narration_id);
    if (!item) {
      item = this.entry(data, track, KIND[data.kind]);
      item.classList.add("speaking");
      this.speaking.set(data.narration_id, item);
    }
    item.querySelector("p").textContent = data.text;
  }

  final(data, track) {
    const growing = this.speaking.get(data.narration_id);
    this.speaking.delete(data.narration_id);
    if (!data.text) return growing?.remove();
    const item = growing ?? this.entry(data, track, KIND[data.kind]);
    item.classList.remove("speaking");
    item.querySelector("b").textContent = title(track);
    item.querySelector("p").textContent = data.text;
  }

  fact(atS, camera, words, bad) {
    const item = this.add(atS, camera);
    const p = item.querySelector("p");
    p.className = bad ? "fact bad" : "fact";
    p.textContent = words;
  }

  entry(data, track, kind) {
    const item = this.add(data.end_s, data.camera_id);
    item.style.setProperty("--track", colour(track.id));
    const name = document.createElement("b");
    name.textContent = title(track);
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
