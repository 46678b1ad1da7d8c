'use strict'
// Every name in here comes from a traced program: it is only ever put on the page as text, never as markup.
const data = JSON.parse(document.getElementById('data').textContent)
const $ = (id) => document.getElementById(id)
const KINDS = ['read', 'exec', 'stat', 'missing', 'list', 'write', 'delete']
const LETTERS = ['r', 'x', 's', 'm', 'l', 'w', 'd']

// The processes by index: `[parent index or -1, pid, start µs, end µs, exit, command line]`.
const processes = data.processes.map(([parent, pid, start, end, exit, command], index) =>
  ({ index, parent, pid, start, end, exit, command, children: [], accesses: [], depth: 0 }))
const roots = []
for (const process of processes) {
  const parent = processes[process.parent]
  // A fork on its way to becoming another program is no more than that, but for what it touched.
  process.isFork = parent !== undefined && parent.pid !== process.pid && process.exit === 'exec'
  if (parent) parent.children.push(process)
  else roots.push(process)
  process.depth = parent ? parent.depth + (parent.isFork ? 0 : 1) : 0
}
// The paths, sorted, each as how many characters it shares with the one before and the rest.
const paths = []
for (let index = 0; index < data.paths.length; index += 2) {
  paths.push((paths.at(-1) ?? '').slice(0, data.paths[index]) + data.paths[index + 1])
}
// The accesses, four numbers each: process, path, seven times the count and the kind, µs since the one before.
const touched = paths.map(() => [])
const kindsOf = new Uint8Array(paths.length)
let now = 0
for (let at = 0; at < data.accesses.length; at += 4) {
  const [process, path, kind] = [processes[data.accesses[at]], data.accesses[at + 1], data.accesses[at + 2] % 7]
  now += data.accesses[at + 3]
  const access = { process, path, kind, count: Math.floor(data.accesses[at + 2] / 7), first: now }
  process.accesses.push(access)
  touched[path].push(access)
  kindsOf[path] |= 1 << kind
}
const whole = processes.reduce((most, process) => Math.max(most, process.end), 1)
const lettersOf = (kinds) => LETTERS.map((letter, kind) => (kinds & (1 << kind) ? letter : '·')).join('')
const time = (µs) => (µs >= 1e6 ? `${(µs / 1e6).toFixed(2)} s` : µs >= 1e3 ? `${(µs / 1e3).toFixed(1)} ms` : `${µs} µs`)
const ended = (exit) => (exit === null ? 'end not seen' : exit === 'exec' ? 'executed another program' : exit === 0 ? 'exit 0' : `${exit}`)
const isBad = (exit) => exit !== null && exit !== 'exec' && exit !== 0

function element (name, text, type = '') {
  const made = document.createElement(name)
  made.textContent = text
  made.className = type
  return made
}

// A list of which only the rows in sight are on the page.
class List {
  constructor (box, fill, choose) {
    Object.assign(this, { box, fill, choose, items: [], on: -1 })
    this.space = box.appendChild(document.createElement('div'))
    box.addEventListener('scroll', () => this.draw())
    new ResizeObserver(() => this.draw()).observe(box)
    box.addEventListener('keydown', (event) => this.key(event))
  }

  show (items) {
    Object.assign(this, { items, on: items.length ? Math.min(this.on, items.length - 1) : -1 })
    this.draw()
  }

  draw () {
    const { box, items } = this
    // Browsers have a tallest element: beyond it rows are nearer to each other than they are high, and are scrolled by line.
    const height = Math.min(items.length * 22, 8e6)
    this.space.style.cssText = `height:${height}px;width:1px`
    const most = Math.max(0, items.length - Math.floor(box.clientHeight / 22))
    const share = height > box.clientHeight ? box.scrollTop / (height - box.clientHeight) : 0
    const first = items.length * 22 <= 8e6 ? Math.floor(box.scrollTop / 22) : Math.round(share * most)
    const top = items.length * 22 <= 8e6 ? first * 22 : box.scrollTop
    const rows = []
    for (let index = first; index < Math.min(items.length, first + Math.ceil(box.clientHeight / 22) + 1); index++) {
      const row = element('div', '', index === this.on ? 'row on' : 'row')
      row.style.top = `${top + (index - first) * 22}px`
      this.fill(row, items[index])
      row.addEventListener('click', () => this.pick(index))
      rows.push(row)
    }
    box.replaceChildren(this.space, ...rows)
  }

