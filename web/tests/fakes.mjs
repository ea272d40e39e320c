// A clock that moves only when told, and a WebSocket whose server is the test.

export class FakeClock {
  #now = Date.parse('2026-11-23T07:00:00.000Z');
  #timers = new Map();
  #next = 1;

  now = () => this.#now;

  setTimeout = (fn, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + Math.max(0, ms), fn });
    return id;
  };

  clearTimeout = (id) => {
    this.#timers.delete(id);
  };

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort(([a, x], [b, y]) => x.at - y.at || a - b)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].fn();
    }
    this.#now = end;
  }
}

/** Makes a WebSocket class that remembers its instances in `sockets`. */
export function fakeWebSocket() {
  const sockets = [];
  class FakeWebSocket {
    readyState = 0;
    sent = [];

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
    }

    send(text) {
      if (this.readyState !== 1) throw new Error('not open');
      this.sent.push(JSON.parse(text));
    }

    close(code) {
      this.readyState = 2;
      this.closedWith = code;
    }

    // What the test, as the server, does:
    accept() {
      this.readyState = 1;
      this.onopen({});
    }

    push(frame) {
      this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
    }

    drop(code = 1006, reason = '') {
      this.readyState = 3;
      this.onclose({ code, reason });
    }

    /** Frames of one op, oldest first. */
    of(op) {
      return this.sent.filter((frame) => frame.op === op);
    }
  }
  return { FakeWebSocket, sockets };
}
