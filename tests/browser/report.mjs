// Reads an HTML report as a person does, in a real browser: `node report.mjs MODULES PAGE SCREENSHOT`. Fails by an assertion.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [modules, file, screenshot] = process.argv.slice(2)
const { chromium } = createRequire(`${modules}/`)('playwright-core')
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium-headless-shell', args: ['--no-sandbox'] })
const page = await browser.newPage({ viewport: { width: 1200, height: 800 } })
const complaints = []
const requests = []
page.on('pageerror', (error) => complaints.push(`${error}`))
page.on('console', (message) => complaints.push(message.text()))
page.on('dialog', (dialog) => complaints.push(`a dialog: ${dialog.message()}`))
page.on('request', (request) => requests.push(request.url()))
const text = (selector) => page.textContent(selector)
const rows = (selector) => page.$$eval(`${selector} .row`, (rows) => rows.map((row) => row.lastChild.textContent))
// The list follows what is typed a moment later.
const forget = async () => {
  const before = await text('#found')
  await page.fill('#search', '')
  await page.waitForFunction((before) => document.querySelector('#found').textContent !== before, before)
}
const found = (what) => page.waitForFunction((what) => document.querySelector('#found').textContent === what, what)

await page.goto(pathToFileURL(file).href)
await page.waitForSelector('html[data-ready]')

// The head: what ran, and why.
assert.match(await text('#title'), /^sh script/)
assert.match(await text('#why'), /\/input changed/)
assert.equal(await page.isVisible('#gaps'), false)
assert.match(await text('#facts'), /\d+ processes, \d+ paths/)

// Names that try to be markup are names.
await page.click('#tab-files')
await page.fill('#search', 'onerror')
await found('1 path')
assert.match((await rows('#table'))[0], /<img src=x onerror="document\.title='taken'">$/)
await page.fill('#search', 'quo\'ted')
await found('1 path')
await page.fill('#search', 'n\ufffd')
await found('1 path')
assert.equal(await page.$$eval('img, b', (made) => made.length), 0)
assert.match(await page.title(), /^tracerun: sh script/)

// Files: by kind, and by whom.
await page.fill('#search', '/project/')
await page.click('#kinds button:has-text("write")')
// The output and four files of odd names.
await found('5 paths')
assert.ok((await rows('#table')).some((row) => row.endsWith('/output')))
assert.ok(!(await rows('#table')).some((row) => row.endsWith('/input')))
await page.click('#kinds button:has-text("write")')
await page.fill('#search', '/input')
await found('1 path')
await page.click('#table .row')
assert.match(await text('#detail-title'), /\/input$/)
assert.ok((await rows('#detail-list')).some((row) => row.startsWith('cat input')))

// From a file to the process that read it, and out again.
await page.click('#detail-list .row:has-text("read")')
assert.match(await text('#detail-title'), /^cat input/)
assert.match(await text('#detail-facts'), /exit 0/)
await page.keyboard.press('Escape')
assert.equal(await page.isVisible('#detail'), false)

// Processes, by the keyboard alone.
await forget()
await page.focus('#tab-files')
await page.keyboard.press('2')
assert.equal(await page.getAttribute('#tab-processes', 'aria-selected'), 'true')
const all = (await rows('#tree')).length
assert.ok(all > 3)
await page.focus('#tree')
await page.keyboard.press('Home')
await page.keyboard.press('ArrowLeft')
assert.equal((await rows('#tree')).length, 1)
await page.keyboard.press('ArrowRight')
assert.equal((await rows('#tree')).length, all)
await page.keyboard.press('ArrowDown')
assert.equal(await page.$$eval('#tree .row.on', (rows) => rows.length), 1)
await page.keyboard.press('/')
await page.keyboard.type('cat input')
await page.waitForFunction(() => document.querySelector('#found').textContent.startsWith('1 '))
// Those that it comes from are shown with it.
assert.ok((await rows('#tree')).some((row) => row.includes('sh script')))
await forget()

// Folders: into one, and back by the crumbs.
await page.keyboard.press('Escape')
await page.click('#tab-folders')
await page.click('#map button:has-text("usr/")')
assert.equal(await text('#crumbs'), '/usr/')
await page.click('#crumbs button')
assert.equal(await text('#crumbs'), '/')

// The timeline: the first line is the first process; zoomed in on the middle it is still there.
await page.click('#tab-timeline')
await page.click('#chart', { position: { x: 300, y: 25 } })
assert.match(await text('#detail-title'), /^sh script/)
const picture = () => page.$eval('#chart', (chart) => chart.toDataURL())
const before = await picture()
await page.focus('#chart')
await page.keyboard.press('+')
await page.keyboard.press('+')
assert.notEqual(await picture(), before)
await page.keyboard.press('0')
assert.equal(await picture(), before)
await page.screenshot({ path: screenshot })

// Dark, and as narrow as a telephone.
await page.emulateMedia({ colorScheme: 'dark' })
await page.waitForSelector('html[data-theme="dark"]')
await page.click('#theme')
await page.waitForSelector('html[data-theme="light"]')
await page.setViewportSize({ width: 400, height: 700 })
for (const view of ['timeline', 'processes', 'files', 'folders']) {
  await page.click(`#tab-${view}`)
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 400, `${view} is too wide`)
}

assert.deepEqual(complaints, [])
assert.deepEqual(requests, [pathToFileURL(file).href])
await browser.close()