  pick (index) {
    if (index < 0 || index >= this.items.length) return
    this.on = index
    const { box } = this
    if (index * 22 < box.scrollTop) box.scrollTop = index * 22
    if ((index + 1) * 22 > box.scrollTop + box.clientHeight) box.scrollTop = (index + 1) * 22 - box.clientHeight
    this.draw()
    this.choose?.(this.items[index])
  }

  key (event) {
    const page = Math.floor(this.box.clientHeight / 22)
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.items.length, End: this.items.length }[event.key]
    if (step === undefined) return
    event.preventDefault()
    this.pick(Math.max(0, Math.min(this.items.length - 1, this.on + step)))
  }
}

// What is searched for.
let needle = ''
const matches = (text) => text.toLowerCase().includes(needle)
const matchingProcesses = () => new Set(processes.filter((process) => matches(process.command)))

// The tree of processes.
const closed = new Set()
const tree = new List($('tree'), (row, process) => {
  const sign = process.children.length === 0 ? ' ' : closed.has(process) ? '▸' : '▾'
  row.setAttribute('role', 'treeitem')
  row.setAttribute('aria-level', process.depth + 1)
  row.append(
    element('span', time(process.end - process.start), 'number'),
    element('span', `${process.accesses.length}`, 'number'),
    element('span', `${'  '.repeat(Math.min(process.depth, 30))}${sign} ${process.command}`, isBad(process.exit) ? 'bad' : ''))
}, showProcess)
$('tree').addEventListener('keydown', (event) => {
  const process = tree.items[tree.on]
  if (!process || !['ArrowLeft', 'ArrowRight', 'Enter'].includes(event.key)) return
  event.preventDefault()
  if (event.key === 'ArrowLeft' || event.key === 'Enter' && !closed.has(process)) closed.add(process)
  else closed.delete(process)
  showTree()
})
function showTree () {
  // Who has something that is looked for below is shown, too.
  const shown = needle ? new Set() : null
  if (shown) {
    for (let process of matchingProcesses()) {
      for (; process && !shown.has(process); process = processes[process.parent]) shown.add(process)
    }
  }
  const rows = []
  const stack = roots.toReversed()
  while (stack.length) {
    const process = stack.pop()
    if (shown && !shown.has(process)) continue
    if (!process.isFork) rows.push(process)
    if (process.isFork || !closed.has(process)) for (const child of process.children.toReversed()) stack.push(child)
  }
  tree.show(rows)
  return needle ? matchingProcesses().size : processes.length
}

// The table of files.
let wanted = 0
const table = new List($('table'), (row, path) => {
  row.append(element('span', lettersOf(kindsOf[path]), 'kinds'), element('span', `${touched[path].length}`, 'number'), element('span', paths[path]))
}, showPath)
for (const [kind, name] of KINDS.entries()) {
  const button = $('kinds').appendChild(element('button', `${LETTERS[kind]} ${name} ${kindsOf.reduce((sum, kinds) => sum + (kinds >> kind & 1), 0)}`))
  button.setAttribute('aria-pressed', 'false')
  button.addEventListener('click', () => {
    wanted ^= 1 << kind
    button.setAttribute('aria-pressed', `${(wanted >> kind & 1) === 1}`)
    search()
  })
}
function showTable () {
  const rows = []
  for (let path = 0; path < paths.length; path++) {
    if ((!wanted || kindsOf[path] & wanted) && (!needle || matches(paths[path]))) rows.push(path)
  }
  table.show(rows)
  return rows.length
}

