// What is known of each track: its frames in camera time, its colour, its newest look and words.

const HUES = [172, 38, 285, 95, 210, 350, 60, 320, 130, 20];
const KEEP_S = 60;
const NEAR_FRAMES = 1.4; // a mask holds until the next sampled frame, and a little longer

export const number = (trackId) => trackId.split("-").at(-1).replace(/^t?0*/, "") || "0";
export const hue = (trackId) => HUES[parseInt(number(trackId), 10) % HUES.length] ?? 172;
export const title = (track, unnamed = "") =>
  track.name || `#${number(track.id)}${track.label || unnamed ? " " + (track.label || unnamed) : ""}`;
export const colour = (trackId) => `hsl(${hue(trackId)} 70% 55%)`;

export class Tracks {
  constructor() {
    this.byId = new Map();
    this.changes = 0; // rises whenever something else is to be drawn
  }

  get(id) {
    if (!this.byId.has(id)) this.byId.set(id, { id, frames: [], state: "active", label: "", name: "", text: "", crop: null, seen: 0 });
    return this.byId.get(id);
  }

  // An answer to a prompt that took effect; the track messages that follow say the same.
  answered({ track_id: id, code, name, trail }) {
    const track = this.get(id);
    this.changes++;
    if (code === "dropped") track.dropped = true;
    if (code === "pinned" || code === "unpinned") track.pinned = code === "pinned";
    if (code === "renamed" || code === "followed") track.name = name ?? "";
    if (code === "followed") track.seen ||= Date.now() / 1000;
    if (trail && (code === "followed" || code === "corrected")) track.frames = along(track.frames, trail);
    return track;
  }

  // A track message: add its frames, forget old ones.
  update(message) {
    const track = this.get(message.track_id);
    this.changes++;
    track.camera = message.camera_id;
    track.state = message.state;
    track.name = message.name ?? "";
    track.pinned = message.pinned ?? false;
    track.crop = message.crop_ref ?? track.crop;
    track.frames.push(...message.frames);
    track.frames.sort((a, b) => a.time_s - b.time_s);
    const newest = track.frames.at(-1)?.time_s ?? 0;
    track.seen = Math.max(track.seen, newest);
    while (track.frames.length && track.frames[0].time_s < newest - KEEP_S) track.frames.shift();
    for (const [id, old] of this.byId) if (old.seen && old.seen < newest - 3 * KEEP_S) this.byId.delete(id);
    return track;
  }

  // Tracks visible at a camera time: the frame at or before it, and the box between that frame and the next.
  at(camera, timeS, sampleFps) {
    const nearS = NEAR_FRAMES / sampleFps;
    const shown = [];
    for (const track of this.byId.values()) {
      if (track.camera !== camera) continue;
      const next = track.frames.findIndex((f) => f.time_s > timeS + 0.005);
      const index = next === -1 ? track.frames.length - 1 : next - 1;
      const frame = track.frames[index];
      if (!frame || timeS - frame.time_s > nearS) continue;
      shown.push({ track, frame, box: between(frame, track.frames[index + 1], timeS, 2 * nearS) });
    }
    return shown;
  }
}

// Frames with those of a trail in place of their own: where it was on the pictures between the mark and now.
function along(frames, trail) {
  const last = trail.at(-1)?.time_s ?? 0;
  const kept = frames.filter((f) => f.time_s < (trail[0]?.time_s ?? 0) - 0.005 || f.time_s > last + 0.005);
  return [...kept, ...trail].sort((a, b) => a.time_s - b.time_s);
}

function between(a, b, timeS, mostS) {
  if (!b || b.time_s - a.time_s > mostS) return a.box;
  const share = Math.min(1, (timeS - a.time_s) / (b.time_s - a.time_s));
  return a.box.map((value, i) => value + share * (b.box[i] - value));
}
