// Puts the page together: events in, picture, overlay, objects and feed out.
import { draw } from "./overlay.js";
import { FeedView } from "./feed.js";
import { Player } from "./player.js";
import { follow } from "./pointing.js";
import { Tracks, colour, number, title } from "./tracks.js";

const $ = (id) => document.getElementById(id);
const NAMES = "narration,partial,track,track.event,prompt.answer,camera.state,gap";
const SPOKEN_MS = 6000;
const GONE_S = 30;

const tracks = new Tracks();
const feed = new FeedView($("feed"));
const notice = (words) => { $("notice").textContent = words; };
const player = new Player($("video"), notice);
const cameras = new Map();
let chosen = null;
let spokenUntil = 0;

async function listCameras() {
  const answer = await fetch("/v1/cameras").then((r) => r.json()).catch(() => ({ cameras: [] }));
  const known = new Set(answer.cameras.map((c) => c.camera_id));
  for (const id of cameras.keys()) if (!known.has(id)) cameras.delete(id);
  for (const camera of answer.cameras) cameras.set(camera.camera_id, camera);
  if (!cameras.has(chosen)) choose([...cameras.keys()][0] ?? null);
  showCameras();
}

function showCameras() {
  $("cameras").replaceChildren(...[...cameras.values()].map((camera) => {
    const button = document.createElement("button");
    const dot = document.createElement("span");
    dot.className = `dot ${camera.state}`;
    button.append(dot, camera.camera_id);
    button.title = `${camera.state}${camera.cause ? ": " + camera.cause : ""}`;
    button.setAttribute("aria-pressed", camera.camera_id === chosen);
    button.setAttribute("aria-label", `${camera.camera_id}, ${camera.state}`);
    button.onclick = () => { choose(camera.camera_id); showCameras(); };
    return button;
  }));
}

function choose(id) {
  chosen = id;
  notice(id ? "the picture starts when its masks are ready…" : "no camera yet: streamrefer camera add NAME SOURCE");
  player.show(id);
}

function showObjects() {
  const newest = player.timeS ?? Date.now() / 1000;
  const cards = [...tracks.byId.values()]
    .filter((t) => t.camera === chosen && t.seen > newest - GONE_S)
    .sort((a, b) => Number(number(a.id)) - Number(number(b.id)))
    .map((track) => {
      const item = document.createElement("li");
      item.style.setProperty("--track", colour(track.id));
      item.className = ["hidden", "retired"].includes(track.state) ? "away" : "";
      const image = document.createElement("img");
      image.alt = "";
      if (track.crop) image.src = `/v1/media/${track.crop}`;
      const words = document.createElement("div");
      const name = document.createElement("b");
      name.textContent = `${title(track, "object")}${track.pinned ? " 📌" : ""}`;
      const state = document.createElement("small");
      state.textContent = { retired: "gone", hidden: "out of sight" }[track.state] ?? "in view";
      const text = document.createElement("p");
      text.textContent = track.text;
      words.append(name, state, text);
      item.append(image, words);
      return item;
    });
  $("objects").replaceChildren(...cards);
}

const handlers = {
  track: (data) => { tracks.update(data); showObjects(); },
  "track.event": (data) => {
    if (data.kind === "closed") { tracks.get(data.track_id).state = "retired"; showObjects(); }
  },
  "prompt.answer": (data) => {
    if (!["renamed", "followed"].includes(data.code)) return;
    tracks.get(data.track_id).name = data.name ?? "";
    showObjects();
  },
  partial: (data) => feed.partial(data, tracks.get(data.track_id)),
  narration: (data) => {
    const track = tracks.get(data.track_ids[0]);
    track.label = data.label ?? track.label;
    if (data.text) {
      track.text = data.text;
      if (data.camera_id === chosen) speak(data.text);
    }
    track.name = data.name ?? "";
    feed.final(data, track);
    showObjects();
  },
  "camera.state": (data) => {
    const camera = cameras.get(data.camera_id);
    if (!camera) { listCameras(); } else { camera.state = data.state; camera.cause = data.cause; showCameras(); }
    const words = `camera ${data.state}${data.cause ? ": " + data.cause : ""}`;
    feed.fact(data.at_s, data.camera_id, words, data.state === "lost");
    if (data.camera_id === chosen && ["lost", "stopped"].includes(data.state) && player.timeS === null) notice(words);
  },
  gap: (data) => feed.fact(data.end_s, data.camera_id, `gap of ${(data.end_s - data.start_s).toFixed(1)} s: ${data.reason}`, true),
};

function speak(text) {
  $("spoken").textContent = text;
  spokenUntil = performance.now() + SPOKEN_MS;
}

function listen() {
  const source = new EventSource(`/v1/events?replay=true&names=${NAMES}`);
  source.onopen = () => { $("line").textContent = "live"; };
  source.onerror = () => { $("line").textContent = "reconnecting…"; };
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
}

function frame() {
  const screen = document.querySelector(".screen");
  const { videoWidth, videoHeight } = $("video");
  if (videoWidth) screen.style.aspectRatio = `${videoWidth} / ${videoHeight}`;
  draw($("overlay"), player.timeS === null ? [] : tracks.at(chosen, player.timeS));
  if (performance.now() > spokenUntil) $("spoken").textContent = "";
  requestAnimationFrame(frame);
}

// A click on the picture: follow what is there, on the picture that was seen.
document.querySelector(".screen").onclick = async (event) => {
  if (chosen === null || player.timeS === null) return;
  speak("looking at what you clicked…");
  speak(await follow(chosen, event, player.timeS));
};

listCameras();
setInterval(listCameras, 5000);
listen();
frame();
