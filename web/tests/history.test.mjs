import assert from 'node:assert/strict';
import { test } from 'node:test';
import { message, setup } from './setup.mjs';

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => message(from + n, `m${from + n}`));

/** A client in a room of 300 messages that holds the last 50. */
function inTheMiddle() {
  const t = setup();
  const room = t.online(0);
  t.joined({ head: 300, events: range(251, 300), gap: { reset: true } });
  const answer = (extra) => t.socket.push({ op: 'history', room: 'general', oldest: 1, head: room.log.seq, more: true, ...extra });
  const last = () => t.socket.of('history').at(-1);
  return { t, room, answer, last };
}

test('older messages are asked for by id and put above what is there', async () => {
  const { t, room, answer, last } = inTheMiddle();
  assert.equal(room.log.hasOlder, true);
  const asked = room.history({ before: room.log.low, limit: 100 });
  assert.deepEqual(last(), { op: 'history', id: 1, room: 'general', before: 251, limit: 100 });
  answer({ id: 99, events: range(1, 2) });
  answer({ id: 1, events: range(151, 250) });
  assert.deepEqual(await asked, { events: range(151, 250), oldest: 1, head: 300, more: true });
  assert.deepEqual(t.texts(room), range(151, 300).map((m) => m.text));
  const [, { change }] = t.seen.at(-1);
  assert.equal(change.inserted.length, 100);
  assert.deepEqual(change.added, []);
});

test('the first message ends the way back', async () => {
  const { t, room, answer } = inTheMiddle();
  const asked = room.history({ before: 251 });
  answer({ id: 1, oldest: 240, events: range(240, 250), more: false });
  await asked;
  assert.equal(room.log.hasOlder, false);
  assert.equal(t.texts(room)[0], 'm240');
});

test('a question outlives its connection and is asked again after the join', async () => {
  const { t, room, answer, last } = inTheMiddle();
  const asked = room.history({ before: 251 });
  t.socket.drop();
  t.back({ head: 300 });
  assert.deepEqual(last(), { op: 'history', id: 1, room: 'general', before: 251 });
  answer({ id: 1, events: range(201, 250) });
  assert.equal((await asked).events.length, 50);
});

test('a question that is not answered is asked again, and given up in the end', async () => {
  const { t, room } = inTheMiddle();
  const asked = room.history({ before: 251 });
  const refused = assert.rejects(asked, { code: 'TIMED_OUT' });
  for (let i = 0; i < 4; i += 1) {
    t.clock.advance(10_000);
    t.socket.push({ op: 'pong' });
  }
  assert.equal(t.socket.of('history').length, 4);
  await refused;
});

test('a question refused for now is asked again when the server says so', async () => {
  const { t, room, answer } = inTheMiddle();
  const asked = room.history({ before: 251 });
  t.socket.push({ op: 'error', room: 'general', id: 1, code: 'RATE_LIMITED', message: '', retry_after_ms: 700 });
  t.clock.advance(699);
  assert.equal(t.socket.of('history').length, 1);
  t.clock.advance(1);
  assert.equal(t.socket.of('history').length, 2);
  answer({ id: 1, events: range(201, 250) });
  await asked;
});

test('a question refused for good says why, and nothing else is disturbed', async () => {
  const { t, room } = inTheMiddle();
  const asked = room.history({ before: 251 });
  t.socket.push({ op: 'error', room: 'general', id: 1, code: 'MALFORMED', message: 'no' });
  await assert.rejects(asked, { code: 'MALFORMED', message: 'no' });
  assert.equal(room.error, undefined);
  assert.equal(t.state(), 'online');
});

test('a question dies with the connection for good, and with the numbering it was asked in', async () => {
  const { t, room } = inTheMiddle();
  const old = room.history({ before: 251 });
  t.socket.drop();
  t.back({ gen: 'g2', head: 1, gap: { reset: true }, events: [message(1, 'anew')] });
  await assert.rejects(old, { code: 'RESET' });
  const last = room.history({ before: 1 });
  t.client.close();
  await assert.rejects(last, { code: 'CLOSED' });
});

test('a place far above opens a gap between it and what is held, which history closes from both sides', async () => {
  const { t, room, answer } = inTheMiddle();
  room.history({ around: 100 });
  answer({ id: 1, events: range(91, 110) });
  assert.deepEqual(t.texts(room).slice(18, 23), ['m109', 'm110', 'gap 111-250', 'm251', 'm252']);
  room.history({ after: 110 });
  answer({ id: 2, events: range(111, 160) });
  room.history({ before: 251 });
  answer({ id: 3, events: range(201, 250) });
  assert.ok(t.texts(room).includes('gap 161-200'));
  room.history({ around: 180 });
  answer({ id: 4, events: range(170, 190) });
  assert.deepEqual(t.texts(room).filter((text) => text.startsWith('gap')), ['gap 161-169', 'gap 191-200']);
  room.history({ before: 201 });
  answer({ id: 5, events: range(161, 200) });
  assert.deepEqual(t.texts(room), range(91, 300).map((m) => m.text));
});

