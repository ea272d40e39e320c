// What people do with messages that are there already: read back, edit, delete, react, come back late.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser, Server, connected, crowd, log, messageOf, nick, say, saySeen, shows, texts, until } from './harness.mjs';

const numbered = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => `number ${from + n}`);

/** The first message in sight, or the one named, and how many pixels below the top its text stands. */
function place(page, named) {
  return page.evaluate((named) => {
    const { top } = document.querySelector('#scroller').getBoundingClientRect();
    const texts = [...document.querySelectorAll('#chat-log .text')];
    const isIt = (text) => (named ? text.textContent === named : text.getBoundingClientRect().bottom > top);
    const found = texts.find(isIt);
    return { text: found.textContent, top: found.getBoundingClientRect().top - top };
  }, named);
}

const scrollTo = (page, top) => page.locator('#scroller').evaluate((e, top) => e.scrollTo(0, top), top);
const count = (page, selector) => page.locator(selector).count();

/** Takes an action on a message from its menu. */
async function act(page, text, item) {
  const message = messageOf(page, text);
  await message.hover();
  await message.locator('.more').click();
  await page.locator(item).click();
}

test('history', { timeout: 300_000 }, async (t) => {
  const server = await Server.start(t, '--limits', 'off');
  const browser = await Browser.start(t);

  /** A case of its own, whose windows must stay without problems. */
  const scene = (name, run) =>
    t.test(name, async () => {
      const pages = [];
      const enter = async (...args) => {
        const page = await browser.enter(server, ...args);
        pages.push(page);
        return page;
      };
      await run(enter);
      for (const page of pages) {
        assert.deepEqual(page.problems, []);
        await page.context().close();
      }
    });

  await scene('scrolling back shows all of a room, and what is in sight does not move by a pixel', async (enter) => {
    const words = numbered(1, 300);
    await crowd(browser, server, 'back', words);
    const page = await enter('back');
    await shows(page, 'number 300');
    assert.deepEqual(await texts(page), words.slice(-50));
    assert.equal(await page.locator('.welcome').isVisible(), false);
    for (let held = 50; held < 300; ) {
      await scrollTo(page, 150);
      const before = await place(page);
      const now = await until(`more than ${held}`, async () => {
        const { length } = await texts(page);
        return length > held && length;
      });
      // Another page may follow at once; it must not move anything either.
      await until('at rest', async () => (await page.locator('#older').getAttribute('aria-disabled')) === 'false');
      assert.deepEqual(await place(page, before.text), before, `at ${held} messages`);
      held = now;
    }
    assert.deepEqual(await texts(page), words);
    assert.equal(await page.locator('#older').isVisible(), false);
    await scrollTo(page, 0);
    assert.equal(await page.locator('.welcome').isVisible(), true);
    await page.locator('#jump').click();
    await until('at the end', () => page.locator('#jump').isHidden());
  });

  await scene('earlier messages come with the keyboard as well', async (enter) => {
    const page = await enter('back');
    await page.locator('#older').press('Enter');
    await until('a page more', async () => (await texts(page)).length >= 100);
  });

  await scene('an arrow up edits the last own message, Escape leaves it and the draft alone', async (enter) => {
    const [ann, bo] = [await enter('edit'), await enter('edit')];
    await nick(ann, 'Ann');
    await saySeen(ann, 'helo');
    await saySeen(bo, 'something else');
    await shows(ann, 'something else');
    const input = ann.locator('#chat-message-input');
    await input.press('ArrowUp');
    assert.equal(await input.inputValue(), 'helo');
    assert.equal(await ann.locator('#chat-message-submit').textContent(), 'Save');
    assert.equal(await messageOf(ann, 'helo').getAttribute('class').then((c) => c.includes('editing')), true);
    await input.fill('changed my mind');
    await input.press('Escape');
    assert.equal(await input.inputValue(), '');
    assert.equal(await ann.locator('#editing').isVisible(), false);

    await input.press('ArrowUp');
    await input.fill('hello <b>all</b>');
    await input.press('Enter');
    for (const page of [ann, bo]) {
      await shows(page, 'hello <b>all</b>');
      const text = messageOf(page, 'hello').locator('.text');
      assert.equal(await text.locator('.edited').textContent(), 'edited');
      assert.equal(await count(page, '#chat-log b'), 0);
      assert.deepEqual(await texts(page), ['hello <b>all</b>', 'something else']);
    }
    const late = await enter('edit');
    assert.deepEqual(await texts(late), ['hello <b>all</b>', 'something else']);
    assert.equal(await count(late, '.edited'), 1);
    // Only one's own.
    await messageOf(bo, 'hello').hover();
    await messageOf(bo, 'hello').locator('.more').click();
    assert.equal(await bo.locator('#menu-edit').isVisible(), false);
    assert.equal(await bo.locator('#menu-delete').isVisible(), false);
  });

  await scene('an edit from the menu gives the draft back afterwards', async (enter) => {
    const page = await enter('draft');
    await saySeen(page, 'first');
    const input = page.locator('#chat-message-input');
    await input.fill('half a sen');
    await act(page, 'first', '#menu-edit');
    await input.fill('first, better');
    await page.locator('#chat-message-submit').click();
    await shows(page, 'first, better');
    assert.equal(await input.inputValue(), 'half a sen');
  });

  await scene('a deletion is asked for, and leaves a placeholder and no line', async (enter) => {
    const [ann, bo] = [await enter('delete'), await enter('delete')];
    await saySeen(ann, 'keep this');
    await saySeen(ann, 'the wrong window');
    await act(ann, 'the wrong window', '#menu-delete');
    assert.equal(await ann.locator('#delete-quote').textContent(), 'the wrong window');
    await ann.keyboard.press('Escape');
    assert.deepEqual(await texts(ann), ['keep this', 'the wrong window']);
    await act(ann, 'the wrong window', '#menu-delete');
    await ann.locator('#delete-confirm').click();
    for (const page of [ann, bo]) {
      await until('gone', async () => (await texts(page)).length === 1);
      assert.equal(await page.locator('#chat-log .gone').textContent(), 'message deleted');
      assert.equal((await log(page)).includes('wrong window'), false);
    }
    const late = await enter('delete');
    assert.deepEqual(await texts(late), ['keep this']);
    assert.equal(await count(late, '.gone'), 1);
    assert.equal((await late.content()).includes('the wrong window'), false);
    // Taking the text away altogether asks the same.
    await ann.locator('#chat-message-input').press('ArrowUp');
    await ann.locator('#chat-message-input').fill('');
    await ann.keyboard.press('Enter');
    assert.equal(await ann.locator('#delete-quote').textContent(), 'keep this');
    await ann.locator('#delete-cancel').click();
    assert.deepEqual(await texts(ann), ['keep this']);
  });

  await scene('reactions are chips that toggle and count people', async (enter) => {
    const [ann, bo] = [await enter('react'), await enter('react')];
    await saySeen(ann, 'shall we?');
    await shows(bo, 'shall we?');
    const chips = (page) => page.locator('.chip').evaluateAll((nodes) => nodes.map((n) => [n.textContent, n.getAttribute('aria-pressed')]));
    const chipsAre = (page, expected) =>
      until(JSON.stringify(expected), async () => JSON.stringify(await chips(page)) === JSON.stringify(expected));
    await act(bo, 'shall we?', '#choices [data-emoji="👍"]');
    await chipsAre(bo, [['👍 1', 'true']]);
    await chipsAre(ann, [['👍 1', 'false']]);
    await ann.locator('.chip').click();
    await chipsAre(bo, [['👍 2', 'true']]);
    await act(ann, 'shall we?', '#choices [data-emoji="🎉"]');
    await chipsAre(bo, [['👍 2', 'true'], ['🎉 1', 'false']]);
    await bo.reload();
    await connected(bo);
    await chipsAre(bo, [['👍 2', 'true'], ['🎉 1', 'false']]);
    await bo.locator('.chip').first().click();
    await chipsAre(ann, [['👍 1', 'true'], ['🎉 1', 'true']]);
    await ann.locator('.chip').last().click();
    await chipsAre(bo, [['👍 1', 'false']]);
    assert.deepEqual(await texts(ann), ['shall we?']);
  });

  await scene('the menus of messages can be had with the keyboard alone', async (enter) => {
    const page = await enter('arrows');
    for (const text of ['one', 'two', 'three']) await saySeen(page, text);
    const inMessage = () => page.evaluate(() => document.activeElement.closest('.message')?.querySelector('.text').textContent);
    await page.keyboard.press('Shift+Tab');
    assert.equal(await inMessage(), 'three');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('ArrowUp');
    assert.equal(await inMessage(), 'one');
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await messageOf(page, 'one').locator('.chip').waitFor();
    assert.equal(await inMessage(), 'one');
    await page.keyboard.press('ArrowLeft');
    assert.match(await page.evaluate(() => document.activeElement.className), /chip/);
    await page.keyboard.press('Space');
    await until('taken back', async () => (await count(page, '.chip')) === 0);
    await messageOf(page, 'two').locator('.more').focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'menu-edit');
    await page.keyboard.press('Escape');
    assert.equal(await inMessage(), 'two');
  });

  await scene('after a long absence a gap says so, and fills when it is looked at', async (enter) => {
    const line = { away: false, sockets: new Set() };
    const prepare = (page) =>
      page.routeWebSocket(/\/ws$/, (socket) => {
        if (line.away) {
          socket.close({ code: 1001 });
          return;
        }
        socket.connectToServer();
        line.sockets.add(socket);
      });
    const writer = await enter('absence');
    await crowd(browser, server, 'absence', numbered(1, 20));
    await saySeen(writer, 'before the edit');
    const reader = await enter('absence', { prepare });
    await shows(reader, 'before the edit');

    line.away = true;
    for (const socket of line.sockets) await socket.close({ code: 1001 });
    await until('noticed', async () => (await reader.locator('#state').getAttribute('data-state')) !== 'online');
    await writer.locator('#chat-message-input').press('ArrowUp');
    await writer.locator('#chat-message-input').fill('after the edit');
    await writer.keyboard.press('Enter');
    await shows(writer, 'after the edit');
    const missed = numbered(101, 700);
    await crowd(browser, server, 'absence', missed);
    line.away = false;
    await until('back', async () => {
      const button = reader.locator('#bar-button');
      if (await button.isVisible()) await button.click({ timeout: 500 }).catch(() => {});
      return (await reader.locator('#state').getAttribute('data-state')) === 'online';
    });

    await shows(reader, 'number 700');
    await until('the gap in the log', async () => (await log(reader)).includes('[…] some messages in between are not shown'));
    assert.equal((await texts(reader)).includes('number 101'), false);
    const gap = reader.locator('.gap');
    assert.equal(await gap.count(), 1);
    assert.equal(await gap.getByRole('button', { name: 'Show them' }).count(), 1);

    // What was there before may have changed in the gap: it is fetched anew as soon as it is looked at.
    assert.ok((await texts(reader)).includes('before the edit'));
    await scrollTo(reader, 0);
    await shows(reader, 'after the edit');
    assert.equal((await log(reader)).includes('before the edit'), false);
    assert.equal(await gap.count(), 1);

    // From below, as somebody reads who scrolls up: page after page, and nothing in sight moves.
    for (let held = (await texts(reader)).length; (await gap.count()) > 0; held = (await texts(reader)).length) {
      const at = await gap.evaluate((e) => {
        const scroller = document.querySelector('#scroller');
        scroller.scrollTop = e.offsetTop - scroller.offsetTop + e.offsetHeight + 10;
        return scroller.scrollTop;
      });
      assert.ok(at > 0);
      const before = await place(reader);
      await until('more', async () => (await texts(reader)).length !== held || (await gap.count()) === 0);
      assert.deepEqual(await place(reader, before.text), before);
    }
    assert.deepEqual(await texts(reader), [...numbered(1, 20), 'after the edit', ...missed]);
  });

  await scene('a gap can be filled by its button', async (enter) => {
    const page = await enter('absence', { at: '#300' });
    await messageOf(page, /^number 3\d\d$/).first().waitFor();
    const button = page.locator('.gap button');
    await button.focus();
    const before = (await texts(page)).length;
    await page.keyboard.press('Enter');
    await until('filled', async () => (await texts(page)).length > before);
  });

  await scene('a link to a message loads what is around it', async (enter) => {
    const page = await enter('back', { at: '#100' });
    const linked = page.locator('.linked');
    await linked.waitFor();
    assert.equal(await linked.locator('.text').textContent(), 'number 100');
    const inView = () =>
      linked.evaluate((e) => {
        const [box, frame] = [e, document.querySelector('#scroller')].map((n) => n.getBoundingClientRect());
        return box.top >= frame.top && box.bottom <= frame.bottom;
      });
    assert.equal(await inView(), true);
    assert.equal((await texts(page)).includes('number 90'), true);
    await act(page, 'number 99', '#menu-link');
    await until('the other one', async () => (await linked.locator('.text').textContent()) === 'number 99');
    assert.equal(new URL(page.url()).hash, '#99');
    await page.locator('#jump').click();
    await until('at the end', () => page.locator('#jump').isHidden());
  });

  await scene('a room of any length leaves at most a thousand messages in the page', async (enter) => {
    await crowd(browser, server, 'long', numbered(1, 1100));
    const writer = await enter('long');
    const page = await enter('long');
    await shows(page, 'number 1100');
    await until('the first message', async () => {
      await scrollTo(page, 0);
      return (await texts(page)).includes('number 1');
    });
    assert.ok((await count(page, '#chat-log .message')) <= 1_000);
    await saySeen(writer, 'news');
    await until('the pill', async () => (await page.locator('#jump').textContent()) === '1 new ↓');
    await page.locator('#jump').click();
    await shows(page, 'news');
    assert.equal((await texts(page)).at(-1), 'news');
    assert.ok((await count(page, '#chat-log .message')) <= 1_000);
    await until('at the end', () => page.locator('#jump').isHidden());
  });

  await scene('all of it in Chinese', async (enter) => {
    const page = await enter('历史', { locale: 'zh-CN' });
    await saySeen(page, '你好');
    await page.locator('#chat-message-input').press('ArrowUp');
    assert.equal(await page.locator('#chat-message-submit').textContent(), '保存');
    await page.locator('#chat-message-input').fill('你好，世界');
    await page.keyboard.press('Enter');
    await shows(page, '你好，世界');
    assert.equal(await page.locator('.edited').textContent(), '已编辑');
    await act(page, '你好', '#choices [data-emoji="🎉"]');
    await page.locator('.chip').waitFor();
    assert.equal(await page.locator('.reactions').getAttribute('aria-label'), '回应');
    await act(page, '你好', '#menu-delete');
    assert.equal(await page.locator('#delete-title').textContent(), '删除这条消息？');
    await page.locator('#delete-confirm').click();
    await until('gone', async () => (await texts(page)).length === 0);
    assert.equal(await page.locator('.gone').textContent(), '消息已删除');
    await crowd(browser, server, '历史', numbered(1, 120));
    const late = await enter('历史', { locale: 'zh-CN', viewport: { width: 390, height: 700 } });
    await shows(late, 'number 120');
    assert.equal(await late.locator('#older').textContent(), '显示更早的消息');
    const linked = await enter('历史', { locale: 'zh-CN', at: '#5' });
    await linked.locator('.linked').waitFor();
    if ((await linked.locator('.gap').count()) > 0) {
      assert.match(await linked.locator('.gap').textContent(), /中间有一些消息未显示。显示这些消息/);
    }
  });
});

