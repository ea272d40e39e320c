// Whatever is lost, late, doubled or fetched in whatever order: in the end a log that has fetched its gaps
// and what it knows to be out of date shows what the room says. Seeded, so that a failure plays again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoomLog } from '../client/log.js';
import { ME, TS } from './setup.mjs';

const SEEDS = 100;
const STEPS = 80;
const EMOJI = ['👍', '🎉'];

/** mulberry32 */
function rng(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** The room as its owner has it. */
class Owner {
  events = [];
  #given = new Set();

  get head() {
    return this.events.length;
  }

  step(random) {
    const seq = this.head + 1;
    const from = random(2) ? ME : { id: 'u_bo', nick: 'Bo' };
    const base = { seq, ts: TS, from, cid: `c${seq}` };
    const messages = this.events.filter((e) => e.kind === 'message');
    const target = messages[random(Math.max(1, messages.length))]?.seq;
    const what = target === undefined ? 0 : random(6);
    const gone = target !== undefined && this.state(target, this.head).deleted;
    if (what >= 3 && !gone) {
      if (what === 3) return this.events.push({ ...base, kind: 'edit', target, text: `edited at ${seq}` });
      if (what === 4 && random(3) === 0) return this.events.push({ ...base, kind: 'delete', target });
      const emoji = EMOJI[random(EMOJI.length)];
      const key = `${target} ${emoji} ${from.id}`;
      const on = !this.#given.delete(key);
      if (on) this.#given.add(key);
      const count = [ME.id, 'u_bo'].filter((id) => this.#given.has(`${target} ${emoji} ${id}`)).length;
      return this.events.push({ ...base, kind: 'reaction', target, emoji, on, count });
    }
    return this.events.push({ ...base, kind: 'message', text: `said at ${seq}` });
  }

  /** An event as it is shown when the room's head is `head`. */
  state(seq, head) {
    const event = { ...this.events[seq - 1] };
    const counts = new Map();
    for (const later of this.events.slice(seq, head)) {
      if (later.target !== event.seq) continue;
      if (later.kind === 'edit') Object.assign(event, { text: later.text, edited_at: later.ts });
      if (later.kind === 'delete') event.deleted = true;
      if (later.kind === 'reaction') counts.set(later.emoji, later.count);
    }
    if (event.deleted) Object.assign(event, { text: undefined, edited_at: undefined });
    if (event.deleted) counts.clear();
    event.reactions = Object.fromEntries([...counts].filter(([, count]) => count > 0));
    return event;
  }

  states(from, to, head) {
    return Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => this.state(from + n, head));
  }

  history(place, limit) {
    const head = this.head;
    let [from, to] = [0, 0];
    if (place.before !== undefined) [from, to] = [place.before - limit, place.before - 1];
    if (place.after !== undefined) [from, to] = [place.after + 1, place.after + limit];
    if (place.around !== undefined) [from, to] = [place.around - limit / 2, place.around + limit / 2];
    [from, to] = [Math.max(1, from), Math.min(head, to)];
    const more = place.before === undefined ? to < head : from > 1;
    return { events: this.states(from, to, head), oldest: 1, head, more };
  }
}

function run(seed) {
  const random = rng(seed);
  const owner = new Owner();
  const log = new RoomLog();
  log.iAm(ME.id);
  for (let n = 0; n < 30; n += 1) owner.step(random);
  const join = () => {
    const { head } = owner;
    // As the ring of a gateway has them, or as the owner does.
    const show = (from) => (random(2) ? owner.events.slice(from - 1) : owner.states(from, head, head));
    const base = { gen: 'g', head, oldest: 1 };
    if (!log.known) return log.join({ ...base, events: show(head - 9) });
    if (head - log.seq <= 12) return log.join({ ...base, events: show(log.seq + 1) });
    return log.join({ ...base, gap: { from: log.seq + 1, to: head - 5 }, events: show(head - 4) });
  };
  join();
  const late = [];
  // A gap has everything fetched anew, which would hide what goes wrong without one.
  const calm = seed % 2 === 0;
  const ask = (place, limit) => late.push([place, owner.history(place, limit)]);
  for (let n = 0; n < STEPS; n += 1) {
    switch (random(8)) {
      case 0:
        ask([{ before: log.low }, { around: 1 + random(owner.head) }, { after: random(log.seq) }][random(3)], 6);
        break;
      case 1:
        if (late.length > 0) log.history(...late.splice(random(late.length), 1)[0]);
        break;
      case 2: // away, for a shorter or a longer time
        for (let m = random(calm ? 12 : 25); m > 0; m -= 1) owner.step(random);
        join();
        break;
      case 3: // a slow socket
        if (calm) break;
        for (let m = random(5); m > 0; m -= 1) owner.step(random);
        if (owner.head > log.seq) log.gap({ from: log.seq + 1, to: owner.head });
        break;
      default:
        owner.step(random);
        log.event(owner.events.at(-1));
        if (random(4) === 0) log.event(owner.events.at(-1));
    }
  }
  while (late.length > 0) log.history(...late.pop());
  // What a page does when all of it is looked at.
  const fetch = (place) => log.history(place, owner.history(place, 6));
  for (let n = 0; n < 1_000; n += 1) {
    const gap = log.entries.find((entry) => entry.type === 'gap');
    const stale = log.entries.find((entry) => entry.stale);
    if (gap) fetch({ before: gap.to + 1 });
    else if (log.hasOlder) fetch({ before: log.low });
    else if (stale) fetch({ around: stale.seq });
    else break;
  }
  const expected = owner.states(1, owner.head, owner.head).filter((event) => event.kind === 'message');
  const view = (seq, text, edited, deleted, reactions) => ({ seq, text, edited, deleted, reactions });
  assert.deepEqual(
    log.entries.map((e) => view(e.seq, e.text, e.edited, e.deleted, Object.fromEntries(e.reactions))),
    expected.map((e) => view(e.seq, e.text ?? '', e.edited_at, e.deleted === true, e.reactions)),
    `seed ${seed}`,
  );
  for (const { target, emoji } of owner.events.filter((event) => event.kind === 'reaction')) {
    const last = owner.events.findLast((e) => e.target === target && e.emoji === emoji && e.from.id === ME.id);
    assert.equal(log.isMine(target, emoji), last?.on === true, `seed ${seed}, own ${emoji} on ${target}`);
  }
}

test('a log converges on the truth', () => {
  for (let seed = 1; seed <= SEEDS; seed += 1) run(seed);
});
