// Where in the log somebody reads. At the end the view follows what comes; above it, nothing that is
// added, changed or taken away moves the first message in sight. The browser's own scroll anchoring is
// off (log.css): not every browser has it, and two would correct each other.

/** Within this distance of the end, new messages pull the view along, in px. */
const NEAR_END = 48;

export class Place {
  /** @param {HTMLElement} scroller @param {HTMLElement} log whose children are in the order shown */
  constructor(scroller, log) {
    this.#scroller = scroller;
    this.#log = log;
    scroller.addEventListener('scroll', () => this.#hold(), { passive: true });
    // The keyboard of a phone, a taller composer, a turned screen.
    new ResizeObserver(() => this.#restore()).observe(scroller);
  }

  #scroller;
  #log;
  /** What must not move, and how far below the top it stands; absent: the end. @type {{node: Element, top: number} | undefined} */
  #held = undefined;

  get atEnd() {
    return this.below < NEAR_END;
  }

  /** How much lies below what is in sight, in px. */
  get below() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  /** Height of what is in sight, in px. */
  get height() {
    return this.#scroller.clientHeight;
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#held = undefined;
  }

  /** Brings a node to the middle. @param {Element} node */
  toMiddle(node) {
    node.scrollIntoView({ block: 'center' });
    this.#hold();
  }

  /**
   * Changes what is in the log without moving what the reader looks at.
   *
   * @param {() => void} change
   * @param {Element} [pin] what must not move, if not the first message in sight
   * @returns {boolean} whether the view is at the end, and was
   */
  keep(change, pin) {
    const end = this.atEnd;
    if (!end) this.#hold(pin);
    change();
    if (end) this.toEnd();
    else this.#restore();
    return end;
  }

  /** How far a node stands from the visible part, in px: negative above, positive below, 0 in sight. @param {Element} node */
  distance(node) {
    const { top, bottom } = node.getBoundingClientRect();
    const frame = this.#scroller.getBoundingClientRect();
    if (bottom < frame.top) return bottom - frame.top;
    return Math.max(0, top - frame.bottom);
  }

  /** Whether a node stands in the upper half of the view, or above it. @param {Element} node */
  isUpper(node) {
    const { top } = this.#scroller.getBoundingClientRect();
    return node.getBoundingClientRect().top - top < this.height / 2;
  }

  /** The messages in sight. @returns {HTMLElement[]} */
  inSight() {
    const found = [];
    for (let i = this.#firstIndex(); i < this.#log.children.length; i += 1) {
      const node = /** @type {HTMLElement} */ (this.#log.children[i]);
      if (this.distance(node) > 0) break;
      if (node.dataset.seq !== undefined) found.push(node);
    }
    return found;
  }

  /** @param {Element} [pin] */
  #hold(pin) {
    const node = this.atEnd && !pin ? undefined : (pin ?? this.#first());
    this.#held = node && { node, top: this.#topOf(node) };
  }

  #restore() {
    if (!this.#held) this.toEnd();
    else if (this.#held.node.isConnected) {
      this.#scroller.scrollTop += this.#topOf(this.#held.node) - this.#held.top;
    }
  }

  /** The first message in sight: its text, since its head may come and go. */
  #first() {
    const { children } = this.#log;
    for (let i = this.#firstIndex(); i < children.length; i += 1) {
      const text = children[i].querySelector('.text');
      if (text) return text;
    }
    return undefined;
  }

  /** Index of the first child that ends below the top. */
  #firstIndex() {
    const { children } = this.#log;
    const { top } = this.#scroller.getBoundingClientRect();
    let [low, high] = [0, children.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (children[middle].getBoundingClientRect().bottom > top) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** @param {Element} node */
  #topOf(node) {
    return node.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
  }
}
