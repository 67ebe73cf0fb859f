// Draws what a person marks, over the picture: points, strokes and boxes, the cross of the keys, marks that wait.
import { fitted } from "./overlay.js";

const INSIDE = "#22e06c";
const OUTSIDE = "#ff5c5c";
const EDGE = "rgb(0 0 0 / 75%)";
const SHOWN_MS = 2500; // a mark that was sent fades: the picture goes on

export class Sketch {
  constructor(canvas) {
    this.canvas = canvas;
    this.sent = []; // [{mark, at}]
  }

  sentOff(mark) { this.sent.push({ mark, at: performance.now() }); }

  draw(mark, gesture) {
    const now = performance.now();
    this.sent = this.sent.filter(({ at }) => now - at < SHOWN_MS);
    const busy = this.sent.length || Object.values({ ...mark, ...gesture }).some(Boolean);
    if (!busy && this.clear) return;
    this.clear = !busy;
    const { context, w, h } = fitted(this.canvas);
    for (const { mark: old, at } of this.sent) {
      context.globalAlpha = 1 - (now - at) / SHOWN_MS;
      drawMark(context, old, w, h);
    }
    context.globalAlpha = 1;
    drawMark(context, mark, w, h);
    if (gesture.box) drawBox(context, gesture.box, w, h);
    if (gesture.stroke) drawStroke(context, gesture.stroke, gesture.inside, w, h);
    if (gesture.cross) drawCross(context, gesture.cross, w, h);
  }
}

function drawMark(context, mark, w, h) {
  if (mark.box) drawBox(context, mark.box, w, h);
  for (const { points, inside } of mark.strokes ?? []) drawStroke(context, points, inside, w, h);
  for (const { x, y, inside } of mark.points ?? []) drawPoint(context, x * w, y * h, inside);
}

// A disc with a plus or a minus: told apart without colours too.
function drawPoint(context, x, y, inside) {
  context.beginPath();
  context.arc(x, y, 9, 0, 7);
  context.fillStyle = inside ? INSIDE : OUTSIDE;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = EDGE;
  context.stroke();
  context.fillStyle = "#000";
  context.fillRect(x - 5, y - 1, 10, 2);
  if (inside) context.fillRect(x - 1, y - 5, 2, 10);
}

function drawBox(context, [x0, y0, x1, y1], w, h) {
  twice(context, () => context.strokeRect(x0 * w, y0 * h, (x1 - x0) * w, (y1 - y0) * h), INSIDE, []);
}

function drawStroke(context, points, inside, w, h) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x * w, y * h) : context.moveTo(x * w, y * h)));
  twice(context, () => context.stroke(), inside ? INSIDE : OUTSIDE, inside ? [] : [7, 5]);
}

function drawCross(context, [x, y], w, h) {
  context.beginPath();
  context.moveTo(x * w - 14, y * h);
  context.lineTo(x * w + 14, y * h);
  context.moveTo(x * w, y * h - 14);
  context.lineTo(x * w, y * h + 14);
  twice(context, () => context.stroke(), "#fff", []);
}

// A dark line under a bright one shows on any picture.
function twice(context, stroke, colour, dash) {
  context.lineJoin = context.lineCap = "round";
  context.setLineDash([]);
  [context.lineWidth, context.strokeStyle] = [6, EDGE];
  stroke();
  context.setLineDash(dash);
  [context.lineWidth, context.strokeStyle] = [2.5, colour];
  stroke();
  context.setLineDash([]);
}
