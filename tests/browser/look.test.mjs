// How the pages look: pictures for people in test-results/, and axe for what a machine can judge.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import axe from 'axe-core';
import { Browser, RESULTS, Server, crowd, messageOf, nick, say, saySeen, shows, until } from './harness.mjs';

const WIDE = { viewport: { width: 1280, height: 760 } };
const PHONE = { viewport: { width: 390, height: 780 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Some talk, in two scripts and both directions. */
async function talk(browser, server, room) {
  const [ann, wei] = [await browser.enter(server, room), await browser.enter(server, room)];
  await nick(ann, 'Ann');
  await nick(wei, '伟');
  await saySeen(ann, 'The gateway now drains without losing anyone.');
  await saySeen(ann, 'Numbers in release-7.');
  await saySeen(wei, '太好了!我这边断网两分钟,回来一条都没少。');
  await saySeen(wei, '顺序也对。');
  await saySeen(wei, 'مرحبا بالجميع (in one room)');
  await act(wei, 'The gateway', '[data-emoji="👍"]');
  await act(ann, '顺序也对', '[data-emoji="🎉"]');
  await ann.locator('.chip', { hasText: '👍' }).click();
  await saySeen(ann, 'Meant for another room.');
  await act(ann, 'Meant for', '#menu-delete');
  await ann.locator('#delete-confirm').click();
  await ann.locator('.gone').waitFor();
  await act(ann, 'Numbers in', '#menu-edit');
  await ann.locator('#chat-message-input').fill('Numbers in release-8.');
  await ann.keyboard.press('Enter');
  await ann.locator('.edited').waitFor();
  await saySeen(ann, 'On it.');
  await Promise.all([ann, wei].map((page) => page.context().close()));
}

/** Takes an action on a message from its menu. */
async function act(page, text, item) {
  await messageOf(page, text).hover();
  await messageOf(page, text).locator('.more').click();
  await page.locator(item).click();
}

test('look', { timeout: 300_000 }, async (t) => {
  await mkdir(RESULTS, { recursive: true });
  const server = await Server.start(t, '--limits', 'off');
  const browser = await Browser.start(t);
  await talk(browser, server, 'general');
  await talk(browser, server, '聊天室');
  await crowd(browser, server, 'long', Array.from({ length: 300 }, (_, n) => `number ${n + 1}`));

  const picture = (page, name) => page.screenshot({ path: join(RESULTS, `${name}.png`) });
  const room = async (name, options) => {
    const page = await browser.enter(server, name, options);
    await shows(page, 'On it.');
    return page;
  };
  await t.test('pictures of both pages', async () => {
    for (const [name, options] of [
      ['wide', WIDE],
      ['wide-dark', { ...WIDE, colorScheme: 'dark' }],
      ['phone', PHONE],
      ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
      ['wide-zh', { ...WIDE, locale: 'zh-CN' }],
    ]) {
      const page = await room(name.endsWith('zh') ? '聊天室' : 'general', options);
      await picture(page, `room-${name}`);
      await page.context().close();
      const index = await browser.open(server.url('/chat/'), options);
      await picture(index, `index-${name}`);
      await index.context().close();
      // A gap between what a link led to and the end.
      const gap = await browser.enter(server, 'long', { ...options, at: '#120' });
      await gap.locator('.gap').waitFor();
      await gap.locator('.gap').evaluate((e) => {
        const scroller = document.querySelector('#scroller');
        // Put there without a look around, which would fill it.
        scroller.addEventListener('scroll', (event) => event.stopImmediatePropagation(), { capture: true });
        e.scrollIntoView({ block: 'center' });
      });
      await picture(gap, `gap-${name}`);
      await gap.context().close();
    }
  });

  /** Every page in every look, with everything in sight that can go wrong with a message. */
  const audited = [];
  for (const colorScheme of ['light', 'dark']) {
    for (const [size, options] of [['wide', WIDE], ['phone', PHONE]]) {
      // The policy would, rightly, not let a stranger's script run; axe is one.
      const look = { ...options, colorScheme, bypassCSP: true };
      const page = await room('general', look);
      await say(page, 'bad \u0007 bell');
      await page.locator('#outbox .failed.message').waitFor();
      audited.push({ name: `${size}-${colorScheme}`, look, page });
    }
  }

  for (const { name, look, page } of audited) {
    await t.test(`axe finds nothing: ${name}`, async () => {
      await audit(page);
      await page.locator('#me').click();
      await until('the dialog', () => page.locator('#nick-dialog').isVisible());
      await picture(page, `nick-${name}`);
      await audit(page);
      await page.keyboard.press('Escape');
      const more = messageOf(page, 'On it.').locator('.more');
      await more.focus();
      await page.keyboard.press('Enter');
      await until('the menu', () => page.locator('#menu').isVisible());
      await picture(page, `menu-${name}`);
      await audit(page);
      await page.keyboard.press('Escape');
      await saySeen(page, `Mine, ${name}.`);
      await page.locator('#chat-message-input').press('ArrowUp');
      await until('editing', () => page.locator('#editing').isVisible());
      await picture(page, `edit-${name}`);
      await audit(page);
      await page.locator('#chat-message-input').fill('');
      await page.keyboard.press('Enter');
      await until('the question', () => page.locator('#delete-dialog').isVisible());
      await picture(page, `delete-${name}`);
      await audit(page);
      await page.locator('#delete-cancel').click();
      const linked = await browser.enter(server, 'long', { ...look, at: '#120' });
      await linked.locator('.linked').waitFor();
      await audit(linked);
      await linked.context().close();
      const index = await browser.open(server.url('/chat/'), look);
      await index.keyboard.press('Enter');
      await audit(index);
      await index.context().close();
    });
  }

  await server.kill();
  for (const { name, page } of audited) {
    await t.test(`axe finds nothing without a server: ${name}`, async () => {
      await until('loss in words', () => page.locator('#bar').isVisible());
      await say(page, 'It works, sending a picture of the log.');
      await page.locator('#outbox .pending').waitFor();
      await picture(page, `lost-${name}`);
      await audit(page);
    });
  }
});

async function audit(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((n) => n.html).join(' ')}`);
  assert.deepEqual(found, []);
}