// What is known of one process or path.
const detail = new List($('detail-list'), (row, access) => {
  row.append(
    element('span', KINDS[access.kind], 'kinds'), element('span', `${access.count}×`, 'number'), element('span', time(access.first), 'number'),
    element('span', detail.ofPath ? access.process.command : paths[access.path]))
}, (access) => { if (detail.ofPath) select(access.process) })
let selected = null
function showDetail (title, facts, items, ofPath) {
  $('detail').hidden = false
  $('detail-title').textContent = title
  $('detail-facts').textContent = facts
  detail.ofPath = ofPath
  detail.on = -1
  $('detail-list').scrollTop = 0
  detail.show(items)
}
function showProcess (process) {
  selected = process
  const parent = processes[process.parent]
  showDetail(process.command, `pid ${process.pid}, ${time(process.start)} to ${time(process.end)}, ${ended(process.exit)}` +
    (parent ? `, from ${parent.command.slice(0, 80)}` : '') + `; ${process.accesses.length} accesses`, process.accesses, false)
  drawChart()
}
function showPath (path) {
  showDetail(paths[path], `touched by ${new Set(touched[path].map((access) => access.process)).size} processes`, touched[path], true)
}
function select (process) {
  showProcess(process)
  if (!$('processes').hidden) {
    for (let above = processes[process.parent]; above; above = processes[above.parent]) closed.delete(above)
    showTree()
    tree.pick(tree.items.indexOf(process))
  }
}
$('close').addEventListener('click', () => { $('detail').hidden = true; selected = null; drawChart() })

// The timeline: each process on the first line that is free when it begins.
const lanes = []
for (const process of processes.toSorted((one, other) => one.start - other.start)) {
  let lane = lanes.findIndex((free) => free <= process.start)
  if (lane < 0) lane = lanes.push(0) - 1
  lanes[lane] = Math.max(process.end, process.start + whole / 5000)
  process.lane = lane
}
const chart = $('chart')
let [from, to] = [0, whole]
let found = null
function drawChart () {
  const [width, height] = [chart.clientWidth, chart.clientHeight]
  if (!width || !height) return
  const scale = window.devicePixelRatio || 1
  chart.width = width * scale
  chart.height = height * scale
  const style = getComputedStyle(document.documentElement)
  const colour = (name) => style.getPropertyValue(name)
  const draw = chart.getContext('2d')
  draw.scale(scale, scale)
  draw.font = '11px ui-monospace, monospace'
  const row = Math.max(3, Math.min(20, (height - 18) / lanes.length))
  draw.fillStyle = colour('--dim')
  for (let step = 0; step <= 4; step++) {
    const x = width * step / 4
    draw.textAlign = step === 4 ? 'right' : step ? 'center' : 'left'
    draw.fillText(time(Math.round(from + (to - from) * step / 4)), x, 11)
  }
  draw.textAlign = 'left'
  for (const process of processes) {
    if (process.end < from || process.start > to) continue
    const x = (process.start - from) / (to - from) * width
    const wide = Math.max(1, (process.end - process.start) / (to - from) * width)
    const y = 18 + process.lane * row
    if (y > height) continue
    draw.globalAlpha = found && !found.has(process) ? 0.15 : 1
    draw.fillStyle = process === selected ? colour('--bad') : `hsl(${hue(process.command)} 55% 60%)`
    draw.fillRect(x, y, wide, row - 1)
    if (row >= 12 && wide > 40) {
      draw.fillStyle = '#10151c'
      const left = Math.max(x, 0)
      draw.fillText(process.command.slice(0, Math.floor((x + wide - left) / 7)), left + 3, y + row / 2 + 3)
    }
  }
  draw.globalAlpha = 1
}
function hue (command) {
  const name = command.split(' ', 1)[0].replace(/\/$/, '').split('/').at(-1)
  let sum = 0
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 360
  return sum
}
function at (event) {
  const box = chart.getBoundingClientRect()
  const row = Math.max(3, Math.min(20, (box.height - 18) / lanes.length))
  const when = from + (event.clientX - box.left) / box.width * (to - from)
  const slack = (to - from) / box.width * 2
  const lane = Math.floor((event.clientY - box.top - 18) / row)
  return processes.find((process) => process.lane === lane && process.start - slack <= when && when <= process.end + slack)
}
function zoom (factor, middle = (from + to) / 2) {
  const span = Math.min(whole, Math.max(10, (to - from) * factor))
  const start = Math.max(0, Math.min(whole - span, middle - (middle - from) * span / (to - from)))
  ;[from, to] = [start, start + span]
  drawChart()
}
function move (by) {
  const start = Math.max(0, Math.min(whole - (to - from), from + by * (to - from)))
  ;[from, to] = [start, start + to - from]
  drawChart()
}
chart.addEventListener('wheel', (event) => {
  event.preventDefault()
  zoom(event.deltaY > 0 ? 1.25 : 0.8, from + event.offsetX / chart.clientWidth * (to - from))
}, { passive: false })
let drag = null
chart.addEventListener('pointerdown', (event) => { drag = { x: event.clientX, moved: false }; chart.setPointerCapture(event.pointerId) })
chart.addEventListener('pointermove', (event) => {
  if (drag) {
    const by = event.clientX - drag.x
    if (Math.abs(by) > 3 || drag.moved) {
      Object.assign(drag, { x: event.clientX, moved: true })
      move(-by / chart.clientWidth)
    }
    return
  }
  const process = at(event)
  $('tip').hidden = !process
  if (process) {
    $('tip').textContent = `${process.command.slice(0, 300)} · ${time(process.end - process.start)} · ${ended(process.exit)}`
    $('tip').style.cssText = `left:${Math.min(event.clientX + 12, innerWidth - $('tip').offsetWidth - 4)}px;top:${Math.min(event.clientY + 16, innerHeight - $('tip').offsetHeight - 4)}px`
  }
})
chart.addEventListener('pointerup', (event) => {
  const process = drag && !drag.moved && at(event)
  drag = null
  if (process) showProcess(process)
})
chart.addEventListener('pointerleave', () => { $('tip').hidden = true })
chart.addEventListener('keydown', (event) => {
  const does = { '+': () => zoom(0.7), '=': () => zoom(0.7), '-': () => zoom(1.4), ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), 0: () => zoom(1e9) }[event.key]
  if (does) { event.preventDefault(); does() }
})
new ResizeObserver(drawChart).observe(chart)

