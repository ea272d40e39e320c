import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ME, TS, message, setup } from './setup.mjs';

/** A client in a room with three messages, the second one its own. */
function three() {
  const t = setup();
  const room = t.online(0);
  const own = message(2, 'mine', { from: ME });
  t.joined({ head: 3, events: [message(1, 'one'), own, message(3, 'three')], gap: { reset: true } });
  const event = (frame) => t.socket.push({ op: 'event', room: 'general', ts: TS, from: ME, ...frame });
  const counts = (seq) => Object.fromEntries(room.log.find(seq).reactions);
  return { t, room, event, counts };
}

test('an edit, a deletion and a reaction go out like a message: in turn, same cid and since on every retry', () => {
  const { t, room, event } = three();
  room.edit(2, 'mine, better');
  room.react(1, '👍', true);
  room.remove(2);
  const edit = { op: 'edit', room: 'general', cid: 'cid1', target: 2, text: 'mine, better', since: 3 };
  assert.deepEqual(t.socket.sent.slice(-1), [edit]);
  event(message(4, 'other'));
  t.socket.drop();
  t.back({ head: 5, events: [message(5, 'more')] });
  assert.deepEqual(t.socket.sent.slice(-1), [edit]);
  t.socket.push({ op: 'ack', room: 'general', cid: 'cid1', seq: 6, ts: TS });
  assert.deepEqual(t.socket.sent.slice(-1), [
    { op: 'react', room: 'general', cid: 'cid2', target: 1, emoji: '👍', on: true, since: 5 },
  ]);
  event({ seq: 6, kind: 'edit', cid: 'cid1', target: 2, text: 'mine, better' });
  event({ seq: 7, kind: 'reaction', cid: 'cid2', target: 1, emoji: '👍', on: true, count: 1 });
  assert.deepEqual(t.socket.sent.slice(-1), [{ op: 'delete', room: 'general', cid: 'cid3', target: 2, since: 7 }]);
  event({ seq: 8, kind: 'delete', cid: 'cid3', target: 2 });
  assert.deepEqual(room.outbox.items, []);
});

test('an edit that the server refuses is given back with its text', () => {
  const { t, room } = three();
  room.edit(2, 'too late');
  room.send('next');
  t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code: 'EDIT_TOO_LATE', message: 'no' });
  const [item] = room.outbox.items;
  assert.deepEqual([item.state, item.code, item.text], ['failed', 'EDIT_TOO_LATE', 'too late']);
  assert.equal(t.socket.of('send').length, 1);
  room.discard('cid1');
  assert.equal(room.outbox.find('cid1'), undefined);
});

test('an edit whose cid has expired goes out anew, under a new cid, when its author says so', () => {
  const { t, room } = three();
  room.edit(2, 'again');
  t.socket.push({ op: 'error', room: 'general', cid: 'cid1', code: 'CID_EXPIRED', message: '' });
  room.retry('cid1');
  assert.deepEqual(t.socket.of('edit').map((f) => [f.cid, f.target, f.text]), [['cid1', 2, 'again'], ['cid2', 2, 'again']]);
});

test('a reload keeps edits, deletions and reactions that are not sent yet', () => {
  const before = three();
  before.t.socket.drop();
  before.room.react(1, '🎉', true);
  before.room.remove(2);
  const t = setup({ loadOutbox: () => before.t.saved.get('general') });
  const room = t.online(3);
  assert.deepEqual(t.socket.of('react').map((f) => [f.cid, f.emoji, f.on]), [['cid1', '🎉', true]]);
  assert.equal(room.outbox.items[1].target, 2);
});

test('what was meant for a message of another numbering is never sent', () => {
  const { t, room } = three();
  t.socket.drop();
  room.remove(2);
  room.send('hi');
  t.back({ gen: 'g2', head: 2, gap: { reset: true }, events: [message(2, 'another')] });
  assert.deepEqual(t.socket.of('delete'), []);
  assert.equal(room.outbox.items[0].code, 'TARGET_UNKNOWN');
  assert.equal(t.socket.of('send').length, 1);
});

test('a saved item that lacks a field is left behind', () => {
  const saved = [{ cid: 'x', op: 'edit', at: 0, state: 'failed', text: 'no target' }, { cid: 'y', op: 'dance', at: 0, state: 'failed' }];
  const t = setup({ loadOutbox: () => saved });
  assert.deepEqual(t.client.join('general').outbox.items, []);
});

test('what comes twice or late changes nothing', () => {
  const { room, event, counts } = three();
  event({ seq: 4, kind: 'edit', target: 1, text: 'newer' });
  event({ seq: 5, kind: 'reaction', target: 1, emoji: '👍', on: true, count: 2 });
  event({ seq: 4, kind: 'edit', target: 1, text: 'older' });
  room.log.history({ around: 1 }, {
    events: [message(1, 'one'), { seq: 3, kind: 'edit', target: 1, text: 'oldest', ts: TS, from: ME }],
    oldest: 1, head: 3, more: false,
  });
  assert.equal(room.log.find(1).text, 'newer');
  assert.deepEqual(counts(1), { '👍': 2 });
});

test('a deletion is for ever', () => {
  const { room, event } = three();
  event({ seq: 4, kind: 'delete', target: 1 });
  event({ seq: 5, kind: 'edit', target: 1, text: 'back?' });
  room.log.history({ around: 1 }, { events: [message(1, 'back?')], oldest: 1, head: 5, more: false });
  assert.deepEqual([room.log.find(1).deleted, room.log.find(1).text], [true, '']);
});

test('a message comes with its present state, whether in joined or in history', () => {
  const t = setup();
  const room = t.online(0);
  const state = { edited_at: TS, reactions: { '👍': 4, '🎉': 2 } };
  t.joined({ gen: 'g2', head: 2, events: [message(1, 'now', state), message(2, undefined, { deleted: true })], gap: { reset: true } });
  assert.equal(room.log.find(1).edited, TS);
  assert.deepEqual([...room.log.find(1).reactions], [['👍', 4], ['🎉', 2]]);
  assert.deepEqual([room.log.find(2).deleted, room.log.find(2).text], [true, '']);
});

test('an edit without text is one whose message is deleted, and changes nothing by itself', () => {
  const { room, event } = three();
  event({ seq: 4, kind: 'edit', target: 1, deleted: true });
  assert.equal(room.log.find(1).text, 'one');
});

test('counts are absolute, and our own reactions are known by their events', () => {
  const { room, event, counts } = three();
  event({ seq: 4, kind: 'reaction', target: 1, emoji: '👍', on: true, count: 1 });
  event({ seq: 5, kind: 'reaction', target: 1, emoji: '👍', on: true, count: 2, from: { id: 'u_bo', nick: 'Bo' } });
  event({ seq: 6, kind: 'reaction', target: 1, emoji: '🎉', on: true, count: 1, from: { id: 'u_bo', nick: 'Bo' } });
  assert.deepEqual(counts(1), { '👍': 2, '🎉': 1 });
  assert.deepEqual([room.log.isMine(1, '👍'), room.log.isMine(1, '🎉')], [true, false]);
  event({ seq: 7, kind: 'reaction', target: 1, emoji: '👍', on: false, count: 1 });
  assert.equal(room.log.isMine(1, '👍'), false);
  event({ seq: 8, kind: 'reaction', target: 1, emoji: '👍', on: false, count: 0, from: { id: 'u_bo', nick: 'Bo' } });
  assert.deepEqual(counts(1), { '🎉': 1 });
});
