// Masks and names drawn over the picture, in step with it.
import { colour, hue, title } from "./tracks.js";

const pictures = new WeakMap(); // frame -> canvas with its mask

function maskPicture(frame, trackId) {
  let picture = pictures.get(frame);
  if (picture) return picture;
  const { height, width, counts } = frame.mask;
  picture = new OffscreenCanvas(width, height);
  const context = picture.getContext("2d");
  const image = context.createImageData(width, height);
  const [r, g, b] = rgb(hue(trackId));
  let place = 0;
  counts.forEach((run, i) => {
    if (i % 2) for (let p = place; p < place + run; p++) image.data.set([r, g, b, 255], 4 * p);
    place += run;
  });
  context.putImageData(image, 0, 0);
  pictures.set(frame, picture);
  return picture;
}

function rgb(h) {
  const f = (n) => {
    const k = (n + h / 30) % 12;
    return Math.round(255 * (0.55 - 0.7 * 0.45 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [f(0), f(8), f(4)];
}

// The canvas cleared, as fine as the screen, to be drawn on in CSS pixels.
export function fitted(canvas) {
  const ratio = devicePixelRatio || 1;
  const { clientWidth: w, clientHeight: h } = canvas;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, w, h);
  return { context, w, h };
}

export function draw(canvas, shown, selected) {
  const { context, w, h } = fitted(canvas);
  for (const item of shown) drawMask(context, item, w, h);
  for (const item of shown) if (item.track.id === selected) drawFrame(context, item, w, h);
  for (const item of shown) drawName(context, item, w, h);
}

function drawFrame(context, { track, box: [x0, y0, x1, y1] }, w, h) {
  for (const [width, ink] of [[5, "rgb(0 0 0 / 60%)"], [2, colour(track.id)]]) {
    [context.lineWidth, context.strokeStyle] = [width, ink];
    context.strokeRect(x0 * w - 3, y0 * h - 3, (x1 - x0) * w + 6, (y1 - y0) * h + 6);
  }
}

// The mask belongs to the sampled frame; between samples it is moved along with the box.
function drawMask(context, { track, frame, box }, w, h) {
  const dx = ((box[0] + box[2]) - (frame.box[0] + frame.box[2])) / 2 * w;
  const dy = ((box[1] + box[3]) - (frame.box[1] + frame.box[3])) / 2 * h;
  context.save();
  context.globalAlpha = 0.42;
  context.drawImage(maskPicture(frame, track.id), dx, dy, w, h);
  context.restore();
}

function drawName(context, { track, box }, w, h) {
  const words = title(track);
  context.font = "600 13px Inter, system-ui, sans-serif";
  const width = context.measureText(words).width + 14;
  const x = Math.max(2, Math.min(w - width - 2, (box[0] + box[2]) / 2 * w - width / 2));
  const y = Math.max(2, box[1] * h - 26);
  context.fillStyle = colour(track.id);
  context.beginPath();
  context.roundRect(x, y, width, 21, 6);
  context.fill();
  context.fillStyle = "#06110f";
  context.fillText(words, x + 7, y + 15);
}