// The map of folders: areas are how many paths in them were touched.
let folder = '/'
function showMap () {
  const box = $('map')
  const parts = folder.split('/').filter(Boolean)
  $('crumbs').replaceChildren(...['', ...parts].map((name, index) => {
    const crumb = element('button', index ? `${name}/` : '/')
    crumb.addEventListener('click', () => enter(`/${parts.slice(0, index).map((part) => `${part}/`).join('')}`))
    return crumb
  }))
  const sizes = new Map()
  let sum = 0
  for (let path = lower(folder); path < paths.length && paths[path].startsWith(folder); path++) {
    if (needle && !matches(paths[path])) continue
    const rest = paths[path].slice(folder.length)
    if (!rest) continue
    const end = rest.indexOf('/')
    const name = end < 0 ? rest : rest.slice(0, end + 1)
    sizes.set(name, (sizes.get(name) ?? 0) + 1)
    sum++
  }
  const sorted = [...sizes].sort((one, other) => other[1] - one[1])
  const most = 150
  const items = sorted.slice(0, most).map(([name, size]) => ({ name, size }))
  if (sorted.length > most) items.push({ name: `${sorted.length - most} more`, size: sorted.slice(most).reduce((all, [, size]) => all + size, 0), rest: true })
  const cells = []
  squarify(items, 0, 0, box.clientWidth, box.clientHeight, cells)
  box.replaceChildren(...cells.map(({ item, x, y, width, height }) => {
    const cell = element('button', `${item.name} ${item.size}`)
    cell.title = `${item.name}: ${item.size} paths`
    cell.style.cssText = `left:${x}px;top:${y}px;width:${width}px;height:${height}px;background:hsl(${hue(item.name)} 50% 75%)`
    if (!item.rest) cell.addEventListener('click', () => item.name.endsWith('/') ? enter(folder + item.name) : showPath(lower(folder + item.name)))
    return cell
  }))
  return sum
}
function enter (place) { folder = place; showMap() }
// The index of the first path that does not come before `text`: paths are in the order of their UTF-16 units.
function lower (text) {
  let [low, high] = [0, paths.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (paths[middle] < text) low = middle + 1
    else high = middle
  }
  return low
}
// Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000).
function squarify (items, x, y, width, height, cells) {
  let left = items.reduce((sum, item) => sum + item.size, 0)
  let start = 0
  while (start < items.length && width > 0 && height > 0) {
    const short = Math.min(width, height)
    const area = width * height / left
    let [end, size, worst] = [start, 0, Infinity]
    while (end < items.length) {
      const next = size + items[end].size
      const thick = next * area / short
      const ratio = Math.max(items[start].size * area / thick / thick, thick * thick / (items[end].size * area))
      if (ratio > worst) break
      ;[worst, size, end] = [ratio, next, end + 1]
    }
    const thick = size * area / short
    let offset = 0
    for (const item of items.slice(start, end)) {
      const long = item.size * area / thick
      cells.push(width >= height ? { item, x, y: y + offset, width: thick, height: long } : { item, x: x + offset, y, width: long, height: thick })
      offset += long
    }
    if (width >= height) [x, width] = [x + thick, width - thick]
    else [y, height] = [y + thick, height - thick]
    left -= size
    start = end
  }
}
new ResizeObserver(() => { if (!$('folders').hidden) showMap() }).observe($('map'))

