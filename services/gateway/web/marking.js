// Gestures on the picture become parts of a mark: a click, a dragged box, a scribble, or a cross moved by keys.
// Places are x and y in 0..1 of the picture.

const DRAG_PX = 6;
const LONGEST_STROKE = 256;
const STEP = 0.02;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Marking {
  // `tool()` is point, box or scribble; `inside()` whether it marks the object or what is not of it. `began()` says
  // whether there is a picture to mark; `done(part)` takes {points}, {box} or {strokes}; `dropped()` ends a gesture.
  constructor(screen, { tool, inside, began, done, dropped }) {
    Object.assign(this, { screen, tool, inside, began, done, dropped });
    this.path = null; // of the pointer that is down
    this.cross = null; // moved by keys
    this.corner = null; // first corner of a box made by keys
    screen.addEventListener("pointerdown", (event) => this.down(event));
    screen.addEventListener("pointermove", (event) => this.move(event));
    screen.addEventListener("pointerup", (event) => this.up(event));
    screen.addEventListener("pointercancel", () => this.cancel());
    screen.addEventListener("keydown", (event) => this.key(event));
    screen.addEventListener("blur", () => this.cancel());
  }

  // What is being drawn now, for the sketch.
  get gesture() {
    const from = this.path?.[0] ?? this.corner;
    const to = this.path?.at(-1) ?? this.cross;
    if (this.path && this.drawing === "scribble") return { stroke: this.path, inside: this.inside(), cross: this.cross };
    if (from && to && (this.corner || this.dragged)) return { box: boxOf(from, to), cross: this.cross };
    return { cross: this.cross };
  }

  get active() { return Boolean(this.path || this.cross); }

  cancel() {
    if (!this.active) return;
    this.path = this.cross = this.corner = null;
    this.dropped();
  }

  down(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.corner = this.cross = null;
    if (!this.began()) return;
    this.screen.setPointerCapture(event.pointerId);
    this.touch = event.pointerType === "touch";
    this.drawing = this.tool();
    this.start = [event.clientX, event.clientY];
    this.dragged = false;
    this.path = [this.place(event)];
  }

  move(event) {
    if (!this.path || !event.isPrimary) return;
    const [x, y] = this.start;
    this.dragged ||= Math.hypot(event.clientX - x, event.clientY - y) > DRAG_PX;
    if (this.dragged) this.path.push(this.place(event));
  }

  up(event) {
    if (!this.path || !event.isPrimary) return;
    const path = this.path;
    this.path = null;
    if (!this.dragged) return this.point(path[0]);
    if (this.drawing === "scribble") return this.done({ strokes: [{ points: thinned(path), inside: this.inside() }] });
    if (this.drawing === "point" && this.touch) return this.dropped(); // a finger that wiped over the picture
    this.box(path[0], path.at(-1));
  }

  key(event) {
    const arrow = ARROWS[event.key];
    if (arrow) {
      event.preventDefault();
      const step = event.shiftKey ? STEP * 4 : STEP;
      if (this.cross) this.cross = this.cross.map((value, axis) => within(value + arrow[axis] * step));
      else if (this.began()) this.cross = [0.5, 0.5]; // the picture stands still while the cross is out
    } else if ((event.key === "Enter" || event.key === " ") && this.cross) {
      event.preventDefault();
      event.stopImmediatePropagation(); // Enter without a cross sends a correction
      this.placed();
    }
  }

  placed() {
    if (this.tool() === "box" && !this.corner) return (this.corner = this.cross);
    const { corner, cross } = this;
    this.cross = this.corner = null;
    if (corner) this.box(corner, cross);
    else this.point(cross);
  }

  point([x, y]) { this.done({ points: [{ x, y, inside: this.inside() }] }); }

  box(a, b) {
    const box = boxOf(a, b);
    if (box[0] < box[2] && box[1] < box[3]) this.done({ box });
    else this.dropped();
  }

  place(event) {
    const { left, top, width, height } = this.screen.getBoundingClientRect();
    return [within((event.clientX - left) / width), within((event.clientY - top) / height)];
  }
}

const within = (value) => Math.min(1, Math.max(0, value));
const boxOf = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];

function thinned(path) {
  if (path.length <= LONGEST_STROKE) return path;
  const step = (path.length - 1) / (LONGEST_STROKE - 1);
  return Array.from({ length: LONGEST_STROKE }, (_, i) => path[Math.round(i * step)]);
}