test('what was asked for without a server is done when it is back', { timeout: 120_000 }, async (t) => {
  const server = await Server.start(t);
  const browser = await Browser.start(t);
  const page = await browser.enter(server, 'offline');
  for (const text of ['one', 'two', 'three']) await saySeen(page, text);
  await server.kill();
  await until('loss in words', () => page.locator('#bar').isVisible());
  await act(page, 'one', '#menu-edit');
  await page.locator('#chat-message-input').fill('one, better');
  await page.keyboard.press('Enter');
  await act(page, 'two', '#menu-delete');
  await page.locator('#delete-confirm').click();
  await act(page, 'three', '#choices [data-emoji="👍"]');
  await say(page, 'four');
  assert.match(await messageOf(page, 'one, better').locator('.text').textContent(), /not saved yet/);
  assert.equal(await page.locator('.chip').textContent(), '👍 1');
  await server.start();
  await connected(page);
  await shows(page, 'four');
  const expected = ['one, better', 'three', 'four'];
  assert.deepEqual(await texts(page), expected);
  const other = await browser.enter(server, 'offline');
  assert.deepEqual(await texts(other), expected);
  assert.equal(await count(other, '.gone'), 1);
  assert.equal(await other.locator('.chip').textContent(), '👍 1');
  assert.equal(await page.locator('.edited').textContent(), 'edited');
});