test('what lies below the oldest message kept is no gap any more', async () => {
  const { t, room, answer } = inTheMiddle();
  t.socket.drop();
  t.back({ head: 900, gap: { from: 301, to: 850 }, events: range(851, 900) });
  room.history({ before: 851 });
  answer({ id: 1, oldest: 841, events: range(841, 850), more: false });
  assert.equal(t.texts(room).some((text) => text.startsWith('gap')), false);
  assert.equal(t.texts(room).length, 50 + 60);
});

test('a frame of gap grows the gap that is there already', () => {
  const { t, room } = inTheMiddle();
  t.socket.push({ op: 'gap', room: 'general', from: 301, to: 310 });
  t.socket.push({ op: 'gap', room: 'general', from: 311, to: 320 });
  t.socket.push({ op: 'event', room: 'general', ...message(321, 'news') });
  assert.deepEqual(t.texts(room).slice(-2), ['gap 301-320', 'news']);
});

test('after a gap, what is held below it is out of date until it was fetched again', async () => {
  const { t, room, answer } = inTheMiddle();
  const asked = room.history({ around: 260 });
  t.socket.push({ op: 'gap', room: 'general', from: 301, to: 320 });
  assert.equal(room.log.find(260).stale, true);
  // As of before the gap: proves nothing.
  answer({ id: 1, head: 300, events: range(255, 265) });
  await asked;
  assert.equal(room.log.find(260).stale, true);
  room.history({ around: 260 });
  answer({ id: 2, head: 320, events: [message(260, 'edited in the gap', { edited_at: '2026-11-23T08:00:00.000Z' })] });
  assert.equal(room.log.find(260).stale, false);
  assert.equal(room.log.find(260).text, 'edited in the gap');
  assert.equal(room.log.find(261).stale, true);
});

test('an edit that overtakes the answer which brings its message is not lost', async () => {
  const { t, room, answer } = inTheMiddle();
  room.history({ before: 251 });
  const event = { op: 'event', room: 'general', kind: 'edit', ts: '2026-11-23T08:00:00.000Z', from: { id: 'u_bo', nick: 'Bo' }, target: 240 };
  t.socket.push({ ...event, seq: 301, text: 'newer' });
  answer({ id: 1, head: 300, events: range(201, 250) });
  assert.equal(room.log.find(240).text, 'newer');
});

test('only so much is held: the far end goes, and comes back as a gap', () => {
  const { t, room, answer } = inTheMiddle();
  room.log.focus = 251;
  for (let before = 251, id = 1; id <= 2; id += 1, before -= 100) {
    room.history({ before, limit: 100 });
    answer({ id, events: range(before - 100, before - 1) });
  }
  for (let seq = 301; seq <= 1300; seq += 1) {
    t.socket.push({ op: 'event', room: 'general', ...message(seq, `m${seq}`) });
    assert.ok(room.log.entries.length <= 1000);
  }
  // All of it from where somebody reads, a gap, all of it to the end.
  const texts = t.texts(room);
  const at = texts.findIndex((text) => text.startsWith('gap'));
  const [, from, to] = /^gap (\d+)-(\d+)$/.exec(texts[at]).map(Number);
  const all = (first, last) => range(first, last).map((m) => m.text);
  assert.deepEqual(texts, [...all(51, from - 1), texts[at], ...all(to + 1, 1300)]);
  assert.ok(from > 800);
  room.log.focus = undefined;
  room.history({ before: to + 1, limit: 100 });
  answer({ id: 3, events: range(to - 99, to) });
  assert.deepEqual(t.texts(room).slice(-(1300 - to + 101)), [`gap ${from}-${to - 100}`, ...all(to - 99, 1300)]);
});

test('at the end the oldest go, and can be asked for again', () => {
  const { t, room } = inTheMiddle();
  for (let seq = 301; seq <= 1300; seq += 1) t.socket.push({ op: 'event', room: 'general', ...message(seq, `m${seq}`) });
  const { length } = room.log.entries;
  assert.ok(length >= 900 && length <= 1000);
  assert.equal(room.log.low, 1301 - length);
  assert.equal(room.log.hasOlder, true);
  assert.equal(t.texts(room).some((text) => text.startsWith('gap')), false);
});