// Views, search, keys.
const views = ['timeline', 'processes', 'files', 'folders']
const shows = {
  timeline: () => { found = needle ? matchingProcesses() : null; drawChart(); return found ? found.size : processes.length },
  processes: showTree,
  files: showTable,
  folders: showMap
}
let view = 'timeline'
function search () {
  const count = shows[view]()
  const [one, more] = view === 'files' || view === 'folders' ? ['path', 'paths'] : ['process', 'processes']
  $('found').textContent = `${count} ${count === 1 ? one : more}`
}
function open (name) {
  view = name
  for (const other of views) {
    $(other).hidden = other !== name
    $(`tab-${other}`).setAttribute('aria-selected', `${other === name}`)
    $(`tab-${other}`).tabIndex = other === name ? 0 : -1
  }
  search()
}
for (const name of views) $(`tab-${name}`).addEventListener('click', () => open(name))
let waiting = 0
$('search').addEventListener('input', () => {
  clearTimeout(waiting)
  waiting = setTimeout(() => { needle = $('search').value.toLowerCase(); search() }, 80)
})
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !$('detail').hidden) $('close').click()
  if (event.target === $('search') || event.ctrlKey || event.metaKey || event.altKey) return
  const number = '1234'.indexOf(event.key)
  if (number >= 0 && event.key) open(views[number])
  if (event.target.role === 'tab' && event.key.startsWith('Arrow')) {
    const next = views[(views.indexOf(view) + (event.key === 'ArrowRight' || event.key === 'ArrowDown' ? 1 : views.length - 1)) % views.length]
    open(next)
    $(`tab-${next}`).focus()
  }
  if (event.key === '/') { event.preventDefault(); $('search').focus() }
  if (event.key === 't') $('theme').click()
})
const dark = matchMedia('(prefers-color-scheme: dark)')
const theme = (name) => { document.documentElement.dataset.theme = name; drawChart() }
theme(dark.matches ? 'dark' : 'light')
dark.addEventListener('change', () => theme(dark.matches ? 'dark' : 'light'))
$('theme').addEventListener('click', () => theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'))

// The head.
document.title = `tracerun: ${data.title}`
$('title').textContent = data.title
$('facts').textContent = `${processes.length} processes, ${paths.length} paths, ${time(whole)}` + (data.complete ? '' : ', incomplete')
for (const [id, sentences] of [['why', data.why], ['gaps', data.gaps]]) {
  $(id).hidden = sentences.length === 0
  $(id).querySelector('ul').replaceChildren(...sentences.map((sentence) => element('li', sentence)))
}
open('timeline')
document.documentElement.dataset.ready = 'yes'
